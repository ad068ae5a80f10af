// Headers of Ethernet, 802.1Q, IPv4, IPv6, UDP, TCP and ICMPv6: read with every length checked
// against the bytes that are there, written in network byte order. A read returns nothing for bytes
// that are no such header; checksums are judged apart from it. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/ip.h"
#include "base/mac.h"

namespace vmnet {

using Bytes = std::span<const uint8_t>;
using MutableBytes = std::span<uint8_t>;

// --- Ethernet (IEEE 802.3), 802.1Q ---

inline constexpr uint16_t kTypeIpv4 = 0x0800;
inline constexpr uint16_t kTypeArp = 0x0806;
inline constexpr uint16_t kTypeVlan = 0x8100;
inline constexpr uint16_t kTypeServiceVlan = 0x88a8;  // 802.1ad
inline constexpr uint16_t kTypeIpv6 = 0x86dd;

struct EthernetHeader {
  static constexpr size_t kSize = 14;
  static constexpr size_t kTagSize = 4;

  Mac destination;
  Mac source;
  uint16_t type = 0;  // of what follows, behind a priority tag
  size_t size = kSize;

  // 802.1Q with VLAN 0 marks priority alone: the frame belongs to no VLAN.
  std::optional<uint16_t> priority_tag;
};

// A tag of a real VLAN is not looked through: `type` is then kTypeVlan.
std::optional<EthernetHeader> read_ethernet(Bytes frame);
size_t write_ethernet(const EthernetHeader& header, MutableBytes to);

// --- IPv4 (RFC 791) ---

inline constexpr uint8_t kProtocolIcmp = 1;
inline constexpr uint8_t kProtocolTcp = 6;
inline constexpr uint8_t kProtocolUdp = 17;
inline constexpr uint8_t kProtocolIcmpv6 = 58;

struct Ipv4Header {
  static constexpr size_t kMinSize = 20;
  // Where fields lie, for rewriting one in place.
  static constexpr size_t kTotalLengthAt = 2;
  static constexpr size_t kIdAt = 4;
  static constexpr size_t kFragmentAt = 6;
  static constexpr size_t kChecksumAt = 10;
  static constexpr uint16_t kDontFragment = 0x4000;
  static constexpr uint16_t kFragmentMask = 0x3fff;  // more fragments, fragment offset

  size_t size = kMinSize;  // with options
  uint8_t traffic_class = 0;
  uint16_t total_length = 0;
  uint16_t id = 0;
  uint16_t fragment = 0;  // flags and offset as in the header
  uint8_t ttl = 64;
  uint8_t protocol = 0;
  Ipv4 source;
  Ipv4 destination;

  bool is_fragment() const { return (fragment & kFragmentMask) != 0; }
};

// size <= total_length <= packet.size() holds for what it returns; the packet may be longer
// (Ethernet padding).
std::optional<Ipv4Header> read_ipv4(Bytes packet);
bool ipv4_checksum_is_valid(Bytes header);
// Without options (size is kMinSize), with its checksum.
size_t write_ipv4(const Ipv4Header& header, MutableBytes to);
// Recomputes the checksum of the header in place.
void finish_ipv4_checksum(MutableBytes header);

// --- IPv6 (RFC 8200) ---

struct Ipv6Header {
  static constexpr size_t kSize = 40;
  static constexpr size_t kPayloadLengthAt = 4;

  uint8_t traffic_class = 0;
  uint32_t flow_label = 0;
  uint16_t payload_length = 0;
  uint8_t next_header = 0;
  uint8_t hop_limit = 0;
  Ipv6 source;
  Ipv6 destination;
};

// kSize + payload_length <= packet.size() holds; jumbograms (RFC 2675) are refused.
std::optional<Ipv6Header> read_ipv6(Bytes packet);
size_t write_ipv6(const Ipv6Header& header, MutableBytes to);

// --- UDP (RFC 768) ---

struct UdpHeader {
  static constexpr size_t kSize = 8;
  static constexpr size_t kLengthAt = 4;
  static constexpr size_t kChecksumAt = 6;

  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint16_t length = 0;
  uint16_t checksum = 0;
};

// kSize <= length <= datagram.size() holds.
std::optional<UdpHeader> read_udp(Bytes datagram);
size_t write_udp(const UdpHeader& header, MutableBytes to);

// --- TCP (RFC 9293) ---

struct TcpHeader {
  static constexpr size_t kMinSize = 20;
  static constexpr size_t kMaxSize = 60;
  static constexpr size_t kSequenceAt = 4;
  static constexpr size_t kAckAt = 8;
  static constexpr size_t kFlagsAt = 13;
  static constexpr size_t kWindowAt = 14;
  static constexpr size_t kChecksumAt = 16;
  static constexpr size_t kUrgentAt = 18;

