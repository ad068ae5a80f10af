// What happens to frames between two endpoints: splitting, merging, answering DHCP.
#pragma once

#include <cstddef>

#include "platform/frame_batch.h"

namespace vmnet {

class Transform {
 public:
  Transform() = default;
  Transform(const Transform&) = delete;
  Transform& operator=(const Transform&) = delete;
  virtual ~Transform() = default;

  // Turns frames of `in`, from slot `first` on, into frames of `out` (empty when called) until
  // either is used up. Returns the first slot not consumed: in.count() when all were. May rewrite
  // the slots; `out` refers to them. Adds to `drops` the frames that it consumed without output
  // because they were malformed (frames it answered itself are not drops).
  virtual size_t process(ReceiveBatch& in, size_t first, SendBatch& out, uint64_t& drops) = 0;
};

}  // namespace vmnet
