// In builds with a sanitizer, whose runtime opens files and makes system calls of its own at any
// time, there is no sandbox (src/CMakeLists.txt chooses).

#include "base/log.h"
#include "network/sandbox.h"

namespace vmnet {

Status restrict_files() { return {}; }

Status restrict_system_calls(const SystemCallNeeds& /*needs*/) {
  log_warn("sandbox", "a build with a sanitizer has no sandbox");
  return {};
}

}  // namespace vmnet
