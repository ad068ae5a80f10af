// The forwarding life of a helper: two forwarders on their threads, and the main thread that waits
// for the end and tells of what happens meanwhile.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <latch>
#include <memory>
#include <optional>

#include "base/result.h"
#include "base/thread.h"
#include "forward/capture.h"
#include "forward/client_monitor.h"
#include "forward/forwarder.h"
#include "forward/to_host.h"
#include "forward/to_vm.h"
#include "forward/vm_end.h"
#include "forward/wake_up.h"
#include "helper/session_end.h"
#include "platform/config.h"
#include "platform/host_interface.h"
#include "platform/peer_watch.h"

namespace vmnet {

struct SessionConfig {
  NetworkConfig network;
  std::optional<std::chrono::seconds> stats_interval;
  int stop_fd = -1;                  // readable: stop; SignalWatch
  const Capture* capture = nullptr;  // whose counters are printed too; outlives the session
};

class Session {
 public:
  // Allocates all that forwarding needs. `interface`, `vm` and `to_vm_stats` (in which `vm` counts
  // what it sends by itself) outlive the session; `watch` is of the VM's socket.
  static Result<std::unique_ptr<Session>> create(const SessionConfig& config,
                                                 HostInterface& interface, VmEnd& vm,
                                                 PeerWatch watch, DirectionStats& to_vm_stats);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  // Starts the threads. They wait for run(), so that a sandbox can be put around all of them.
  Status start_threads();

  // Forwards. Returns when the session has ended and its threads with it.
  SessionEnd run();

 private:
  using Clock = std::chrono::steady_clock;

  Session(const SessionConfig& config, HostInterface& interface, VmEnd& vm, PeerWatch watch,
          DirectionStats& to_vm_stats, WakeUp go, WakeUp stop, WakeUp ended);

  void run_thread(Forwarder& forwarder, ForwardEnd vm_end);
  SessionEnd wait_for_end();
  std::optional<SessionEnd> end_of_threads() const;
  void print_stats_if_due();
  int poll_timeout() const;

  const SessionConfig config_;
  HostInterface& interface_;
  DirectionStats& to_vm_stats_;
  DirectionStats to_host_stats_;
  std::unique_ptr<FrameResponder> responder_;
  PathMtus paths_;  // of a VM with TSO: one direction learns, the other asks
  ToVm to_vm_;
  ToHost to_host_;
  Forwarder vm_forwarder_;    // host to VM
  Forwarder host_forwarder_;  // VM to host

  WakeUp go_;  // not a latch: its spinning yields, which the sandbox does not allow
  WakeUp stop_threads_;
  WakeUp thread_ended_;
  std::atomic<bool> vm_gone_ = false;
  std::atomic<bool> interface_gone_ = false;
  std::latch threads_ready_{2};
  std::array<Thread, 2> threads_;

  // Of the main thread.
  ClientMonitor client_monitor_;
  std::optional<Clock::time_point> next_stats_;
};

}  // namespace vmnet
