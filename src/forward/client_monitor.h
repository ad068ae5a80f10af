// Watches over the VM socket's peer for main: who came, who went, and when it is time to end.
//
// Main adds wake_fds() to its poll, with a timeout of at most kInterval, and calls check() whenever
// that returns. main's thread alone.
#pragma once

#include <array>
#include <chrono>

#include "base/unique_fd.h"
#include "forward/vm_end.h"
#include "platform/peer_watch.h"

namespace vmnet {

class ClientMonitor {
 public:
  static constexpr std::chrono::milliseconds kInterval{500};

  // `watch` is of the socket that `socket` is made from.
  ClientMonitor(VmEnd& socket, PeerWatch watch);

  // Readable when check() should be called before kInterval is over. -1 entries are for poll to
  // ignore. They change with each check().
  std::array<int, 3> wake_fds() const;

  // Admits who waits to be a client. Looks whether the peer is still there and releases a bound
  // socket from a client that has gone. False: the peer of a connected socket has gone, so the
  // helper's work is over. Logs who comes and goes, who did not keep to the protocol, and how many
  // others were refused: at most 10 lines a second; what is left out is made up for by a later
  // call.
  [[nodiscard]] bool check();

 private:
  using Clock = std::chrono::steady_clock;

  void follow(const VmEnd::Client& client);
  void log_news(const VmEnd::Client& client);

  VmEnd& socket_;
  PeerWatch watch_;
  uint64_t epoch_;           // of the client last followed
  UniqueFd client_process_;  // a hint: the process that the client came from
  uint64_t logged_epoch_;
  uint64_t logged_refused_ = 0;
  uint64_t logged_faults_ = 0;
  Clock::time_point next_log_;
};

}  // namespace vmnet
