// The rebuilt header: its offsets lie in the frame, completing the checksum it asks for gives a
// right one, and only the checksum field was touched.
#include <vector>

#include "expect.h"
#include "frame_mutator.h"
#include "wire/offload.h"
#include "wire/split.h"

using vmnet::fuzz::expect;

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  return vmnet::fuzz::mutate_frame(data, size, max_size, seed, 0);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::vector<uint8_t> original(data, data + size);
  std::vector<uint8_t> frame = original;
  auto rebuilt = vmnet::rebuild_header(frame, 1500);
  if (!rebuilt) return 0;
  const vmnet::VirtioHeader& header = rebuilt->header;
  expect(rebuilt->frame_size <= size);
  expect(header.gso_type == 0 || header.gso_size > 0);
  if (!header.needs_checksum()) {
    expect(frame == original && header == vmnet::VirtioHeader{});
    return 0;
  }
  size_t field = header.checksum_start + size_t{header.checksum_offset};
  expect(field + 2 <= rebuilt->frame_size && header.header_length <= rebuilt->frame_size);
  for (size_t i = 0; i < size; i++) {
    expect(frame[i] == original[i] || i == field || i == field + 1);
  }
  frame.resize(rebuilt->frame_size);
  expect(vmnet::complete_checksum(header, frame));
  if (header.checksum_start == 34 && frame[12] == 8) {
    // IPv4's own checksum is the guest's business; only the transport's was finished.
    frame[24] = frame[25] = 0;
    std::vector<uint8_t> mended = frame;
    vmnet::fuzz::mend(mended);
    mended[24] = mended[25] = 0;
    bool zero_sum = frame[field] == 0xff && frame[field + 1] == 0xff;
    expect(zero_sum || frame == mended);
  }
  return 0;
}
