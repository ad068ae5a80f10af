// In builds with a sanitizer, whose runtime opens files and makes system calls of its own at any
// time, there is no sandbox (src/CMakeLists.txt chooses).

#include "base/log.h"
#include "linux/privilege/landlock.h"
#include "linux/privilege/system_call_filter.h"

namespace vmnet {

Status restrict_files_to(std::span<const AllowedFolder> /*allowed*/) { return {}; }

SystemCallFilter::SystemCallFilter() = default;
void SystemCallFilter::allow(std::span<const int> /*calls*/) {}
void SystemCallFilter::allow(int /*call*/, std::initializer_list<scmp_arg_cmp> /*arguments*/) {}

Status SystemCallFilter::enforce() {
  log_warn("sandbox", "a build with a sanitizer has no sandbox");
  return {};
}

}  // namespace vmnet
