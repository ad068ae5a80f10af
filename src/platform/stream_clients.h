// Clients of a listening AF_UNIX stream socket. One header, a body per platform.
#pragma once

#include <optional>

#include <sys/types.h>

#include "base/unique_fd.h"

namespace vmnet {

struct StreamClient {
  UniqueFd socket;
  std::optional<uid_t> uid;  // of the process that connected, then; nothing: it cannot be told
  pid_t pid = 0;             // in our pid namespace; 0: not known
};

// The next client in the queue of `listening_fd`, which does not block. Nothing: EAGAIN in errno
// where there is none, or what stands in the way. After the sandbox: accept4(2) and
// getsockopt(SO_PEERCRED) on Linux (unix(7)), accept(2) and getpeereid(3) on macOS.
std::optional<StreamClient> accept_stream_client(int listening_fd);

}  // namespace vmnet
