// Takes a merged frame apart again, where the kernel refuses it (EINVAL): kernels differ in what
// they check of a virtio header, and a frame that came in ought to go out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include <sys/uio.h>

#include "wire/split.h"

namespace vmnet {

class Unmerger {
 public:
  // Allocates for the largest frame; memory that is never used costs nothing.
  Unmerger();

  // `frame`: a virtio header and a frame behind it, in parts; copied. False: it is no merged one.
  bool load(std::span<const iovec> frame);

  size_t count() const { return segmenter_->count(); }

  // What to send as segment `index` < count() of the loaded frame: a virtio header of zeros and the
  // segment's own headers, its payload. Valid until the next call.
  std::array<iovec, 2> segment(size_t index);

 private:
  static constexpr size_t kMaxFrame = 65'550 + kMaxTagsSize;

  std::unique_ptr<uint8_t[]> frame_;
  std::array<uint8_t, VirtioHeader::kSize + Segmenter::kMaxHeader> headers_{};
  std::optional<Segmenter> segmenter_;
};

}  // namespace vmnet
