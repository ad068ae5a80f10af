// Answers some frames of the VM in place of a service on the host.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>

namespace vmnet {

// Sends one bare Ethernet frame to the VM. Any thread; may lose it.
class FrameSink {
 public:
  FrameSink() = default;
  FrameSink(const FrameSink&) = delete;
  FrameSink& operator=(const FrameSink&) = delete;
  virtual ~FrameSink() = default;
  virtual void send(std::span<const uint8_t> frame) = 0;

  // Another number whenever another VM may be at that end. Any thread.
  virtual uint64_t epoch() const { return 0; }
};

class FrameResponder {
 public:
  FrameResponder() = default;
  FrameResponder(const FrameResponder&) = delete;
  FrameResponder& operator=(const FrameResponder&) = delete;
  virtual ~FrameResponder() = default;

  // Looks at one frame from the VM; answers through `vm`, or not. True: the frame is dealt with and
  // goes no further. Called by the thread that reads the VM's socket, for each frame, so the common
  // case decides on a few bytes.
  virtual bool handle(std::span<const uint8_t> frame, FrameSink& vm) = 0;

  // Sends what is due without being asked (unsolicited router advertisements). Called by the same
  // thread; returns how long until the next call is due, nothing where there is none.
  virtual std::optional<std::chrono::milliseconds> tick(FrameSink& vm) = 0;
};

}  // namespace vmnet
