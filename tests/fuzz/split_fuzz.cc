// Splitting: the segments' payloads put together are the frame's, and every checksum is right by an
// independent sum. The input's first two bytes are the segment size.
#include <algorithm>
#include <vector>

#include "expect.h"
#include "frame_mutator.h"
#include "wire/split.h"

using vmnet::Bytes;
using vmnet::VirtioHeader;
using vmnet::fuzz::expect;

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  return vmnet::fuzz::mutate_frame(data, size, max_size, seed, 2);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  auto gso_size = static_cast<uint16_t>((data[0] << 8) | data[1]);
  Bytes frame(data + 2, size - 2);
  for (uint8_t type : {VirtioHeader::kGsoTcpv4, VirtioHeader::kGsoTcpv6, VirtioHeader::kGsoUdpL4}) {
    auto segmenter =
        vmnet::Segmenter::create({.gso_type = type, .gso_size = gso_size}, frame, 1514);
    if (!segmenter) continue;
    expect(segmenter->count() <= vmnet::kMaxSegments);
    size_t at = segmenter->header_size();
    for (size_t i = 0; i < segmenter->count(); i++) {
      expect(segmenter->payload_start(i) == at);
      Bytes payload = frame.subspan(at, segmenter->payload_size(i));
      at += payload.size();
      std::vector<uint8_t> segment(segmenter->header_size());
      segmenter->write_header(i, payload, segment);
      segment.insert(segment.end(), payload.begin(), payload.end());
      expect(vmnet::fits_untagged(segment, 1514));
      bool plain = segment[12] != 0x81 && segment[12] != 0x88 &&
                   (type != VirtioHeader::kGsoTcpv6 || segment[20] == 6) &&
                   (type != VirtioHeader::kGsoUdpL4 || segment[12] == 8 || segment[20] == 17);
      if (plain) expect(vmnet::fuzz::checksums_are_right(segment));
    }
    expect(at <= frame.size());
  }
  return 0;
}
