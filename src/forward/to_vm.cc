#include "forward/to_vm.h"

#include <cstring>

namespace vmnet {

ToVm::ToVm(const DataPathOptions& options, PathMtus* paths)
    : options_(options),
      paths_(paths),
      stride_((options.max_segment_frame() + kMaxTagsSize + kCacheLine - 1) / kCacheLine *
              kCacheLine),
      copied_(std::make_unique_for_overwrite<uint8_t[]>(kMaxCopied * stride_)) {}

size_t ToVm::process(ReceiveBatch& in, size_t first, SendBatch& out, uint64_t& drops) {
  copies_ = 0;
  for (size_t slot = first; slot < in.count(); slot++) {
    switch (forward(in.frame(slot), out)) {
      case Outcome::kDone:
        break;
      case Outcome::kDropped:
        drops++;
        break;
      case Outcome::kNoRoom:
        return slot;
    }
  }
  return in.count();
}

ToVm::Outcome ToVm::forward(MutableBytes host_frame, SendBatch& out) {
  if (host_frame.size() < VirtioHeader::kSize + EthernetHeader::kSize) return Outcome::kDropped;
  VirtioHeader header = read_virtio_header(host_frame.first<VirtioHeader::kSize>());
  MutableBytes frame = host_frame.subspan(VirtioHeader::kSize);
  uint8_t segmentation = header.segmentation();
  if (segmentation == VirtioHeader::kGsoNone) {
    if (paths_ != nullptr && options_.tso) paths_->learn(frame);
    return forward_whole(header, frame, out);
  }
  // Without a header to say so the guest would take several datagrams for one: those are always
  // cut.
  bool whole = options_.tso && fits_untagged(frame, options_.max_frame()) &&
               header.needs_checksum() && segmentation != VirtioHeader::kGsoUdpL4;
  if (!whole) return forward_split(header, frame, out);
  // Validated as if it were cut.
  auto segmenter = Segmenter::create(header, frame, options_.max_segment_frame());
  return segmenter ? forward_whole(header, frame, out) : Outcome::kDropped;
}

ToVm::Outcome ToVm::forward_whole(const VirtioHeader& header, MutableBytes frame,
                                  SendBatch& out) const {
  if (!out.has_room(1, 1)) return out.count() == 0 ? Outcome::kDropped : Outcome::kNoRoom;
  if (!fits_untagged(frame, options_.max_frame())) return Outcome::kDropped;
  if (header.needs_checksum() && !complete_checksum(header, frame)) return Outcome::kDropped;
  out.begin_frame();
  out.add_part(frame);
  return Outcome::kDone;
}

ToVm::Outcome ToVm::forward_split(const VirtioHeader& header, MutableBytes frame, SendBatch& out) {
  auto segmenter = Segmenter::create(header, frame, options_.max_segment_frame());
  if (!segmenter) return Outcome::kDropped;
  size_t count = segmenter->count();
  if (!out.has_room(count, count) || copies_ + count > kMaxCopied) {
    return out.count() == 0 ? Outcome::kDropped : Outcome::kNoRoom;
  }
  size_t header_size = segmenter->header_size();
  for (size_t i = 0; i < count; i++) {
    MutableBytes payload = frame.subspan(segmenter->payload_start(i), segmenter->payload_size(i));
    out.begin_frame();
    if (i == 0) {
      // The first segment is in its place already, behind the headers it shares with the frame.
      segmenter->write_header(i, payload, frame.first(header_size));
      out.add_part(frame.first(header_size + payload.size()));
      continue;
    }
    MutableBytes segment(&copied_[copies_++ * stride_], header_size + payload.size());
    segmenter->write_header(i, payload, segment.first(header_size));
    std::memcpy(segment.data() + header_size, payload.data(), payload.size());
    out.add_part(segment);
  }
  return Outcome::kDone;
}

}  // namespace vmnet
