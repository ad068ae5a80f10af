// No sandbox on macOS: sandbox_init(3) is deprecated, its profiles are not documented, and what
// vmnet.framework needs of the system while frames flow is nobody's promise. What protects the
// system is that the process has become the user by then (privileges.cc).

#include "platform/sandbox.h"

namespace vmnet {

Status restrict_files(int /*socket_folder*/) { return {}; }

Status restrict_system_calls(const SystemCallNeeds& /*needs*/) { return {}; }

}  // namespace vmnet
