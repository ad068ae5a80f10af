// One direction of the cable: moves frames from one endpoint to the other through a transform, on a
// thread of its own.
//
// Waits in poll() alone, allocates nothing after construction, logs nothing: what goes wrong is
// counted.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "forward/stats.h"
#include "forward/transform.h"
#include "platform/endpoint.h"
#include "platform/frame_batch.h"
#include "platform/frame_responder.h"

namespace vmnet {

struct BatchSizes {
  size_t read_slots = 64;
  size_t slot_size = 0;  // the largest frame that `from` may bring, its virtio-net header included
  size_t write_frames = 64;
  size_t write_parts = 128;
};

enum class ForwardEnd {
  kStopped,     // the stop signal
  kSourceGone,  // nothing will ever come again
  kTargetGone,  // nothing will ever go again
};

class Forwarder {
 public:
  // All of these outlive the forwarder.
  Forwarder(Endpoint& from, Endpoint& to, Transform& transform, DirectionStats& stats,
            const BatchSizes& sizes);
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  // Has run() call responder.tick(vm) whenever it is due, beginning at once. Before run().
  void enable_ticks(FrameResponder& responder, FrameSink& vm);

  // Forwards until `stop_fd` is readable (it is never read, so one flag stops several forwarders)
  // or an endpoint is gone. A stop is seen within a few batches and at most kMaxWriteWait for each.
  // The thread's signals should be blocked.
  ForwardEnd run(int stop_fd);

 private:
  using Clock = std::chrono::steady_clock;

  enum class Ready { kStop, kFrames, kNothing };
  Ready wait(int stop_fd);
  int poll_timeout() const;
  void tick_if_due();
  std::optional<ForwardEnd> drain();
  bool deliver();  // false: the target is gone

  Endpoint& from_;
  Endpoint& to_;
  Transform& transform_;
  DirectionStats& stats_;
  ReceiveBatch in_;
  SendBatch out_;
  FrameResponder* responder_ = nullptr;
  FrameSink* vm_ = nullptr;
  std::optional<Clock::time_point> next_tick_;
  int empty_wake_ups_ = 0;
};

}  // namespace vmnet
