#include "linux/privilege/inherited_state.h"

#include <array>
#include <cerrno>
#include <string_view>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/unique_fd.h"

namespace vmnet {
namespace {

constexpr int kSetMemoryMerge = 67;  // PR_SET_MEMORY_MERGE, Linux 6.4: older headers lack it

struct Limit {
  __rlimit_resource_t resource;
  std::string_view name;
  rlim_t enough;  // to work with, where it cannot be raised
  std::string_view remedy;
};

constexpr rlim_t kMebibyte = 1 << 20;
constexpr rlim_t kMemory = 64 * kMebibyte;

// The descriptors' and core files' limits are set at the start (helper/process.cc).
constexpr std::array kLimits = {
    Limit{RLIMIT_CPU, "processor time", RLIM_INFINITY, "ulimit -t unlimited"},
    Limit{RLIMIT_AS, "address space", kMemory, "ulimit -v unlimited"},
    Limit{RLIMIT_DATA, "data", kMemory, "ulimit -d unlimited"},
    Limit{RLIMIT_STACK, "stack", kMebibyte / 8, "ulimit -s unlimited"},
    Limit{RLIMIT_FSIZE, "file size", 0, ""},
    Limit{RLIMIT_RTTIME, "real-time processor time", 0, ""},
    Limit{RLIMIT_NPROC, "processes", 0, ""},
    Limit{RLIMIT_SIGPENDING, "pending signals", 0, ""},
};

Status raise_limit(const Limit& limit) {
  const rlimit none{.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
  if (setrlimit(limit.resource, &none) == 0) return {};
  rlimit held{};
  if (getrlimit(limit.resource, &held) != 0) {
    return fail_errno(fmt::format("cannot read the limit of {}", limit.name), errno);
  }
  held.rlim_cur = held.rlim_max;
  setrlimit(limit.resource, &held);
  if (held.rlim_cur >= limit.enough) return {};
  return fail(
      fmt::format("the limit of {} is {}, which could end the process that cleans up, and only "
                  "CAP_SYS_RESOURCE could raise it; start without it: {}",
                  limit.name, held.rlim_cur, limit.remedy));
}

// One after the other until one is accepted: the best that this process may ask for.
void write_first(const char* path, std::initializer_list<std::string_view> values) {
  UniqueFd file(open(path, O_WRONLY | O_CLOEXEC));
  for (std::string_view value : values) {
    if (file.valid() && write(file.get(), value.data(), value.size()) > 0) return;
  }
}

void reset_scheduling() {
  const sched_param normal{};
  if (sched_getscheduler(0) != SCHED_OTHER) sched_setscheduler(0, SCHED_OTHER, &normal);
  if (getpriority(PRIO_PROCESS, 0) > 0) setpriority(PRIO_PROCESS, 0, 0);
  cpu_set_t every;
  CPU_ZERO(&every);
  for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) CPU_SET(cpu, &every);
  sched_setaffinity(0, sizeof(every), &every);
  // IOPRIO_WHO_PROCESS and IOPRIO_CLASS_NONE: newer <linux/ioprio.h> is no C++, it has a parameter
  // `class`.
  constexpr int kWhoProcess = 1;
  constexpr int kOrdinary = 0;
  syscall(SYS_ioprio_set, kWhoProcess, 0, kOrdinary);
  // Not 0, the default of this process: that is what it inherited.
  constexpr unsigned long kUsualSlack = 50'000;  // nanoseconds
  prctl(PR_SET_TIMERSLACK, kUsualSlack, 0, 0, 0);
}

void reset_memory() {
  // The OOM killer's last choice: small, bounded, and what puts the host's settings back.
  write_first("/proc/self/oom_score_adj", {"-1000", "0"});
  syscall(SYS_set_mempolicy, MPOL_DEFAULT, nullptr, 0);
  prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
  prctl(kSetMemoryMerge, 0, 0, 0, 0);
  prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 0, 0);
  personality(PER_LINUX);
}

}  // namespace

Status reset_inherited_state() {
  for (const Limit& limit : kLimits) {
    if (auto raised = raise_limit(limit); !raised) return raised;
  }
  reset_scheduling();
  reset_memory();
  return {};
}

}  // namespace vmnet
