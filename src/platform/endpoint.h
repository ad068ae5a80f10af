// One end of the cable: the VM's socket, a TAP, a vmnet interface, a fake in tests.
//
// Frames of the host's end begin with a virtio-net header (wire/virtio_header.h); frames of the
// VM's end are bare Ethernet. One thread reads an endpoint and one writes it, at the same time. A
// virtual call moves a batch, never a single frame.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "platform/frame_batch.h"

namespace vmnet {

// How long one write may wait for room.
inline constexpr std::chrono::milliseconds kMaxWriteWait{100};

// What a read or a write did. Frames that the endpoint refused are counted as drops and never
// stop it; `gone` says that nothing will ever move again.
struct Transfer {
  uint64_t frames = 0;         // moved
  uint64_t bytes = 0;          // in them
  uint64_t drops = 0;          // frames lost: refused, malformed, no room within the bounded wait
  uint64_t batched_calls = 0;  // system calls that moved several frames or could have
  uint64_t single_calls = 0;   // system calls for one frame
  bool drained = false;        // of a read: it saw the end of what was there
  bool gone = false;           // the other side has closed for good
};

class Endpoint {
 public:
  Endpoint() = default;
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;
  virtual ~Endpoint() = default;

  // Becomes readable (poll) when read() has something to return. Owned by the endpoint.
  virtual int ready_fd() const = 0;

  // Fills `batch` from its start with what is there, up to its capacity or to as many bytes as are
  // well moved at once, and returns at once; batch.count() of 0 means drained. The frame in slot i
  // is batch.frame(i).
  virtual Transfer read(ReceiveBatch& batch) = 0;

  // Sends all frames in order. Waits for room at most kMaxWriteWait, once a batch, and then drops
  // the rest.
  virtual Transfer write(const SendBatch& batch) = 0;
};

}  // namespace vmnet
