#include "linux/host/sysctl.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <memory>
#include <system_error>
#include <thread>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "base/unique_fd.h"

namespace vmnet {
namespace {

constexpr int kAttempts = 5;
constexpr std::chrono::milliseconds kPause{10};

std::string full_path(const std::string& path) { return "/proc/sys/net/" + path; }

bool is_transient(int error) {
  return error == EINTR || error == EAGAIN || error == ENOMEM || error == ENOBUFS ||
         error == EMFILE || error == ENFILE;
}

template <typename Attempt>
auto try_for_a_moment(const Attempt& attempt) {
  auto result = attempt();
  for (int i = 1; i < kAttempts && !result && is_transient(result.error().os_errno); i++) {
    std::this_thread::sleep_for(kPause);
    result = attempt();
  }
  return result;
}

// As many numbers as are wanted, with space between them.
template <size_t kCount>
Result<std::array<int, kCount>> read_once(const std::string& path) {
  UniqueFd file(open(full_path(path).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return fail_errno(fmt::format("cannot read {}", full_path(path)), errno);
  std::array<char, 32> text{};
  ssize_t size = read(file.get(), text.data(), text.size());
  if (size < 0) return fail_errno(fmt::format("cannot read {}", full_path(path)), errno);
  std::array<int, kCount> values{};
  const char* from = text.data();
  for (int& value : values) {
    while (from != text.data() + size && (*from == ' ' || *from == '\t')) from++;
    auto [end, error] = std::from_chars(from, text.data() + size, value);
    if (error != std::errc()) {
      return fail(fmt::format("cannot read {}: not a number", full_path(path)));
    }
    from = end;
  }
  return values;
}

Status write_once(const std::string& path, int value) {
  UniqueFd file(open(full_path(path).c_str(), O_WRONLY | O_CLOEXEC));
  std::string text = std::to_string(value);
  if (!file.valid() || write(file.get(), text.data(), text.size()) < 0) {
    return fail_errno(fmt::format("cannot set {} to {}", full_path(path), value), errno);
  }
  return {};
}

Result<std::vector<std::string>> list_once(const std::string& path) {
  std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(full_path(path).c_str()), closedir);
  if (!folder) return fail_errno(fmt::format("cannot read {}", full_path(path)), errno);
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* entry = readdir(folder.get());
    if (entry == nullptr) break;
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  if (errno != 0) return fail_errno(fmt::format("cannot read {}", full_path(path)), errno);
  return names;
}

}  // namespace

Result<int> read_sysctl(const std::string& path) {
  auto values = try_for_a_moment([&path] { return read_once<1>(path); });
  if (!values) return pass(values);
  return values->front();
}

Result<std::pair<int, int>> read_sysctl_range(const std::string& path) {
  auto values = try_for_a_moment([&path] { return read_once<2>(path); });
  if (!values) return pass(values);
  return std::pair(values->front(), values->back());
}

Status write_sysctl(const std::string& path, int value) {
  return try_for_a_moment([&] { return write_once(path, value); });
}

Status ensure_sysctl(const std::string& path, int value) {
  auto current = read_sysctl(path);
  if (!current) return pass(current);
  if (*current == value) return {};
  return write_sysctl(path, value);
}

Result<std::vector<std::string>> list_sysctl_folder(const std::string& path) {
  return try_for_a_moment([&path] { return list_once(path); });
}

}  // namespace vmnet
