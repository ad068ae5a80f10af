#include "macos/message_batches.h"

#include <cerrno>

#include "macos/dynamic_symbols.h"

namespace vmnet {

MessageBatchCalls find_message_batch_calls() {
  return {.receive = find_function<MessageBatchCalls::Receive>("recvmsg_x"),
          .send = find_function<MessageBatchCalls::Send>("sendmsg_x")};
}

bool means_unusable(int error) {
  return error == ENOSYS || error == EINVAL || error == EOPNOTSUPP || error == EPERM;
}

}  // namespace vmnet
