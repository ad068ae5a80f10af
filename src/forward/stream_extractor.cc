#include "forward/stream_extractor.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "wire/bytes.h"

namespace vmnet {

// The rest of one frame and a read behind it.
StreamExtractor::StreamExtractor(size_t max_frame)
    : max_frame_(max_frame),
      capacity_(kLengthSize + max_frame + kReadSize),
      memory_(std::make_unique_for_overwrite<uint8_t[]>(capacity_)) {}

std::span<uint8_t> StreamExtractor::room() {
  size_t rest = end_ - begin_;
  if (begin_ > 0) std::memmove(memory_.get(), memory_.get() + begin_, rest);
  begin_ = 0;
  end_ = rest;
  return {memory_.get() + end_, std::min(kReadSize, capacity_ - end_)};
}

std::span<uint8_t> StreamExtractor::next() {
  while (!bad_length_ && end_ - begin_ >= kLengthSize) {
    uint32_t length = load_be32(memory_.get() + begin_);
    if (length > max_frame_) {
      bad_length_ = length;
      break;
    }
    if (end_ - begin_ - kLengthSize < length) break;
    std::span<uint8_t> frame(memory_.get() + begin_ + kLengthSize, length);
    begin_ += kLengthSize + length;
    if (length >= kEthernetHeaderSize) return frame;
    if (length > 0) drops_++;
  }
  return {};
}

uint64_t StreamExtractor::take_drops() { return std::exchange(drops_, 0); }

void StreamExtractor::reset() {
  begin_ = 0;
  end_ = 0;
  bad_length_.reset();
}

}  // namespace vmnet
