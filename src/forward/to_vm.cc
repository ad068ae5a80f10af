#include "forward/to_vm.h"

namespace vmnet {

constexpr size_t kHeader = 12;

ToVm::ToVm(const ForwardOptions& options) : options_(options) {}

BatchSizes ToVm::batch_sizes(const ForwardOptions& /*options*/) {
  return {.read_slots = 64, .slot_size = 1514 + 4 + kHeader, .write_frames = 64, .write_parts = 64};
}

size_t ToVm::process(ReceiveBatch& in, size_t first, SendBatch& out, uint64_t& drops) {
  size_t i = first;
  for (; i < in.count() && out.has_room(1, 1); i++) {
    auto frame = in.frame(i);
    if (frame.size() < kHeader + 14) {
      drops++;
      continue;
    }
    out.begin_frame();
    out.add_part(frame.subspan(kHeader));
  }
  return i;
}

}  // namespace vmnet