  static constexpr uint8_t kFin = 0x01;
  static constexpr uint8_t kSyn = 0x02;
  static constexpr uint8_t kRst = 0x04;
  static constexpr uint8_t kPsh = 0x08;
  static constexpr uint8_t kAck = 0x10;
  static constexpr uint8_t kUrg = 0x20;
  static constexpr uint8_t kEce = 0x40;
  static constexpr uint8_t kCwr = 0x80;

  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint32_t sequence = 0;
  uint32_t acknowledgement = 0;
  size_t size = kMinSize;  // with options
  uint8_t reserved = 0;    // the four bits between data offset and flags
  uint8_t flags = 0;
  uint16_t window = 0;
  uint16_t checksum = 0;
  uint16_t urgent = 0;
};

// size <= segment.size() holds.
std::optional<TcpHeader> read_tcp(Bytes segment);
// Writes the fixed part; `header.size` counts options that the caller puts behind it.
size_t write_tcp(const TcpHeader& header, MutableBytes to);

// --- ICMPv6 (RFC 4443) ---

struct Icmpv6Header {
  static constexpr size_t kSize = 4;
  static constexpr size_t kChecksumAt = 2;

  uint8_t type = 0;
  uint8_t code = 0;
  uint16_t checksum = 0;
};

std::optional<Icmpv6Header> read_icmpv6(Bytes message);
size_t write_icmpv6(const Icmpv6Header& header, MutableBytes to);

// --- TCP and UDP inside a frame ---

// Where the headers lie of a frame that carries one whole TCP segment or UDP datagram, not a
// fragment. Offsets count from the frame's start.
struct TransportLayout {
  bool ipv6 = false;
  uint8_t protocol = 0;  // TCP or UDP
  size_t ip = 0;         // IP header
  size_t transport = 0;  // TCP or UDP header
  size_t payload = 0;    // what follows it
  size_t end = 0;        // end of the IP packet; Ethernet padding may follow

  bool is_tcp() const { return protocol == kProtocolTcp; }
  size_t checksum_offset() const {
    return is_tcp() ? TcpHeader::kChecksumAt : UdpHeader::kChecksumAt;
  }
  size_t payload_size() const { return end - payload; }
  // What a segment's size is counted against: everything behind the Ethernet header and its tags.
  size_t ip_and_transport_size() const { return payload - ip; }
};

// What VLAN tags may add to a frame's size: a service's and a customer's (802.1ad).
inline constexpr int kMaxVlanTags = 2;
inline constexpr size_t kMaxTagsSize = kMaxVlanTags * EthernetHeader::kTagSize;

// The Ethernet header's size with up to kMaxVlanTags tags, whatever they say; no more than the
// frame's.
size_t ethernet_size(Bytes frame);

// Whether a frame has at most `max_size` bytes without its tags.
inline bool fits_untagged(Bytes frame, size_t max_size) {
  return frame.size() <= max_size ||
         frame.size() <= max_size + (ethernet_size(frame) - EthernetHeader::kSize);
}

// Looks through up to two VLAN tags, IPv4 options and IPv6 hop-by-hop and destination options; not
// through a routing header, since the checksum then belongs to another destination.
std::optional<TransportLayout> find_transport(Bytes frame);

// The pseudo-header's sum for `length` bytes of transport header and payload.
uint16_t pseudo_sum_of(Bytes frame, const TransportLayout& layout, size_t length);

}  // namespace vmnet
