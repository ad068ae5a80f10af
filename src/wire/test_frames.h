// Frames for unit tests: built by field, with right checksums unless the test breaks them.
#pragma once

#include <initializer_list>
#include <span>
#include <vector>

#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/headers.h"

namespace vmnet::test {

using Buffer = std::vector<uint8_t>;

inline void append(Buffer& to, std::span<const uint8_t> bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

inline Buffer ethernet_frame(const Mac& destination, const Mac& source, uint16_t type,
                             std::span<const uint8_t> payload) {
  Buffer frame(EthernetHeader::kSize);
  write_ethernet({.destination = destination, .source = source, .type = type, .priority_tag = {}},
                 frame);
  append(frame, payload);
  return frame;
}

inline Buffer ipv4_packet(Ipv4Header header, std::span<const uint8_t> payload) {
  Buffer packet(Ipv4Header::kMinSize);
  header.total_length = static_cast<uint16_t>(Ipv4Header::kMinSize + payload.size());
  write_ipv4(header, packet);
  append(packet, payload);
  return packet;
}

inline Buffer ipv6_packet(Ipv6Header header, std::span<const uint8_t> payload) {
  Buffer packet(Ipv6Header::kSize);
  header.payload_length = static_cast<uint16_t>(payload.size());
  write_ipv6(header, packet);
  append(packet, payload);
  return packet;
}

inline Buffer udp_datagram(uint16_t source, uint16_t destination,
                           std::span<const uint8_t> payload) {
  Buffer datagram(UdpHeader::kSize);
  write_udp({.source_port = source,
             .destination_port = destination,
             .length = static_cast<uint16_t>(UdpHeader::kSize + payload.size())},
            datagram);
  append(datagram, payload);
  return datagram;
}

// Sets the checksum at `field` of a transport header and payload from its pseudo-header's sum.
inline void finish(std::span<uint8_t> segment, size_t field, uint16_t pseudo) {
  store_be16(segment.data() + field, 0);
  store_be16(segment.data() + field, checksum_of(ones_add(pseudo, ones_sum(segment))));
}

}  // namespace vmnet::test
