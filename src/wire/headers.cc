#include "wire/headers.h"

#include <algorithm>

#include "wire/bytes.h"
#include "wire/checksum.h"

namespace vmnet {
namespace {

Mac read_mac(const uint8_t* from) {
  Mac mac;
  std::copy_n(from, mac.bytes.size(), mac.bytes.begin());
  return mac;
}

Ipv6 read_ipv6_address(const uint8_t* from) {
  Ipv6 address;
  std::copy_n(from, address.bytes.size(), address.bytes.begin());
  return address;
}

bool is_vlan_type(uint16_t type) { return type == kTypeVlan || type == kTypeServiceVlan; }

}  // namespace

std::optional<EthernetHeader> read_ethernet(Bytes frame) {
  if (frame.size() < EthernetHeader::kSize) return std::nullopt;
  EthernetHeader header{.destination = read_mac(frame.data()),
                        .source = read_mac(frame.data() + 6),
                        .type = load_be16(frame.data() + 12),
                        .priority_tag = {}};
  if (header.type != kTypeVlan || frame.size() < header.size + EthernetHeader::kTagSize) {
    return header;
  }
  uint16_t tag = load_be16(frame.data() + 14);
  if ((tag & 0x0fff) == 0) {
    header.priority_tag = tag;
    header.type = load_be16(frame.data() + 16);
    header.size += EthernetHeader::kTagSize;
  }
  return header;
}

size_t write_ethernet(const EthernetHeader& header, MutableBytes to) {
  std::ranges::copy(header.destination.bytes, to.begin());
  std::ranges::copy(header.source.bytes, to.begin() + 6);
  if (!header.priority_tag) {
    store_be16(to.subspan(12, 2).data(), header.type);
    return EthernetHeader::kSize;
  }
  store_be16(to.subspan(12, 2).data(), kTypeVlan);
  store_be16(to.subspan(14, 2).data(), *header.priority_tag);
  store_be16(to.subspan(16, 2).data(), header.type);
  return EthernetHeader::kSize + EthernetHeader::kTagSize;
}

std::optional<Ipv4Header> read_ipv4(Bytes packet) {
  if (packet.size() < Ipv4Header::kMinSize) return std::nullopt;
  const uint8_t* p = packet.data();
  Ipv4Header header{.size = size_t{4} * (p[0] & 0x0f),
                    .traffic_class = p[1],
                    .total_length = load_be16(p + Ipv4Header::kTotalLengthAt),
                    .id = load_be16(p + Ipv4Header::kIdAt),
                    .fragment = load_be16(p + Ipv4Header::kFragmentAt),
                    .ttl = p[8],
                    .protocol = p[9],
                    .source = {load_be32(p + 12)},
                    .destination = {load_be32(p + 16)}};
  bool fits = header.size >= Ipv4Header::kMinSize && header.total_length >= header.size &&
              header.total_length <= packet.size();
  if ((p[0] >> 4) != 4 || !fits) return std::nullopt;
  return header;
}

bool ipv4_checksum_is_valid(Bytes header) { return sum_is_valid(ones_sum(header)); }

size_t write_ipv4(const Ipv4Header& header, MutableBytes to) {
  MutableBytes bytes = to.first(Ipv4Header::kMinSize);
  uint8_t* p = bytes.data();
  p[0] = 0x45;
  p[1] = header.traffic_class;
  store_be16(p + Ipv4Header::kTotalLengthAt, header.total_length);
  store_be16(p + Ipv4Header::kIdAt, header.id);
  store_be16(p + Ipv4Header::kFragmentAt, header.fragment);
  p[8] = header.ttl;
  p[9] = header.protocol;
  store_be32(p + 12, header.source.value);
  store_be32(p + 16, header.destination.value);
  finish_ipv4_checksum(bytes);
  return bytes.size();
}

void finish_ipv4_checksum(MutableBytes header) {
  uint8_t* field = header.subspan(Ipv4Header::kChecksumAt, 2).data();
  store_be16(field, 0);
  store_be16(field, checksum_of(ones_sum(header)));
}

std::optional<Ipv6Header> read_ipv6(Bytes packet) {
  if (packet.size() < Ipv6Header::kSize) return std::nullopt;
  const uint8_t* p = packet.data();
  uint32_t first = load_be32(p);
  Ipv6Header header{.traffic_class = static_cast<uint8_t>(first >> 20),
                    .flow_label = first & 0xfffff,
                    .payload_length = load_be16(p + Ipv6Header::kPayloadLengthAt),
                    .next_header = p[6],
                    .hop_limit = p[7],
                    .source = read_ipv6_address(p + 8),
                    .destination = read_ipv6_address(p + 24)};
  bool fits =
      header.payload_length != 0 && Ipv6Header::kSize + header.payload_length <= packet.size();
  if ((first >> 28) != 6 || !fits) return std::nullopt;
  return header;
}

size_t write_ipv6(const Ipv6Header& header, MutableBytes to) {
  uint8_t* p = to.first(Ipv6Header::kSize).data();
  store_be32(p, (uint32_t{6} << 28) | (uint32_t{header.traffic_class} << 20) |
                    (header.flow_label & 0xfffff));
  store_be16(p + Ipv6Header::kPayloadLengthAt, header.payload_length);
  p[6] = header.next_header;
  p[7] = header.hop_limit;
  std::ranges::copy(header.source.bytes, p + 8);
  std::ranges::copy(header.destination.bytes, p + 24);
  return Ipv6Header::kSize;
}

std::optional<UdpHeader> read_udp(Bytes datagram) {
  if (datagram.size() < UdpHeader::kSize) return std::nullopt;
  const uint8_t* p = datagram.data();
  UdpHeader header{.source_port = load_be16(p),
                   .destination_port = load_be16(p + 2),
                   .length = load_be16(p + UdpHeader::kLengthAt),
                   .checksum = load_be16(p + UdpHeader::kChecksumAt)};
  if (header.length < UdpHeader::kSize || header.length > datagram.size()) return std::nullopt;
  return header;
}

size_t write_udp(const UdpHeader& header, MutableBytes to) {
  uint8_t* p = to.first(UdpHeader::kSize).data();
  store_be16(p, header.source_port);
  store_be16(p + 2, header.destination_port);
  store_be16(p + UdpHeader::kLengthAt, header.length);
  store_be16(p + UdpHeader::kChecksumAt, header.checksum);
  return UdpHeader::kSize;
}

std::optional<TcpHeader> read_tcp(Bytes segment) {
  if (segment.size() < TcpHeader::kMinSize) return std::nullopt;
  const uint8_t* p = segment.data();
  TcpHeader header{.source_port = load_be16(p),
                   .destination_port = load_be16(p + 2),
                   .sequence = load_be32(p + TcpHeader::kSequenceAt),
                   .acknowledgement = load_be32(p + TcpHeader::kAckAt),
                   .size = size_t{4} * (p[12] >> 4),
                   .reserved = static_cast<uint8_t>(p[12] & 0x0f),
                   .flags = p[TcpHeader::kFlagsAt],
                   .window = load_be16(p + TcpHeader::kWindowAt),
                   .checksum = load_be16(p + TcpHeader::kChecksumAt),
                   .urgent = load_be16(p + TcpHeader::kUrgentAt)};
  if (header.size < TcpHeader::kMinSize || header.size > segment.size()) return std::nullopt;
  return header;
}

size_t write_tcp(const TcpHeader& header, MutableBytes to) {
  uint8_t* p = to.first(TcpHeader::kMinSize).data();
  store_be16(p, header.source_port);
  store_be16(p + 2, header.destination_port);
  store_be32(p + TcpHeader::kSequenceAt, header.sequence);
  store_be32(p + TcpHeader::kAckAt, header.acknowledgement);
  p[12] = static_cast<uint8_t>((header.size / 4 << 4) | (header.reserved & 0x0f));
  p[TcpHeader::kFlagsAt] = header.flags;
  store_be16(p + TcpHeader::kWindowAt, header.window);
  store_be16(p + TcpHeader::kChecksumAt, header.checksum);
  store_be16(p + TcpHeader::kUrgentAt, header.urgent);
  return TcpHeader::kMinSize;
}

std::optional<Icmpv6Header> read_icmpv6(Bytes message) {
  if (message.size() < Icmpv6Header::kSize) return std::nullopt;
  return Icmpv6Header{.type = message[0],
                      .code = message[1],
                      .checksum = load_be16(message.data() + Icmpv6Header::kChecksumAt)};
}

size_t write_icmpv6(const Icmpv6Header& header, MutableBytes to) {
  uint8_t* p = to.first(Icmpv6Header::kSize).data();
  p[0] = header.type;
  p[1] = header.code;
  store_be16(p + Icmpv6Header::kChecksumAt, header.checksum);
  return Icmpv6Header::kSize;
}

namespace {

constexpr uint8_t kHopByHop = 0;
constexpr uint8_t kDestinationOptions = 60;
// RFC 8200 has each extension once, destination options twice.
constexpr int kMaxExtensions = 4;

struct Upper {
  uint8_t protocol;
  size_t start;
  size_t end;
};

std::optional<Upper> upper_of_ipv4(Bytes frame, size_t ip) {
  auto header = read_ipv4(frame.subspan(ip));
  if (!header || header->is_fragment()) return std::nullopt;
  return Upper{header->protocol, ip + header->size, ip + header->total_length};
}

std::optional<Upper> upper_of_ipv6(Bytes frame, size_t ip) {
  auto header = read_ipv6(frame.subspan(ip));
  if (!header) return std::nullopt;
  Upper upper{header->next_header, ip + Ipv6Header::kSize,
              ip + Ipv6Header::kSize + header->payload_length};
  for (int i = 0; i < kMaxExtensions; i++) {
    if (upper.protocol != kHopByHop && upper.protocol != kDestinationOptions) break;
    if (upper.start + 2 > upper.end) return std::nullopt;
    upper.protocol = frame[upper.start];
    upper.start += (size_t{frame[upper.start + 1]} + 1) * 8;
    if (upper.start > upper.end) return std::nullopt;
  }
  return upper;
}

}  // namespace

size_t ethernet_size(Bytes frame) {
  size_t size = std::min(EthernetHeader::kSize, frame.size());
  for (int i = 0; i < kMaxVlanTags; i++) {
    bool tagged = size >= EthernetHeader::kSize && is_vlan_type(load_be16(&frame[size - 2]));
    if (!tagged || frame.size() < size + EthernetHeader::kTagSize) break;
    size += EthernetHeader::kTagSize;
  }
  return size;
}

std::optional<TransportLayout> find_transport(Bytes frame) {
  size_t ip = ethernet_size(frame);
  if (ip < EthernetHeader::kSize) return std::nullopt;
  uint16_t type = load_be16(&frame[ip - 2]);
  if (type != kTypeIpv4 && type != kTypeIpv6) return std::nullopt;
  bool ipv6 = type == kTypeIpv6;
  auto upper = ipv6 ? upper_of_ipv6(frame, ip) : upper_of_ipv4(frame, ip);
  if (!upper) return std::nullopt;

  TransportLayout layout{.ipv6 = ipv6,
                         .protocol = upper->protocol,
                         .ip = ip,
                         .transport = upper->start,
                         .payload = upper->start,
                         .end = upper->end};
  Bytes transport = frame.subspan(upper->start, upper->end - upper->start);
  if (layout.is_tcp()) {
    auto tcp = read_tcp(transport);
    if (!tcp) return std::nullopt;
    layout.payload += tcp->size;
    return layout;
  }
  auto udp = layout.protocol == kProtocolUdp ? read_udp(transport) : std::nullopt;
  if (!udp || udp->length != transport.size()) return std::nullopt;
  layout.payload += UdpHeader::kSize;
  return layout;
}

uint16_t pseudo_sum_of(Bytes frame, const TransportLayout& layout, size_t length) {
  // Both addresses lie side by side, and a sum does not care for the order.
  Bytes addresses =
      layout.ipv6 ? frame.subspan(layout.ip + 8, 32) : frame.subspan(layout.ip + 12, 8);
  uint16_t sum = ones_add(ones_sum(addresses), layout.protocol);
  return ones_add(sum, ones_sum32(static_cast<uint32_t>(length)));
}

}  // namespace vmnet
