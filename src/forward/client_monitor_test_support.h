// What tests of the client monitor share.
#pragma once

#include <array>

#include <poll.h>

#include "forward/client_monitor.h"
#include "forward/vm_socket_test_support.h"

namespace vmnet::testing {

inline ClientMonitor monitor_of(VmSocket& socket) {
  auto watch = PeerWatch::open(socket.ready_fd());
  EXPECT_TRUE(watch);
  return {socket, std::move(*watch)};
}

inline bool wakes(const ClientMonitor& monitor, std::chrono::milliseconds timeout) {
  std::array<pollfd, 3> entries{};
  for (size_t i = 0; i < entries.size(); i++) {
    entries.at(i) = {.fd = monitor.wake_fds().at(i), .events = POLLIN, .revents = 0};
  }
  return ::poll(entries.data(), entries.size(), static_cast<int>(timeout.count())) > 0;
}

class BoundClientMonitor : public BoundVmSocketTest {};

}  // namespace vmnet::testing
