#include "forward/to_host.h"

#include <cstring>

namespace vmnet {

constexpr size_t kHeader = 12;

ToHost::ToHost(const ForwardOptions& options, FrameResponder* responder, FrameSink& vm)
    : options_(options), responder_(responder), vm_(vm) {}

BatchSizes ToHost::batch_sizes(const ForwardOptions& options) {
  return {.read_slots = 64,
          .slot_size = options.tso ? size_t{65550} : size_t{1514},
          .write_frames = 64,
          .write_parts = 64};
}

size_t ToHost::process(ReceiveBatch& in, size_t first, SendBatch& out, uint64_t& drops) {
  size_t i = first;
  for (; i < in.count() && out.has_room(1, 1); i++) {
    auto frame = in.frame(i);
    if (frame.size() < 14) {
      drops++;
      continue;
    }
    if (responder_ != nullptr && responder_->handle(frame, vm_)) continue;
    std::memset(frame.data() - kHeader, 0, kHeader);
    out.begin_frame();
    out.add_part({frame.data() - kHeader, frame.size() + kHeader});
  }
  return i;
}

}  // namespace vmnet
