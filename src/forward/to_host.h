// Frames of the VM on their way to the host's end.
#pragma once

#include "forward/forward_options.h"
#include "forward/forwarder.h"
#include "forward/frame_responder.h"
#include "forward/transform.h"

namespace vmnet {

class ToHost : public Transform {
 public:
  // `responder` (null: none) sees each frame first and answers through `vm`. Both outlive this.
  ToHost(const ForwardOptions& options, FrameResponder* responder, FrameSink& vm);

  static BatchSizes batch_sizes(const ForwardOptions& options);

  size_t process(ReceiveBatch& in, size_t first, SendBatch& out, uint64_t& drops) override;

 private:
  ForwardOptions options_;
  FrameResponder* responder_;
  FrameSink& vm_;
};

}  // namespace vmnet
