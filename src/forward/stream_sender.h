// Frames into a stream, each behind its length: many a call, straight from where they lie. What a
// call leaves of a frame that it began is kept, and goes out first in the next: a stream is never
// cut inside a frame.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <sys/uio.h>

#include "forward/stream_extractor.h"

namespace vmnet {

class StreamSender {
 public:
  // Allocates for frames of at most `max_frame` bytes.
  explicit StreamSender(size_t max_frame);

  // Whether a frame of that size can go out at all.
  bool can_carry(size_t size) const { return size > 0 && size <= max_frame_; }

  // Gathers frames for the next send(), for which they must live. False: the call is full. The size
  // of all parts together is one that can be carried.
  void begin();
  bool add(std::span<const iovec> frame);

  enum class Fault {
    kNone,
    kFull,  // no room: later, perhaps
    kGone,  // the peer takes nothing any more; a read tells whether it has gone
  };
  struct Sent {
    size_t frames = 0;   // gone out, or begun: what is left of the last one is kept
    uint64_t bytes = 0;  // in them
    Fault fault = Fault::kNone;
  };
  // One system call without a wait, on a stream socket. The caller ignores SIGPIPE.
  Sent send(int fd);

  // A new stream: forgets what was kept.
  void reset();

 private:
  static constexpr size_t kMaxParts = 1024;  // UIO_MAXIOV, IOV_MAX
  static constexpr size_t kMaxFrames = kMaxParts / 2;

  struct Frame {
    size_t first_part;
    size_t size;  // with its length
  };

  Sent account(size_t sent);
  void keep_rest(size_t frame, size_t sent);

  size_t max_frame_;
  std::vector<iovec> parts_;
  std::vector<Frame> frames_;
  std::vector<std::array<uint8_t, kLengthSize>> lengths_;

  std::unique_ptr<uint8_t[]> memory_;  // of a length and a frame
  std::span<uint8_t> rest_;            // in memory_, still to go out
};

}  // namespace vmnet
