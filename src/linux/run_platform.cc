// vmnet-run's platform.h for Linux.
#include "platform/run_platform.h"

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <map>
#include <memory>
#include <optional>
#include <string_view>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/unique_fd.h"

namespace vmnet {
namespace {

struct DirectoryCloser {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, DirectoryCloser>;

struct ProcessStat {
  char state = '?';
  pid_t parent = 0;
  pid_t group = 0;
};

std::optional<pid_t> parse_pid(std::string_view text) {
  auto number = parse_unsigned<unsigned>(text);
  if (!number) return std::nullopt;
  return static_cast<pid_t>(*number);
}

// /proc/PID/stat (proc_pid_stat(5)): "PID (NAME) STATE PPID PGRP ...", where NAME may hold
// anything.
std::optional<ProcessStat> read_process_stat(pid_t pid) {
  UniqueFd file(::open(fmt::format("/proc/{}/stat", pid).c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 512> buffer{};
  ssize_t length = file.valid() ? ::read(file.get(), buffer.data(), buffer.size()) : -1;
  if (length <= 0) return std::nullopt;
  std::string_view text(buffer.data(), static_cast<size_t>(length));
  size_t name_end = text.rfind(") ");
  if (name_end == std::string_view::npos) return std::nullopt;
  text.remove_prefix(name_end + 2);
  size_t parent_start = text.find(' ') + 1;
  size_t group_start = text.find(' ', parent_start) + 1;
  size_t group_end = text.find(' ', group_start);
  auto parent = parse_pid(text.substr(parent_start, group_start - 1 - parent_start));
  auto group = parse_pid(text.substr(group_start, group_end - group_start));
  if (!parent || !group) return std::nullopt;
  return ProcessStat{.state = text.front(), .parent = *parent, .group = *group};
}

std::map<pid_t, ProcessStat> read_processes() {
  std::map<pid_t, ProcessStat> processes;
  Directory directory(::opendir("/proc"));
  if (!directory) return processes;
  while (const dirent* entry = ::readdir(directory.get())) {
    auto pid = parse_pid(entry->d_name);
    if (!pid) continue;
    if (auto stat = read_process_stat(*pid)) processes.emplace(*pid, *stat);
  }
  return processes;
}

bool is_descendant(pid_t pid, pid_t ancestor, const std::map<pid_t, ProcessStat>& processes) {
  // Bounded: a pid may have been used again while the list was read.
  for (size_t step = 0; step <= processes.size(); step++) {
    auto entry = processes.find(pid);
    if (entry == processes.end()) return false;
    if (entry->second.parent == ancestor) return true;
    pid = entry->second.parent;
  }
  return false;
}

}  // namespace

Result<std::string> own_program_path() {
  std::array<char, PATH_MAX> path{};
  ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size());
  if (length < 0) return fail_errno("cannot find my own program file by /proc/self/exe", errno);
  return std::string(path.data(), static_cast<size_t>(length));
}

bool network_needs_privilege() { return true; }

bool has_file_capabilities(const std::string& path) {
  return ::getxattr(path.c_str(), "security.capability", nullptr, 0) > 0;
}

bool passes_capabilities() {
  return ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_ADMIN, 0, 0) == 1;
}

void adopt_orphans() { ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

bool end_with_parent(pid_t parent) {
  return ::prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) == 0 && ::getppid() == parent;
}

std::vector<Descendant> living_descendants(pid_t ancestor) {
  auto processes = read_processes();
  std::vector<Descendant> descendants;
  for (const auto& [pid, stat] : processes) {
    bool alive = stat.state != 'Z' && stat.state != 'X';
    if (alive && is_descendant(pid, ancestor, processes)) {
      descendants.push_back({.pid = pid, .group = stat.group});
    }
  }
  return descendants;
}

}  // namespace vmnet
