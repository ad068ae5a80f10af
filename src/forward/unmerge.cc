#include "forward/unmerge.h"

#include <algorithm>

namespace vmnet {

Unmerger::Unmerger()
    : frame_(std::make_unique_for_overwrite<uint8_t[]>(VirtioHeader::kSize + kMaxFrame)) {}

bool Unmerger::load(std::span<const iovec> frame) {
  segmenter_.reset();
  MutableBytes whole(frame_.get(), VirtioHeader::kSize + kMaxFrame);
  size_t size = 0;
  for (const iovec& part : frame) {
    if (part.iov_len > whole.size() - size) return false;
    std::copy_n(static_cast<const uint8_t*>(part.iov_base), part.iov_len, whole.data() + size);
    size += part.iov_len;
  }
  if (size < VirtioHeader::kSize) return false;
  VirtioHeader header = read_virtio_header(whole.first<VirtioHeader::kSize>());
  if (header.segmentation() == VirtioHeader::kGsoNone) return false;
  // No segment is larger than it was before merging.
  segmenter_ = Segmenter::create(
      header, whole.subspan(VirtioHeader::kSize, size - VirtioHeader::kSize), kMaxFrame);
  return segmenter_.has_value();
}

std::array<iovec, 2> Unmerger::segment(size_t index) {
  size_t payload_size = segmenter_->payload_size(index);
  uint8_t* payload = frame_.get() + VirtioHeader::kSize + segmenter_->payload_start(index);
  auto headers = std::span(headers_).subspan(VirtioHeader::kSize);
  segmenter_->write_header(index, Bytes(payload, payload_size), headers);
  return {iovec{.iov_base = headers_.data(),
                .iov_len = VirtioHeader::kSize + segmenter_->header_size()},
          iovec{.iov_base = payload, .iov_len = payload_size}};
}

}  // namespace vmnet
