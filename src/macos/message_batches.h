// recvmsg_x and sendmsg_x: many datagrams in one system call. They are in libSystem and in no
// public header, so they are looked up when the program runs and may be missing.
//
// Rules (XNU, bsd/kern/uipc_syscalls.c): no flag but MSG_DONTWAIT; name and control fields zero.
#pragma once

#include <cstddef>

#include <sys/socket.h>
#include <sys/types.h>

namespace vmnet {

// The kernel's layout.
struct MessageWithLength {
  msghdr header{};
  size_t length = 0;  // of the datagram, filled by a receive
};

struct MessageBatchCalls {
  using Receive = ssize_t(int socket, MessageWithLength* messages, unsigned count, int flags);
  using Send = ssize_t(int socket, const MessageWithLength* messages, unsigned count, int flags);

  Receive* receive = nullptr;  // null: missing
  Send* send = nullptr;
};

MessageBatchCalls find_message_batch_calls();

// Whether `error` of such a call says that the call itself does not work here, rather than that
// there is nothing to receive, no room, or no peer.
bool means_unusable(int error);

}  // namespace vmnet
