#include "platform/frame_batch.h"

#include <algorithm>

namespace vmnet {
namespace {

size_t round_up(size_t size) { return (size + kCacheLine - 1) / kCacheLine * kCacheLine; }

}  // namespace

ReceiveBatch::ReceiveBatch(size_t slot_count, size_t slot_size)
    : slot_size_(slot_size),
      stride_(round_up(kHeadroom + slot_size)),
      memory_(std::make_unique_for_overwrite<uint8_t[]>(slot_size == 0 ? 0 : slot_count * stride_)),
      frames_(slot_count) {}

void ReceiveBatch::put(size_t to, size_t from, size_t size) {
  if (to != from) std::copy_n(start_of(from), size, start_of(to));
  set_size(to, size);
}

SendBatch::SendBatch(size_t max_frames, size_t max_parts) {
  frames_.reserve(max_frames);
  parts_.reserve(max_parts);
}

void SendBatch::begin_frame() {
  frames_.push_back({.first_part = parts_.size(), .part_count = 0, .size = 0});
}

void SendBatch::add_part(std::span<const uint8_t> part) {
  // sendmsg and writev only read, but struct iovec has no const form.
  parts_.push_back({.iov_base = const_cast<uint8_t*>(part.data()), .iov_len = part.size()});
  frames_.back().part_count++;
  frames_.back().size += part.size();
}

void SendBatch::clear() {
  frames_.clear();
  parts_.clear();
}

}  // namespace vmnet
