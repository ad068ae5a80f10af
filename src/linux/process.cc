#include "helper/process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

namespace vmnet {
namespace {

// Sockets, TAP, keeper, netlink, standard ones: two dozen, with room.
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

// A copy that outlives clearenv().
const char* kept_variable(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? nullptr : strdup(value);
}

}  // namespace

Result<StartContext> sanitise_process() {
  if (auto opened = open_standard_descriptors(); !opened) return pass(opened);
  reset_signals();
  stop_timers();
  umask(077);
  if (auto set = set_limits(); !set) return pass(set);
  StartContext context{.sudo_uid = kept_variable("SUDO_UID"),
                       .sudo_gid = kept_variable("SUDO_GID"),
                       .directory = UniqueFd(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC))};
  clearenv();
  if (chdir("/") != 0) return fail_errno("cannot change to /", errno);
  return context;
}

Status close_stray_descriptors(int keep, int keep_too) {
  std::vector<unsigned> kept;
  for (int fd : {keep, keep_too}) {
    if (fd > STDERR_FILENO) kept.push_back(static_cast<unsigned>(fd));
  }
  std::ranges::sort(kept);
  kept.push_back(~0U);
  unsigned first = STDERR_FILENO + 1;
  for (unsigned next : kept) {
    // close_range: Linux 5.9, which the keeper's nftables owner flag (5.12) implies.
    if (first < next && syscall(SYS_close_range, first, next - 1, 0) != 0) {
      return fail_errno("cannot close inherited descriptors", errno);
    }
    first = next + 1;
  }
  return {};
}

}  // namespace vmnet
