#include "linux/sysctl.h"

#include <array>
#include <cerrno>
#include <charconv>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "base/unique_fd.h"

namespace vmnet {
namespace {

std::string full_path(const std::string& path) { return "/proc/sys/net/" + path; }

}  // namespace

Result<int> read_sysctl(const std::string& path) {
  UniqueFd file(open(full_path(path).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return fail_errno(fmt::format("cannot read {}", full_path(path)), errno);
  std::array<char, 32> text{};
  ssize_t size = read(file.get(), text.data(), text.size());
  if (size < 0) return fail_errno(fmt::format("cannot read {}", full_path(path)), errno);
  int value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + size, value);
  if (error != std::errc()) {
    return fail(fmt::format("cannot read {}: not a number", full_path(path)));
  }
  return value;
}

Status write_sysctl(const std::string& path, int value) {
  UniqueFd file(open(full_path(path).c_str(), O_WRONLY | O_CLOEXEC));
  std::string text = std::to_string(value);
  if (!file.valid() || write(file.get(), text.data(), text.size()) < 0) {
    return fail_errno(fmt::format("cannot set {} to {}", full_path(path), value), errno);
  }
  return {};
}

Status ensure_sysctl(const std::string& path, int value) {
  auto current = read_sysctl(path);
  if (!current) return pass(current);
  if (*current == value) return {};
  return write_sysctl(path, value);
}

std::vector<std::string> list_sysctl_folder(const std::string& path) {
  std::vector<std::string> names;
  DIR* folder = opendir(full_path(path).c_str());
  if (folder == nullptr) return names;
  while (const dirent* entry = readdir(folder)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  closedir(folder);
  return names;
}

}  // namespace vmnet
