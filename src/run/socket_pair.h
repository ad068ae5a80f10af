// The cable's VM end: the pair of sockets between vmnet-helper and COMMAND.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "helper/options.h"

namespace vmnet {

struct SocketPair {
  UniqueFd helper;
  UniqueFd command;
};

// Unix sockets, close-on-exec, with buffers for bursts of large frames.
Result<SocketPair> make_socket_pair(SocketType type);

}  // namespace vmnet
