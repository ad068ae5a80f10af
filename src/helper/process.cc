#include "helper/process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/journal.h"
#include "platform/descriptors.h"

// POSIX: declared by the program that wants it; glibc does all the same.
extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace vmnet {
namespace {

// Sockets, what the platform's network holds, standard ones: two dozen, with room.
constexpr rlim_t kDescriptors = 64;

// glibc has closed the gaps of a setuid program before main(), with a /dev/null that cannot be
// written to (csu/check_fds.c).
bool is_stand_in(int fd) {
  struct stat held{};
  struct stat null{};
  return fd != STDIN_FILENO && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY &&
         fstat(fd, &held) == 0 && stat("/dev/null", &null) == 0 && held.st_rdev == null.st_rdev;
}

// Another error says nothing of the descriptor, which may be where the user reads.
bool is_closed(int fd) { return fcntl(fd, F_GETFD) < 0 && errno == EBADF; }

Status open_standard_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    if (!is_closed(fd) && !is_stand_in(fd)) continue;
    close(fd);
    // The lowest free number is `fd`, since those below it are open.
    if (open("/dev/null", O_RDWR) != fd) return fail_errno("cannot open /dev/null", errno);
  }
  return {};
}

// In place of an exception, which nobody catches, and so an abort. Says so without allocating.
void end_without_memory() {
  constexpr std::string_view kLine = "ERROR [helper] out of memory\n";
  (void)!write(STDERR_FILENO, kLine.data(), kLine.size());
  _exit(1);
}

void reset_signals() {
  struct sigaction action{};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; signal++) sigaction(signal, &action, nullptr);
  // SIGPIPE also because not every platform has MSG_NOSIGNAL.
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, nullptr);
  sigaction(SIGXFSZ, &action, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

void stop_timers() {
  itimerval zero{};  // interval timers outlive exec, and SIGALRM would end us
  for (auto which : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF}) setitimer(which, &zero, nullptr);
}

// It grows up to the limit of the moment (Linux 6.18, mm/mmap.c), so raising that helps this
// process too.
Status raise_stack() {
  constexpr rlim_t kEnough = 128 << 10;
  constexpr rlim_t kUsual = 8 << 20;
  rlimit stack{};
  if (getrlimit(RLIMIT_STACK, &stack) != 0) {
    return fail_errno("cannot read the limit of the stack", errno);
  }
  if (stack.rlim_cur >= kEnough) return {};
  stack.rlim_cur = kUsual;
  stack.rlim_max = std::max(stack.rlim_max, kUsual);
  if (setrlimit(RLIMIT_STACK, &stack) == 0) return {};
  return fail_errno("cannot have enough stack", errno, "raise the limit: ulimit -s 8192");
}

Status set_limits() {
  rlimit core{.rlim_cur = 0, .rlim_max = 0};
  if (setrlimit(RLIMIT_CORE, &core) != 0) return fail_errno("cannot forbid core files", errno);
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) {
    return fail_errno("cannot read the limit of open files", errno);
  }
  if (files.rlim_cur >= kDescriptors) return {};
  files.rlim_cur = kDescriptors;
  files.rlim_max = std::max(files.rlim_max, kDescriptors);
  if (setrlimit(RLIMIT_NOFILE, &files) != 0) {
    return fail_errno("cannot open enough files", errno, "raise the limit: ulimit -n 64");
  }
  return {};
}

// A copy that outlives the environment.
const char* kept_variable(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? nullptr : strdup(value);
}

// POSIX has no clearenv().
void clear_environment() {
  static std::array<char*, 1> empty{};
  environ = empty.data();
}

}  // namespace

Result<StartContext> sanitise_process() {
  if (auto raised = raise_stack(); !raised) return pass(raised);
  if (auto opened = open_standard_descriptors(); !opened) return pass(opened);
  tell_journal_priorities(getenv("JOURNAL_STREAM"));
  std::set_new_handler(end_without_memory);
  reset_signals();
  stop_timers();
  umask(077);
  if (auto set = set_limits(); !set) return pass(set);
  StartContext context{.sudo_uid = kept_variable("SUDO_UID"),
                       .sudo_gid = kept_variable("SUDO_GID"),
                       .directory = hold_working_directory()};
  clear_environment();
  if (chdir("/") != 0) return fail_errno("cannot change to /", errno);
  return context;
}

Status close_stray_descriptors(int keep, int keep_too) {
  return close_descriptors_but(STDERR_FILENO + 1, std::array{keep, keep_too});
}

}  // namespace vmnet
