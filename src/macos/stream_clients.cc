#include "platform/stream_clients.h"

#include <utility>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace vmnet {

std::optional<StreamClient> accept_stream_client(int listening_fd) {
  UniqueFd socket(::accept(listening_fd, nullptr, nullptr));
  if (!socket.valid()) return std::nullopt;
  ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC);
  StreamClient client;
  client.socket = std::move(socket);
  uid_t uid = 0;
  gid_t gid = 0;
  if (::getpeereid(client.socket.get(), &uid, &gid) == 0) client.uid = uid;
  return client;
}

}  // namespace vmnet
