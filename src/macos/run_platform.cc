// vmnet-run's platform.h for macOS.
#include "platform/run_platform.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <map>

#include <libproc.h>
#include <sys/proc_info.h>
#include <unistd.h>

#include "macos/system_version.h"

namespace vmnet {
namespace {

constexpr uint32_t kZombie = 5;  // SZOMB of <sys/proc.h>, which declares it for the kernel only
constexpr pid_t kLaunchd = 1;

using Processes = std::map<pid_t, proc_bsdinfo>;

Processes read_processes() {
  Processes processes;
  int count = ::proc_listallpids(nullptr, 0);
  // Room for those that start meanwhile.
  std::vector<pid_t> pids(static_cast<size_t>(std::max(count, 0)) + 64);
  count = ::proc_listallpids(pids.data(), static_cast<int>(pids.size() * sizeof(pid_t)));
  pids.resize(std::min(pids.size(), static_cast<size_t>(std::max(count, 0))));
  for (pid_t pid : pids) {
    proc_bsdinfo info{};
    if (::proc_pidinfo(pid, PROC_PIDTBSDINFO, 0, &info, sizeof(info)) == sizeof(info)) {
      processes.emplace(pid, info);
    }
  }
  return processes;
}

// An orphan becomes launchd's child. One that is still in the group that `ancestor` leads is its.
bool is_orphan_of(const proc_bsdinfo& process, pid_t ancestor) {
  return static_cast<pid_t>(process.pbi_ppid) == kLaunchd &&
         static_cast<pid_t>(process.pbi_pgid) == ancestor;
}

bool is_descendant(pid_t pid, pid_t ancestor, const Processes& processes) {
  // Bounded: a pid may have been used again while the list was read.
  for (size_t step = 0; step <= processes.size(); step++) {
    auto entry = processes.find(pid);
    if (entry == processes.end() || pid == ancestor) return false;
    auto parent = static_cast<pid_t>(entry->second.pbi_ppid);
    if (parent == ancestor || is_orphan_of(entry->second, ancestor)) return true;
    pid = parent;
  }
  return false;
}

}  // namespace

Result<std::string> own_program_path() {
  std::array<char, PROC_PIDPATHINFO_MAXSIZE> path{};
  int length = ::proc_pidpath(::getpid(), path.data(), path.size());
  if (length <= 0) return fail_errno("cannot find my own program file", errno);
  return std::string(path.data(), static_cast<size_t>(length));
}

bool network_needs_privilege() {
  auto version = system_version();
  return !version || needs_root(*version);
}

bool has_file_capabilities(const std::string& /*path*/) { return false; }

bool passes_capabilities() { return false; }

void adopt_orphans() {}  // nobody but launchd can; living_descendants() finds them there

// Nothing tells a child of its parent's end here: a killed vmnet-run leaves COMMAND behind, whose
// network the helper takes down.
bool end_with_parent(pid_t parent) { return ::getppid() == parent; }

std::vector<Descendant> living_descendants(pid_t ancestor) {
  auto processes = read_processes();
  std::vector<Descendant> descendants;
  for (const auto& [pid, info] : processes) {
    if (info.pbi_status != kZombie && is_descendant(pid, ancestor, processes)) {
      descendants.push_back({.pid = pid, .group = static_cast<pid_t>(info.pbi_pgid)});
    }
  }
  return descendants;
}

}  // namespace vmnet
