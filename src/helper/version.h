// The version of this build, from `git describe` (cmake/version.cmake).
#pragma once

#include <string_view>

namespace vmnet {

extern const std::string_view kVersion;  // "v0.14.0", a semver with a leading v
extern const std::string_view kCommit;   // full hash, "unknown" outside a git checkout

}  // namespace vmnet
