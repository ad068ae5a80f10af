#include "wire/split.h"

#include <algorithm>

#include "wire/bytes.h"
#include "wire/checksum.h"

namespace vmnet {
namespace {

bool type_fits(uint8_t segmentation, const TransportLayout& layout) {
  switch (segmentation) {
    case VirtioHeader::kGsoTcpv4:
      return layout.is_tcp() && !layout.ipv6;
    case VirtioHeader::kGsoTcpv6:
      return layout.is_tcp() && layout.ipv6;
    case VirtioHeader::kGsoUdpL4:
      return layout.protocol == kProtocolUdp;
    default:
      return false;
  }
}

bool checksum_fits(const VirtioHeader& header, const TransportLayout& layout) {
  return !header.needs_checksum() || (header.checksum_start == layout.transport &&
                                      header.checksum_offset == layout.checksum_offset());
}

// The payload of each segment but the last; 0: none is possible. A TCP segment may be cut smaller
// than the sender meant, a datagram may not.
size_t segment_size_for(const VirtioHeader& header, const TransportLayout& layout,
                        size_t max_frame) {
  constexpr size_t kMinSegment = 2;
  size_t size = header.gso_size;
  size_t headers = EthernetHeader::kSize + layout.ip_and_transport_size();
  if (size < kMinSegment || max_frame < headers + kMinSegment) return 0;
  size_t room = max_frame - headers;
  if (size > room && !layout.is_tcp()) return 0;
  return std::min(size, room);
}

}  // namespace

// A neighbour on the bridge may have written the header, and the host's rules have seen the frame
// without what is written here: nothing but a transport checksum, or what lies behind it.
bool complete_checksum(const VirtioHeader& header, MutableBytes frame) {
  auto layout = find_transport(frame);
  if (!layout || (!checksum_fits(header, *layout) && header.checksum_start < layout->payload)) {
    return false;
  }
  size_t start = header.checksum_start;
  size_t field = start + header.checksum_offset;
  if (start < EthernetHeader::kSize || field + 2 > frame.size()) return false;
  uint16_t checksum = checksum_of(ones_sum(frame.subspan(start)));
  // To UDP zero means none; to all others 0xffff is the same number.
  store_be16(frame.data() + field, checksum == 0 ? 0xffff : checksum);
  return true;
}

std::optional<Segmenter> Segmenter::create(const VirtioHeader& header, Bytes frame,
                                           size_t max_frame) {
  auto layout = find_transport(frame);
  if (!layout || layout->payload > kMaxHeader) return std::nullopt;
  if (!type_fits(header.segmentation(), *layout) || !checksum_fits(header, *layout)) {
    return std::nullopt;
  }
  size_t size = segment_size_for(header, *layout, max_frame);
  if (size == 0) return std::nullopt;
  Segmenter segmenter;
  segmenter.count_ = std::max<size_t>(1, (layout->payload_size() + size - 1) / size);
  if (segmenter.count_ > kMaxSegments) return std::nullopt;
  segmenter.layout_ = *layout;
  segmenter.segment_size_ = size;
  std::ranges::copy(frame.first(layout->payload), segmenter.headers_.begin());
  const uint8_t* headers = segmenter.headers_.data();
  if (!layout->ipv6) segmenter.first_id_ = load_be16(headers + layout->ip + Ipv4Header::kIdAt);
  if (layout->is_tcp()) {
    segmenter.first_sequence_ = load_be32(headers + layout->transport + TcpHeader::kSequenceAt);
  }
  segmenter.address_sum_ = pseudo_sum_of(frame, *layout, 0);
  return segmenter;
}

void Segmenter::write_header(size_t index, Bytes payload, MutableBytes to) const {
  std::copy_n(headers_.begin(), layout_.payload, to.begin());
  write_ip(index, payload.size(), to);
  MutableBytes transport = to.subspan(layout_.transport, layout_.payload - layout_.transport);
  size_t length = transport.size() + payload.size();
  if (layout_.is_tcp()) {
    write_tcp_fields(index, transport);
  } else {
    store_be16(transport.data() + UdpHeader::kLengthAt, static_cast<uint16_t>(length));
  }
  uint8_t* field = transport.data() + layout_.checksum_offset();
  store_be16(field, 0);
  uint16_t sum = ones_add(address_sum_, static_cast<uint16_t>(length));
  sum = ones_combine(ones_add(sum, ones_sum(transport)), ones_sum(payload), transport.size());
  uint16_t checksum = checksum_of(sum);
  store_be16(field, checksum == 0 && !layout_.is_tcp() ? 0xffff : checksum);
}

void Segmenter::write_ip(size_t index, size_t payload_size, MutableBytes to) const {
  size_t packet = layout_.ip_and_transport_size() + payload_size;
  uint8_t* ip = to.data() + layout_.ip;
  if (layout_.ipv6) {
    store_be16(ip + Ipv6Header::kPayloadLengthAt,
               static_cast<uint16_t>(packet - Ipv6Header::kSize));
    return;
  }
  store_be16(ip + Ipv4Header::kTotalLengthAt, static_cast<uint16_t>(packet));
  store_be16(ip + Ipv4Header::kIdAt, static_cast<uint16_t>(first_id_ + index));
  finish_ipv4_checksum(to.subspan(layout_.ip, layout_.transport - layout_.ip));
}

void Segmenter::write_tcp_fields(size_t index, MutableBytes transport) const {
  store_be32(transport.data() + TcpHeader::kSequenceAt,
             first_sequence_ + static_cast<uint32_t>(index * segment_size_));
  // CWR belongs to the first segment alone (RFC 3168, section 6.1.2), FIN and PSH to the last.
  uint8_t& flags = transport[TcpHeader::kFlagsAt];
  if (index > 0) flags &= static_cast<uint8_t>(~TcpHeader::kCwr);
  if (index + 1 < count_) flags &= static_cast<uint8_t>(~(TcpHeader::kFin | TcpHeader::kPsh));
}

}  // namespace vmnet
