#include "platform/stream_clients.h"

#include <utility>

#include <sys/socket.h>

namespace vmnet {

std::optional<StreamClient> accept_stream_client(int listening_fd) {
  UniqueFd socket(::accept4(listening_fd, nullptr, nullptr, SOCK_CLOEXEC));
  if (!socket.valid()) return std::nullopt;
  StreamClient client;
  client.socket = std::move(socket);
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(client.socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0) {
    client.uid = peer.uid;
    client.pid = peer.pid;
  }
  return client;
}

}  // namespace vmnet
