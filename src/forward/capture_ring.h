// Memory between a thread that must not wait and one that writes to a file: blocks of bytes, in
// order, each in one piece.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace vmnet {

// One thread puts blocks in, one takes them out, neither waits for the other.
class CaptureRing {
 public:
  // Bytes; allocated at once.
  explicit CaptureRing(size_t capacity);
  CaptureRing(const CaptureRing&) = delete;
  CaptureRing& operator=(const CaptureRing&) = delete;

  // Room for a block of at least one byte, behind those before it; empty: there is none.
  std::span<uint8_t> reserve(size_t size);

  // Lets the other thread see what was reserved, and filled.
  void publish();

  // The oldest blocks, as many as lie in one piece; empty: there are none. There may be more behind
  // them, which are seen when these are released.
  std::span<const uint8_t> oldest();

  // The first `size` bytes of those, whole blocks, are not needed any more.
  void release(size_t size);

 private:
  // Positions only grow; the place of one is its remainder. The memory is gone through in laps, and
  // a block that does not fit into the rest of a lap begins the next one.
  size_t next_lap(size_t position) const { return (position / capacity_ + 1) * capacity_; }

  const size_t capacity_;
  const std::unique_ptr<uint8_t[]> memory_;
  size_t reserved_ = 0;              // of the thread that puts in
  std::atomic<size_t> lap_end_ = 0;  // where the last lap's blocks end; seen with written_
  alignas(64) std::atomic<size_t> written_ = 0;
  alignas(64) std::atomic<size_t> read_ = 0;
};

}  // namespace vmnet
