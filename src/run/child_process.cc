#include "run/child_process.h"

#include <array>
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/unique_fd.h"
#include "platform/run_platform.h"

namespace vmnet {
namespace {

constexpr int kAboveTargets = 10;  // no InheritedFd::target is as high

// In the child: from here to exec, and nothing in between that may fail half-way.
[[noreturn]] void give_up(int report_fd, int err) {
  [[maybe_unused]] ssize_t written = ::write(report_fd, &err, sizeof(err));
  ::_exit(127);
}

// Sources are first moved out of the way of all targets: a target may be another's source.
bool place_descriptors(const std::vector<InheritedFd>& fds) {
  std::vector<InheritedFd> moved;
  for (const InheritedFd& fd : fds) {
    int source = ::fcntl(fd.source, F_DUPFD_CLOEXEC, kAboveTargets);
    if (source < 0) return false;
    moved.push_back({.target = fd.target, .source = source});
  }
  for (const InheritedFd& fd : moved) {
    if (::dup2(fd.source, fd.target) < 0) return false;
  }
  return true;
}

[[noreturn]] void become(const Program& program, pid_t parent, UniqueFd report) {
  // The report must not lie where a target goes.
  int report_fd = ::fcntl(report.get(), F_DUPFD_CLOEXEC, kAboveTargets);
  if (report_fd < 0) give_up(report.get(), errno);
  if (program.new_session) ::setsid();
  if (program.ends_with_parent && !end_with_parent(parent)) ::_exit(127);
  if (!place_descriptors(program.fds)) give_up(report_fd, errno);
  // A shell without job control starts what is in the background with these ignored. We lead a
  // group of our own and have been told to end by them.
  for (int number : {SIGINT, SIGQUIT}) (void)::signal(number, SIG_DFL);
  ::sigprocmask(SIG_SETMASK, &program.signal_mask, nullptr);
  std::vector<char*> arguments;
  arguments.reserve(program.arguments.size() + 1);
  for (const std::string& argument : program.arguments) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  give_up(report_fd, errno);
}

std::unexpected<Error> cannot_run(const Program& program, int err) {
  return fail_errno(fmt::format("cannot run '{}'", escaped(program.arguments.front())), err);
}

}  // namespace

Result<pid_t> start_program(const Program& program) {
  // Carries errno of a failed exec; a successful one closes it.
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return fail_errno("cannot create a pipe", errno);
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  for (int end : ends) ::fcntl(end, F_SETFD, FD_CLOEXEC);

  pid_t parent = ::getpid();
  pid_t child = ::fork();
  if (child < 0) return cannot_run(program, errno);
  if (child == 0) become(program, parent, std::move(writer));
  writer.reset();
  int err = 0;
  ssize_t length = 0;
  do {
    length = ::read(reader.get(), &err, sizeof(err));
  } while (length < 0 && errno == EINTR);
  if (length == 0) return child;
  ::waitpid(child, nullptr, 0);
  return cannot_run(program, err);
}

int exit_status(int wait_status) {
  if (WIFSIGNALED(wait_status)) return 128 + WTERMSIG(wait_status);
  return WEXITSTATUS(wait_status);
}

std::string describe_end(int wait_status) {
  if (WIFSIGNALED(wait_status)) return fmt::format("signal {}", WTERMSIG(wait_status));
  return fmt::format("exit status {}", WEXITSTATUS(wait_status));
}

}  // namespace vmnet
