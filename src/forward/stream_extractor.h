// Frames out of a stream: each comes behind its length in bytes, 32 bits, big endian (QEMU's
// net/stream.c and net/socket.c). Pure: bytes in, frames out, in place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "platform/config.h"

namespace vmnet {

inline constexpr size_t kLengthSize = 4;  // bytes of a frame's length

class StreamExtractor {
 public:
  // What one read should ask for. 43 frames of 1514 bytes: as many as make one large segment.
  static constexpr size_t kReadSize = 64 << 10;

  // The most frames that one read completes.
  static constexpr size_t kMaxFrames = kReadSize / (kLengthSize + kEthernetHeaderSize) + 1;

  // Allocates for frames of at most `max_frame` bytes.
  explicit StreamExtractor(size_t max_frame);

  // Where the next bytes of the stream belong: kReadSize bytes. Frames handed out before end with
  // this call, and all that were complete should have been taken.
  std::span<uint8_t> room();

  // So many bytes came into room().
  void received(size_t size) { end_ += size; }

  // The next complete frame; without one, empty. A frame below the size of an Ethernet header is
  // skipped and counted as a drop; a length of 0 is skipped.
  std::span<uint8_t> next();

  // The length that was above the maximum: from there on the stream means nothing.
  std::optional<uint32_t> bad_length() const { return bad_length_; }

  // Frames skipped since the last call.
  uint64_t take_drops();

  // Whether a frame has begun that is not complete.
  bool inside_frame() const { return begin_ < end_; }

  // A new stream.
  void reset();

 private:
  size_t max_frame_;
  size_t capacity_;
  std::unique_ptr<uint8_t[]> memory_;
  size_t begin_ = 0;  // of what has not been handed out
  size_t end_ = 0;
  uint64_t drops_ = 0;
  std::optional<uint32_t> bad_length_;
};

}  // namespace vmnet
