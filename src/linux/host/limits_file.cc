// The administrator's file: who may have written it, and what is in it.

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "linux/host/limits.h"

namespace vmnet {
namespace {

constexpr size_t kMaxFile = size_t{64} << 10;

Status check_writers(const struct stat& file) {
  if (!S_ISREG(file.st_mode)) return fail("not a regular file; remove it, or make it one");
  if (file.st_uid != 0) {
    return fail(fmt::format("belongs to user {}; make it root's: chown root:root {}", file.st_uid,
                            kLimitsFile));
  }
  if ((file.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return fail(fmt::format("others than root may write to it: chmod go-w {}", kLimitsFile));
  }
  return {};
}

Result<std::string> read_text(int file) {
  std::string text;
  std::array<char, 4096> buffer{};
  while (true) {
    ssize_t size = read(file, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail_errno("cannot read it", errno);
    if (size == 0) return text;
    text.append(buffer.data(), static_cast<size_t>(size));
    if (text.size() > kMaxFile) return fail("larger than 64 KiB");
  }
}

Result<Limits> read_file() {
  // ROOT: a fixed path, in a folder of root's; not through a link, and no device that would block.
  UniqueFd file(open(kLimitsFile, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file.valid()) {
    if (errno == ENOENT) return Limits{};
    if (errno == ELOOP) return fail("a symbolic link; put the file itself there");
    return fail_errno("cannot open it", errno);
  }
  struct stat status{};
  if (fstat(file.get(), &status) != 0) return fail_errno("cannot look at it", errno);
  if (auto checked = check_writers(status); !checked) return pass(checked);
  auto text = read_text(file.get());
  if (!text) return pass(text);
  return parse_limits(*text);
}

}  // namespace

Result<Limits> read_limits() {
  auto limits = read_file();
  if (!limits) return fail(fmt::format("{}: {}", kLimitsFile, limits.error().message));
  return limits;
}

}  // namespace vmnet
