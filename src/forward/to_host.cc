#include "forward/to_host.h"

#include <algorithm>

#include "wire/offload.h"

namespace vmnet {

static_assert(ReceiveBatch::kHeadroom >= VirtioHeader::kSize);

ToHost::ToHost(const DataPathOptions& options, size_t max_frames, FrameResponder* responder,
               FrameSink* vm, const PathMtus* paths)
    : options_(options),
      responder_(responder),
      vm_(vm),
      paths_(paths),
      merger_(max_frames, {.verify_checksums = !options.offload(),
                           .merge_udp = options.merge_udp,
                           .max_segment_frame = options.max_segment_frame(),
                           // A frame of one segment is nothing to merge.
                           .max_frame = options.engine ? 65'535U : 0U}),
      headers_(merger_.capacity()) {}

size_t ToHost::process(ReceiveBatch& in, size_t first, SendBatch& out, uint64_t& drops) {
  // A frame, merged or not, needs one part, without headroom two; so what is consumed always fits.
  const bool headroom = in.has_headroom();
  const size_t parts = headroom ? 1 : 2;
  size_t end = first + std::min(in.count() - first, merger_.capacity());
  while (end > first && !out.has_room(end - first, parts * (end - first))) end--;
  merger_.clear();
  for (size_t slot = first; slot < end; slot++) {
    MutableBytes frame = in.frame(slot);
    if (frame.size() < EthernetHeader::kSize || !fits_untagged(frame, options_.max_frame())) {
      drops++;
      continue;
    }
    if (responder_ != nullptr && responder_->handle(frame, *vm_)) continue;
    merger_.add(frame);
  }
  merger_.finish();
  for (size_t i = 0; i < merger_.count(); i++) {
    if (merger_.begins_group(i) && !emit(i, headroom, out)) drops++;
  }
  return end;
}

// Only a VM with TSO leaves the size of segments to us.
size_t ToHost::mtu_for(Bytes frame) const {
  if (paths_ == nullptr || paths_->empty() || !options_.tso) return options_.mtu;
  return paths_->mtu_for(frame, options_.mtu);
}

bool ToHost::emit(size_t index, bool headroom, SendBatch& out) {
  MutableBytes frame = merger_.part(index);
  VirtioHeader header = merger_.header(index);
  if (options_.offload() && !merger_.is_merged(index)) {
    auto rebuilt = rebuild_header(frame, mtu_for(frame));
    if (!rebuilt) return false;
    header = rebuilt->header;
    frame = frame.first(rebuilt->frame_size);
  }
  out.begin_frame();
  if (headroom) {
    MutableBytes whole(frame.data() - VirtioHeader::kSize, VirtioHeader::kSize + frame.size());
    write_virtio_header(header, whole.first<VirtioHeader::kSize>());
    out.add_part(whole);
  } else {
    write_virtio_header(header, headers_[index]);
    out.add_part(headers_[index]);
    out.add_part(frame);
  }
  for (uint32_t i = merger_.next(index); i != Merger::kEnd; i = merger_.next(i)) {
    out.add_part(merger_.part(i));
  }
  return true;
}

}  // namespace vmnet
