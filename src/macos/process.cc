#include "helper/process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "macos/open_descriptors.h"

extern char** environ;  // POSIX: declared by the program that wants it

namespace vmnet {
namespace {

// Sockets, pipes, what vmnet and XPC open, standard ones: two dozen, with room.
constexpr rlim_t kDescriptors = 64;

Status open_standard_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    // The lowest free number is `fd`, since those below it are open.
    if (open("/dev/null", O_RDWR) != fd) return fail_errno("cannot open /dev/null", errno);
  }
  return {};
}

void reset_signals() {
  struct sigaction action{};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; signal++) sigaction(signal, &action, nullptr);
  // Ignored also because a send has no MSG_NOSIGNAL here.
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

// macOS has no clearenv().
void clear_environment() {
  static std::array<char*, 1> empty{};
  environ = empty.data();
}

}  // namespace

Result<StartContext> sanitise_process() {
  if (auto opened = open_standard_descriptors(); !opened) return pass(opened);
  reset_signals();
  stop_timers();
  umask(077);
  if (auto set = set_limits(); !set) return pass(set);
  // Without O_PATH: a folder that cannot be read is no start directory.
  StartContext context{.sudo_uid = kept_variable("SUDO_UID"),
                       .sudo_gid = kept_variable("SUDO_GID"),
                       .directory = UniqueFd(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC))};
  clear_environment();
  if (chdir("/") != 0) return fail_errno("cannot change to /", errno);
  return context;
}

Status close_stray_descriptors(int keep, int keep_too) {
  if (!close_descriptors_but(STDERR_FILENO + 1, std::array{keep, keep_too})) {
    return fail_errno("cannot close inherited descriptors", errno);
  }
  return {};
}

}  // namespace vmnet
