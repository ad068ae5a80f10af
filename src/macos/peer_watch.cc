// A datagram socket whose peer has closed is no longer connected, which getpeername(2) tells.
#include "platform/peer_watch.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/socket.h>

namespace vmnet {

struct PeerWatch::State {
  UniqueFd socket;  // a duplicate
};

PeerWatch::PeerWatch(std::unique_ptr<State> state) : state_(std::move(state)) {}
PeerWatch::PeerWatch(PeerWatch&& other) noexcept = default;
PeerWatch& PeerWatch::operator=(PeerWatch&& other) noexcept = default;
PeerWatch::~PeerWatch() = default;

Result<PeerWatch> PeerWatch::open(int socket) {
  auto state = std::make_unique<State>();
  state->socket = UniqueFd(::fcntl(socket, F_DUPFD_CLOEXEC, 0));
  if (!state->socket.valid()) return fail_errno("cannot watch the VM's socket", errno);
  return PeerWatch(std::move(state));
}

PeerWatch PeerWatch::blind() { return PeerWatch(std::make_unique<State>()); }

bool PeerWatch::peer_gone() {
  if (!state_->socket.valid()) return false;
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (::getpeername(state_->socket.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    return false;
  }
  return errno == ENOTCONN || errno == EINVAL;  // EINVAL: it was shut down as well
}

// No datagram tells its sender's process here, so there is none to watch.
UniqueFd open_process_watch(pid_t /*pid*/) { return {}; }

}  // namespace vmnet
