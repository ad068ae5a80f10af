// Why a helper's work ends.
#pragma once

namespace vmnet {

enum class SessionEnd {
  kStopped,        // SIGTERM or SIGINT
  kVmGone,         // the VM has closed its end
  kInterfaceLost,  // the host's end has gone: an error
};

}  // namespace vmnet
