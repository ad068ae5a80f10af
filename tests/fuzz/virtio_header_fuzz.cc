// The host's frames through ToVm, for VMs with and without offload: whatever the virtio header
// says, what leaves is no larger than the VM takes (its VLAN tags come on top) and lies inside the
// slot or the scratch headers.
#include <algorithm>
#include <vector>

#include "expect.h"
#include "forward/to_vm.h"
#include "frame_mutator.h"

using vmnet::fuzz::expect;

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  return vmnet::fuzz::mutate_frame(data, size, max_size, seed, vmnet::VirtioHeader::kSize);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static vmnet::ReceiveBatch in(2, 65'600);
  static vmnet::SendBatch out(256, 512);
  static vmnet::ToVm plain({});
  static vmnet::ToVm offload({.tso = true, .checksum_offload = true});
  size = std::min(size, in.slot_size());
  for (auto* transform : {&plain, &offload}) {
    for (size_t slot = 0; slot < 2; slot++) {
      std::copy_n(data, size, in.slot(slot).begin());
      in.set_size(slot, size);
    }
    in.set_count(2);
    out.clear();
    uint64_t drops = 0;
    expect(transform->process(in, 0, out, drops) == 2);
    size_t limit = transform == &plain ? 1514 : 65'550;
    for (size_t i = 0; i < out.count(); i++) {
      std::vector<uint8_t> frame;
      for (const iovec& part : out.parts_of(i)) {
        auto* bytes = static_cast<const uint8_t*>(part.iov_base);
        frame.insert(frame.end(), bytes, bytes + part.iov_len);  // ASan looks at each
      }
      expect(frame.size() == out.size_of(i));
      expect(frame.size() >= 14 && vmnet::fits_untagged(frame, limit));
    }
    expect(drops == 0 || drops == 2);
    expect(out.count() <= 2 * vmnet::kMaxSegments);
  }
  return 0;
}
