#include "base/descriptor_passing.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/socket.h>

namespace vmnet {
namespace {

// Room for as many descriptors as one message of ours never has: what a peer sends too many of must
// be seen to be closed.
constexpr size_t kMaxDescriptors = 8;

// Owns every descriptor of `message`; the first of them is the result.
UniqueFd take_descriptors(msghdr& message) {
  UniqueFd first;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + (i * sizeof(fd)), sizeof(fd));
      UniqueFd owned(fd);
      if (!first.valid()) first = std::move(owned);
    }
  }
  // MSG_CMSG_CLOEXEC is not on every platform; nothing is executed in between.
  if (first.valid()) ::fcntl(first.get(), F_SETFD, FD_CLOEXEC);
  return first;
}

}  // namespace

Status send_with_descriptor(int socket, std::span<const uint8_t> data, int fd) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  iovec part{.iov_base = const_cast<uint8_t*>(data.data()), .iov_len = data.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(fd));
    std::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &message, MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return fail_errno("cannot send a descriptor", errno);
  return {};
}

Result<ReceivedMessage> receive_with_descriptor(int socket, std::span<uint8_t> buffer) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxDescriptors * sizeof(int))> control{};
  iovec part{.iov_base = buffer.data(), .iov_len = buffer.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t size = 0;
  do {
    size = ::recvmsg(socket, &message, 0);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return fail_errno("cannot receive a descriptor", errno);
  ReceivedMessage received;
  received.size = static_cast<size_t>(size);
  received.descriptor = take_descriptors(message);
  return received;
}

}  // namespace vmnet
