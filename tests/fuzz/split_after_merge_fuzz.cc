// Split after merge against an independent checker: a merged frame is cut here byte by byte, with
// arithmetic of this file's own, and both this and the engine's cut must equal the frames that went
// in. The licence: the id of IPv4 packets with DF (RFC 6864).
#include <algorithm>

#include "expect.h"
#include "frame_mutator.h"
#include "wire/merge.h"
#include "wire/split.h"

using vmnet::Merger;
using vmnet::fuzz::expect;
using Frame = std::vector<uint8_t>;

namespace {

uint32_t get32(const Frame& frame, size_t at) {
  return (uint32_t{frame[at]} << 24) | (uint32_t{frame[at + 1]} << 16) |
         (uint32_t{frame[at + 2]} << 8) | frame[at + 3];
}

// What of a segment's transport header is not the merged frame's, as RFC 768, 9293 and 3168 say it.
void renew_transport(Frame& segment, size_t transport, size_t begin_in_payload, bool first,
                     bool last, bool udp) {
  if (udp) {
    size_t length = segment.size() - transport;
    segment[transport + 4] = static_cast<uint8_t>(length >> 8);
    segment[transport + 5] = static_cast<uint8_t>(length);
    return;
  }
  uint32_t sequence = get32(segment, transport + 4) + static_cast<uint32_t>(begin_in_payload);
  for (size_t i = 0; i < 4; i++)
    segment[transport + 4 + i] = static_cast<uint8_t>(sequence >> (24 - 8 * i));
  if (!last) segment[transport + 13] &= 0xf6;   // FIN, PSH
  if (!first) segment[transport + 13] &= 0x7f;  // CWR
}

// Segment `index` of a merged frame.
Frame cut(const Frame& whole, const vmnet::VirtioHeader& header, size_t index) {
  size_t headers = header.header_length;
  size_t size = header.gso_size;
  size_t begin = headers + (index * size);
  size_t end = std::min(whole.size(), begin + size);
  Frame segment(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(headers));
  segment.insert(segment.end(), whole.begin() + static_cast<ptrdiff_t>(begin),
                 whole.begin() + static_cast<ptrdiff_t>(end));
  renew_transport(segment, header.checksum_start, index * size, index == 0, end == whole.size(),
                  header.gso_type == vmnet::VirtioHeader::kGsoUdpL4);
  if (segment[12] == 8) {
    size_t id = (size_t{whole[18]} << 8 | whole[19]) + index;
    segment[18] = static_cast<uint8_t>(id >> 8);
    segment[19] = static_cast<uint8_t>(id);
  }
  vmnet::fuzz::mend(segment);
  return segment;
}

bool same(const Frame& in, Frame out) {
  if (in.size() != out.size()) return false;
  bool may_repeat_id =
      in[12] == 8 && (in[20] & 0x40) != 0 && in[18] == out[18] && in[19] != out[19];
  bool carried = in[12] == 8 && (in[20] & 0x40) != 0 && in[18] != out[18];
  if (may_repeat_id || carried) {
    for (size_t at : {18U, 19U, 24U, 25U}) out[at] = in[at];
  }
  return in == out;
}

void check_group(const Merger& merger, size_t first, const std::vector<Frame>& originals) {
  Frame whole;
  std::vector<size_t> members;
  for (auto at = static_cast<uint32_t>(first); at != Merger::kEnd; at = merger.next(at)) {
    auto part = merger.part(at);
    whole.insert(whole.end(), part.begin(), part.end());
    members.push_back(at);
  }
  const vmnet::VirtioHeader& header = merger.header(first);
  auto segmenter = vmnet::Segmenter::create(header, whole, 1514);
  expect(segmenter.has_value() && segmenter->count() == members.size());
  for (size_t i = 0; i < members.size(); i++) {
    const Frame& in = originals[members[i]];
    Frame naive = cut(whole, header, i);
    expect(same(in, naive));
    std::span<const uint8_t> payload(whole.data() + segmenter->payload_start(i),
                                     segmenter->payload_size(i));
    Frame segment(segmenter->header_size());
    segmenter->write_header(i, payload, segment);
    segment.insert(segment.end(), payload.begin(), payload.end());
    expect(segment == naive);
  }
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  return vmnet::fuzz::mutate_frames(data, size, max_size, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto frames = vmnet::fuzz::frames_of({data, size});
  const auto originals = frames;
  Merger merger(frames.size(), {.merge_udp = true});
  for (auto& frame : frames) merger.add(frame);
  merger.finish();
  for (size_t i = 0; i < merger.count(); i++) {
    if (merger.begins_group(i) && merger.is_merged(i)) check_group(merger, i, originals);
  }
  return 0;
}
