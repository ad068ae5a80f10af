// Host to VM: takes the virtio header off and does what it asks for, since a VM behind a datagram
// socket sees bare Ethernet frames: checksums are completed, large frames cut to the VM's size.
#pragma once

#include <cstdint>
#include <memory>

#include "forward/data_path.h"
#include "forward/transform.h"
#include "wire/path_mtu.h"
#include "wire/split.h"

namespace vmnet {

class ToVm final : public Transform {
 public:
  // `paths` may be null and outlives this: it learns from what passes.
  explicit ToVm(const DataPathOptions& options, PathMtus* paths = nullptr);

  // `out` should have room for kMaxSegments frames of two parts: a frame that fits no empty batch
  // is dropped.
  size_t process(ReceiveBatch& in, size_t first, SendBatch& out, uint64_t& drops) override;

 private:
  enum class Outcome { kDone, kDropped, kNoRoom };
  Outcome forward(MutableBytes host_frame, SendBatch& out);
  Outcome forward_whole(const VirtioHeader& header, MutableBytes frame, SendBatch& out) const;
  Outcome forward_split(const VirtioHeader& header, MutableBytes frame, SendBatch& out);

  // Headers of the segments of one batch: room for several of the largest frames.
  static constexpr size_t kScratchHeaders = 8 * kMaxSegments;

  DataPathOptions options_;
  PathMtus* paths_;
  std::unique_ptr<uint8_t[]> scratch_;
  size_t headers_used_ = 0;
};

}  // namespace vmnet
