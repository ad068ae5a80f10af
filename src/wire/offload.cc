#include "wire/offload.h"

#include <algorithm>

#include "wire/bytes.h"
#include "wire/checksum.h"

namespace vmnet {
namespace {

constexpr size_t kFragmentUnit = 8;
constexpr size_t kIpv6FragmentHeader = 8;

// RFC 768: no checksum.
bool has_no_checksum(Bytes frame, const TransportLayout& layout) {
  return !layout.is_tcp() && !layout.ipv6 &&
         load_be16(frame.data() + layout.transport + UdpHeader::kChecksumAt) == 0;
}

void set_segmentation(VirtioHeader& header, Bytes frame, const TransportLayout& layout,
                      size_t room) {
  if (layout.is_tcp()) {
    uint8_t type = layout.ipv6 ? VirtioHeader::kGsoTcpv6 : VirtioHeader::kGsoTcpv4;
    bool congestion = (frame[layout.transport + TcpHeader::kFlagsAt] & TcpHeader::kCwr) != 0;
    header.gso_type = static_cast<uint8_t>(type | (congestion ? VirtioHeader::kGsoEcn : 0));
    header.gso_size = static_cast<uint16_t>(room);
    return;
  }
  // What a fragment carries, UDP header included, in units of eight bytes.
  size_t fragment = room + UdpHeader::kSize - (layout.ipv6 ? kIpv6FragmentHeader : 0);
  header.gso_type = VirtioHeader::kGsoUdp;
  header.gso_size = static_cast<uint16_t>(fragment / kFragmentUnit * kFragmentUnit);
}

}  // namespace

std::optional<Rebuilt> rebuild_header(MutableBytes frame, size_t mtu) {
  auto layout = find_transport(frame);
  if (!layout) {
    bool fits = frame.size() <= ethernet_size(frame) + mtu;
    return fits ? std::optional(Rebuilt{{}, frame.size()}) : std::nullopt;
  }
  Rebuilt rebuilt{{}, layout->end};
  bool large = layout->end - layout->ip > mtu;
  if (!large && has_no_checksum(frame, *layout)) return rebuilt;

  VirtioHeader& header = rebuilt.header;
  header.flags = VirtioHeader::kNeedsChecksum;
  header.header_length = static_cast<uint16_t>(layout->payload);
  header.checksum_start = static_cast<uint16_t>(layout->transport);
  header.checksum_offset = static_cast<uint16_t>(layout->checksum_offset());
  store_be16(frame.data() + layout->transport + layout->checksum_offset(),
             pseudo_sum_of(frame, *layout, layout->end - layout->transport));
  if (!large) return rebuilt;
  constexpr size_t kLeastRoom = 2 * kFragmentUnit;
  if (mtu < layout->ip_and_transport_size() + kLeastRoom) return std::nullopt;
  set_segmentation(header, frame, *layout, mtu - layout->ip_and_transport_size());
  return rebuilt;
}

}  // namespace vmnet
