#include "run/socket_pair.h"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <sys/socket.h>

namespace vmnet {
namespace {

// On Linux the sender's buffer is the queue and is cut to net.core.wmem_max; on macOS it is the
// largest datagram, and the receiver's the queue: as much as the helper gives its own end
// (macos/datagrams.cc). An end that gets less works all the same.
constexpr int kSendBuffer = 1 << 20;
constexpr int kReceiveBuffer = 8 << 20;

}  // namespace

Result<SocketPair> make_socket_pair(SocketType type) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, type == SocketType::kStream ? SOCK_STREAM : SOCK_DGRAM, 0,
                   ends.data()) != 0) {
    return fail_errno("cannot create the VM's pair of sockets", errno);
  }
  for (int end : ends) {
    ::fcntl(end, F_SETFD, FD_CLOEXEC);
    ::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof(kSendBuffer));
    ::setsockopt(end, SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof(kReceiveBuffer));
  }
  return SocketPair{.helper = UniqueFd(ends[0]), .command = UniqueFd(ends[1])};
}

}  // namespace vmnet
