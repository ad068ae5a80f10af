// SIGTERM and SIGINT as a descriptor to poll.
#pragma once

#include "base/result.h"

namespace vmnet {

// From now on the two signals raise a flag instead of ending the process. Once a process.
// Returns the descriptor that is readable when one has come; it stays so.
Result<int> catch_stop_signals();

// Blocks the two signals in the calling thread, and in threads that it starts until they are
// unblocked: so that the kernel delivers them to the main thread.
void block_stop_signals(bool block);

}  // namespace vmnet
