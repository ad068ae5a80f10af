// Frames of the host's end on their way to the VM.
#pragma once

#include "forward/forward_options.h"
#include "forward/forwarder.h"
#include "forward/transform.h"

namespace vmnet {

class ToVm : public Transform {
 public:
  explicit ToVm(const ForwardOptions& options);

  // What a forwarder with this transform should allocate.
  static BatchSizes batch_sizes(const ForwardOptions& options);

  size_t process(ReceiveBatch& in, size_t first, SendBatch& out, uint64_t& drops) override;

 private:
  ForwardOptions options_;
};

}  // namespace vmnet
