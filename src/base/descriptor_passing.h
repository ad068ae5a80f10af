// Descriptors sent from one process to another over an AF_UNIX socket (SCM_RIGHTS, unix(7)).
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vmnet {

// Sends `data` (at least one byte) as one message, with `fd` attached unless it is -1. Never waits:
// the socket is one that nothing was sent on before. SIGPIPE must be ignored.
Status send_with_descriptor(int socket, std::span<const uint8_t> data, int fd);

struct ReceivedMessage {
  size_t size = 0;      // bytes in the buffer; 0: the other end has closed
  UniqueFd descriptor;  // close-on-exec; invalid: none came
};

// Waits for one message and keeps what fits `buffer`, and its first descriptor.
Result<ReceivedMessage> receive_with_descriptor(int socket, std::span<uint8_t> buffer);

}  // namespace vmnet
