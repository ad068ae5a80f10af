#include "run/replaceable.h"

#include <filesystem>
#include <system_error>

#include <fmt/format.h>
#include <sys/stat.h>

namespace vmnet {
namespace {

// Owners outside the user namespace (/proc/sys/kernel/overflowuid) are shown as this.
constexpr uid_t kUnmappedUser = 65534;

std::optional<std::string> reason(const PathPart& part) {
  if (part.owner != 0 && part.owner != kUnmappedUser) {
    return fmt::format("belongs to user {}", part.owner);
  }
  bool sticky_folder = S_ISDIR(part.mode) && (part.mode & S_ISVTX) != 0;
  if ((part.mode & (S_IWGRP | S_IWOTH)) == 0 || sticky_folder) return std::nullopt;
  return fmt::format("may be written to by others (mode {:04o})", part.mode & 07777);
}

}  // namespace

std::vector<PathPart> path_parts(const std::string& file) {
  std::vector<PathPart> parts;
  std::error_code failed;
  std::filesystem::path path = std::filesystem::canonical(file, failed);
  while (!failed && !path.empty()) {
    struct stat status{};
    if (::stat(path.c_str(), &status) == 0) {
      parts.push_back({.path = path, .owner = status.st_uid, .mode = status.st_mode});
    }
    if (path == path.parent_path()) break;
    path = path.parent_path();
  }
  return parts;
}

std::optional<std::string> replaceable_by_others(const std::vector<PathPart>& parts) {
  for (const PathPart& part : parts) {
    if (auto why = reason(part)) {
      return fmt::format(
          "{} {}: whoever can write there can replace vmnet-helper and become root; "
          "give it to root (chown root, chmod go-w)",
          part.path, *why);
    }
  }
  return std::nullopt;
}

}  // namespace vmnet
