// Fixed memory for the frames of one direction: everything is allocated at construction, nothing
// after. A batch belongs to one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <sys/uio.h>

namespace vmnet {

inline constexpr size_t kCacheLine = 64;  // bytes; frames in memory of our own begin at one

// Received frames, one a slot. A slot has kHeadroom bytes in front of the frame, so that a
// virtio-net header can be put before it without a copy. An endpoint whose frames lie in memory of
// its own places them instead; those have no headroom.
class ReceiveBatch {
 public:
  static constexpr size_t kHeadroom = 16;

  // `slot_size`: the largest frame in bytes, without headroom; 0: every frame will be placed.
  ReceiveBatch(size_t slot_count, size_t slot_size);

  size_t capacity() const { return frames_.size(); }
  size_t slot_size() const { return slot_size_; }
  size_t count() const { return count_; }

  // The whole slot, for a read to write into; its headroom lies right before it.
  std::span<uint8_t> slot(size_t index) { return {start_of(index), slot_size_}; }

  // The frame in a slot.
  std::span<uint8_t> frame(size_t index) { return frames_[index]; }
  void set_size(size_t index, size_t size) { frames_[index] = {start_of(index), size}; }

  // Makes `frame` the frame of slot `index`, where it is: not copied, and no headroom before it. It
  // stays valid until the endpoint's next read.
  void place(size_t index, std::span<uint8_t> frame) { frames_[index] = frame; }
  bool has_headroom() const { return slot_size_ > 0; }

  // Makes the `size` bytes that lie in slot `from` the frame of slot `to` <= `from`: closes the
  // gaps that refused frames leave. Copies nothing where there was none.
  void put(size_t to, size_t from, size_t size);

  void set_count(size_t count) { count_ = count; }

 private:
  uint8_t* start_of(size_t index) { return memory_.get() + (index * stride_) + kHeadroom; }

  size_t slot_size_;
  size_t stride_;
  std::unique_ptr<uint8_t[]> memory_;  // not cleared: untouched slots cost no resident memory
  std::vector<std::span<uint8_t>> frames_;
  size_t count_ = 0;
};

// Frames to send, each a list of parts that lie in other memory (a slot, a scratch header) which
// outlives the batch's use.
class SendBatch {
 public:
  SendBatch(size_t max_frames, size_t max_parts);

  bool has_room(size_t frames, size_t parts) const {
    return frames_.size() + frames <= frames_.capacity() &&
           parts_.size() + parts <= parts_.capacity();
  }

  // Opens a frame; add_part() then appends to the last opened frame. The caller has checked
  // has_room().
  void begin_frame();
  void add_part(std::span<const uint8_t> part);

  size_t count() const { return frames_.size(); }
  size_t size_of(size_t index) const { return frames_[index].size; }
  std::span<const iovec> parts_of(size_t index) const {
    return {parts_.data() + frames_[index].first_part, frames_[index].part_count};
  }
  void clear();

 private:
  struct Frame {
    size_t first_part;
    size_t part_count;
    size_t size;  // bytes of all parts
  };
  std::vector<Frame> frames_;
  std::vector<iovec> parts_;
};

}  // namespace vmnet
