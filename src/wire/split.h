// Cuts a large frame of the host (one set of headers, much payload) into frames of the VM's size,
// as the kernel's segmentation offload would: headers repeated, payload left to the caller,
// checksums complete.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "wire/headers.h"
#include "wire/virtio_header.h"

namespace vmnet {

// A frame of more is refused, and none of more is made by merging: it bounds what one frame costs.
// The largest frame of an MSS of 536 with timestamps has 125.
inline constexpr size_t kMaxSegments = 128;

// Finishes the checksum that the sender left to us. Uses the frame's own partial sum, as the kernel
// does (skb_checksum_help). False, nothing written: the frame has no TCP or UDP, or the header
// means neither its checksum nor one in its payload (a tunnel's inner one), or lies about its
// place.
bool complete_checksum(const VirtioHeader& header, MutableBytes frame);

class Segmenter {
 public:
  // Headers that are larger are refused.
  static constexpr size_t kMaxHeader = 192;

  // `frame`: a bare Ethernet frame; its headers are copied. `max_frame`: the size of the largest
  // frame to make, without VLAN tags. Nothing: the virtio header and the frame contradict each
  // other, or the frame cannot be cut into at most kMaxSegments.
  static std::optional<Segmenter> create(const VirtioHeader& header, Bytes frame, size_t max_frame);

  size_t count() const { return count_; }
  size_t header_size() const { return layout_.payload; }

  // Where segment `index` lies in the frame.
  size_t payload_start(size_t index) const { return layout_.payload + (index * segment_size_); }
  size_t payload_size(size_t index) const {
    return index + 1 < count_ ? segment_size_ : layout_.payload_size() - (index * segment_size_);
  }

  // Writes the headers of segment `index`, whose payload is `payload`, to `to` (header_size()
  // bytes). `to` may be the frame's own headers.
  void write_header(size_t index, Bytes payload, MutableBytes to) const;

 private:
  Segmenter() = default;
  void write_ip(size_t index, size_t payload_size, MutableBytes to) const;
  void write_tcp_fields(size_t index, MutableBytes transport) const;

  std::array<uint8_t, kMaxHeader> headers_;  // only layout_.payload bytes of it are ever read
  TransportLayout layout_;
  size_t segment_size_ = 0;
  size_t count_ = 0;
  uint16_t first_id_ = 0;        // IPv4
  uint32_t first_sequence_ = 0;  // TCP
  uint16_t address_sum_ = 0;     // pseudo-header without its length
};

}  // namespace vmnet
