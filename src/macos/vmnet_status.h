// vmnet_return_t in words.
#pragma once

#include <string>
#include <string_view>

#include <vmnet/vmnet.h>

#include "base/result.h"

namespace vmnet {

// "VMNET_SHARING_SERVICE_BUSY (1009): WHAT IT MEANS; WHAT TO DO". `is_root`: the process's
// effective uid is 0, so a lack of privilege is not the reason. Pure.
std::string vmnet_status_text(vmnet_return_t status, bool is_root);

// The failed vmnet call as an error: "WHAT: TEXT".
std::unexpected<Error> fail_vmnet(std::string_view what, vmnet_return_t status);

}  // namespace vmnet
