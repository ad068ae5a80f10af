// What is the same on every platform.
#include "platform/datagrams.h"

#include <algorithm>
#include <cerrno>

namespace vmnet {

bool Sender::same_name(const Sender& other) const {
  size_t size = address_size - offsetof(sockaddr_un, sun_path);
  return has_name() && address_size == other.address_size &&
         std::equal(address.sun_path, address.sun_path + size, other.address.sun_path);
}

bool is_connected(int fd) {
  sockaddr_un peer{};
  socklen_t size = sizeof(peer);
  return ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

bool connect_to(int fd, const Sender& sender) {
  int connected = 0;
  do {
    connected =
        ::connect(fd, reinterpret_cast<const sockaddr*>(&sender.address), sender.address_size);
  } while (connected != 0 && errno == EINTR);
  return connected == 0;
}

void disconnect(int fd) {
  // connect(2): no family dissolves the association. Linux cannot fail for AF_UNIX; the error that
  // macOS gives means nothing.
  sockaddr none{};
  none.sa_family = AF_UNSPEC;
  [[maybe_unused]] int result = ::connect(fd, &none, sizeof(none));
}

}  // namespace vmnet
