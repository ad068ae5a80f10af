// Tells that the peer of a connected AF_UNIX socket has closed, when nothing moves that would show
// it: the end of a datagram peer raises no event. One header, a body per platform.
#pragma once

#include <memory>
#include <optional>

#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vmnet {

class PeerWatch {
 public:
  // Prepares to ask about `socket`, which is not kept. With privilege and before threads: on Linux,
  // where the socket belongs to another network namespace than the process, it must be asked about
  // there (CAP_NET_ADMIN and CAP_SYS_ADMIN).
  static Result<PeerWatch> open(int socket);

  // A watch that sees nothing: peer_gone() is always false.
  static PeerWatch blind();

  PeerWatch(PeerWatch&& other) noexcept;
  PeerWatch& operator=(PeerWatch&& other) noexcept;
  ~PeerWatch();

  // True: there is no peer (any more). False: there is, or it could not be asked. Needs no
  // privilege; on Linux one send and one receive that does not wait, on a socket of its own. One
  // thread.
  bool peer_gone();

 private:
  struct State;
  explicit PeerWatch(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// A descriptor that becomes readable when process `pid` ends (Linux: pidfd_open(2), Linux 5.3);
// invalid where that cannot be had. A hint only: the process may not be who holds the peer.
UniqueFd open_process_watch(pid_t pid);

}  // namespace vmnet
