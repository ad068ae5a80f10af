// The life of a helper whose VM has the host's device itself (--tap): it answers the VM's questions
// to the network and waits for the end. On main's thread alone.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "base/result.h"
#include "helper/session_end.h"
#include "platform/frame_responder.h"
#include "platform/host_interface.h"
#include "platform/peer_watch.h"

namespace vmnet {

class NativeSession {
 public:
  // `interface` has a native_device(), and outlives the session; `watch` is of `vm_socket`, a
  // connected socket whose other end the VM's program keeps open as long as it wants the network.
  // Readable `stop_fd`: stop.
  NativeSession(HostInterface& interface, PeerWatch watch, int vm_socket, int stop_fd);

  // Sends the device's descriptor over the VM's socket, with the three bytes "TAP". A VM that has
  // gone already is no error: run() sees that.
  Status hand_over();

  // Serves until the end: kVmGone where the VM has closed the socket, or the device.
  SessionEnd run();

 private:
  using Clock = std::chrono::steady_clock;

  void tick_if_due();
  void answer_requests();
  int poll_timeout() const;

  HostInterface& interface_;
  NativeDevice& device_;
  std::unique_ptr<FrameResponder> responder_;  // null: nothing is answered here
  PeerWatch watch_;
  int vm_socket_;
  int stop_fd_;
  std::optional<Clock::time_point> next_tick_;
};

}  // namespace vmnet
