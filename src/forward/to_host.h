// VM to host: lets the network's services answer first, then merges what belongs together and puts
// a virtio header before each frame: in its slot's headroom, or as a part of its own where it has
// none.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "forward/data_path.h"
#include "forward/transform.h"
#include "platform/frame_responder.h"
#include "wire/merge.h"
#include "wire/path_mtu.h"

namespace vmnet {

class ToHost final : public Transform {
 public:
  // `responder` and `paths` may be null; all pointers outlive this. `max_frames`: the most that one
  // call of process() consumes, the receive batch's capacity. `paths`: what ToVm learned.
  ToHost(const DataPathOptions& options, size_t max_frames, FrameResponder* responder,
         FrameSink* vm, const PathMtus* paths = nullptr);

  size_t process(ReceiveBatch& in, size_t first, SendBatch& out, uint64_t& drops) override;

 private:
  using Header = std::array<uint8_t, VirtioHeader::kSize>;

  // False: nothing can carry this frame.
  bool emit(size_t index, bool headroom, SendBatch& out);
  size_t mtu_for(Bytes frame) const;

  DataPathOptions options_;
  FrameResponder* responder_;
  FrameSink* vm_;
  const PathMtus* paths_;
  Merger merger_;
  std::vector<Header> headers_;  // of frames without headroom
};

}  // namespace vmnet
