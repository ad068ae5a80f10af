// What tests of batches and of endpoints share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "platform/frame_batch.h"

namespace vmnet::testing {

using Frame = std::vector<uint8_t>;

inline Frame frame_of(size_t size, uint8_t fill) {
  Frame frame(size);
  std::ranges::fill(frame, fill);
  return frame;
}

inline std::vector<Frame> frames_in(ReceiveBatch& batch) {
  std::vector<Frame> frames;
  for (size_t i = 0; i < batch.count(); i++) {
    auto frame = batch.frame(i);
    frames.emplace_back(frame.begin(), frame.end());
  }
  return frames;
}

}  // namespace vmnet::testing
