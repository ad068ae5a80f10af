// Host to VM: takes the virtio header off and does what it asks for, since a VM behind a datagram
// socket sees bare Ethernet frames: checksums are completed, large frames cut to the VM's size.
//
// A frame goes out as one part, for which the payload of a segment is copied behind its headers: it
// is in the processor's cache, from its checksum, and a datagram of two parts costs the kernel more
// than that copy (5 % of the helper's time [measured on 6.18]).
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

  // `out` should have room for kMaxSegments frames of one part: a frame that fits no empty batch is
  // dropped.
  size_t process(ReceiveBatch& in, size_t first, SendBatch& out, uint64_t& drops) override;

 private:
  enum class Outcome { kDone, kDropped, kNoRoom };
  Outcome forward(MutableBytes host_frame, SendBatch& out);
  Outcome forward_whole(const VirtioHeader& header, MutableBytes frame, SendBatch& out) const;
  Outcome forward_split(const VirtioHeader& header, MutableBytes frame, SendBatch& out);

  // Segments of one batch: room for several of the largest frames.
  static constexpr size_t kMaxCopied = 4 * kMaxSegments;

  DataPathOptions options_;
  PathMtus* paths_;
  size_t stride_;                      // of copied_, for a segment of the largest size
  std::unique_ptr<uint8_t[]> copied_;  // not cleared: what is not used costs no resident memory
  size_t copies_ = 0;                  // in copied_
};

}  // namespace vmnet
