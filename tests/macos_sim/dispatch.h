#pragma once

#include <dispatch/dispatch.h>

namespace macos_sim {

// A rule is broken where `queue` is none, or released.
void require_queue(dispatch_queue_t queue);

}  // namespace macos_sim
