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

// A TCP segment, or a UDP datagram, as a guest without offload sends it.
struct TcpFrame {
  bool ipv6 = false;
  bool udp = false;  // of `tcp` the ports alone are used, and no options
  uint8_t traffic_class = 0;
  uint8_t ttl = 64;
  uint16_t id = 1;
  uint16_t fragment = Ipv4Header::kDontFragment;
  uint32_t flow_label = 0;
  TcpHeader tcp{.source_port = 1000,
                .destination_port = 80,
                .sequence = 1,
                .acknowledgement = 1,
                .flags = TcpHeader::kAck,
                .window = 500};
  Buffer options;  // a multiple of 4 bytes
  Buffer payload;

  Buffer frame() const {
    if (udp) return on_ip(udp_datagram(tcp.source_port, tcp.destination_port, payload));
    TcpHeader header = tcp;
    header.size = TcpHeader::kMinSize + options.size();
    header.checksum = 0;
    Buffer segment(TcpHeader::kMinSize);
    write_tcp(header, segment);
    append(segment, options);
    append(segment, payload);
    return on_ip(std::move(segment));
  }

 private:
  // `segment` with its checksum, behind the headers below it.
  Buffer on_ip(Buffer segment) const {
    const uint8_t protocol = udp ? kProtocolUdp : kProtocolTcp;
    const size_t field = udp ? UdpHeader::kChecksumAt : TcpHeader::kChecksumAt;
    auto length = static_cast<uint32_t>(segment.size());
    const Mac to{{0x0e, 0x76, 0x6d, 0, 0, 1}};
    const Mac from{{0x52, 0x54, 0, 1, 2, 3}};
    if (ipv6) {
      Ipv6Header ip{.traffic_class = traffic_class,
                    .flow_label = flow_label,
                    .next_header = protocol,
                    .hop_limit = ttl};
      ip.source.bytes[0] = ip.destination.bytes[0] = 0xfd;
      ip.source.bytes[15] = 2;
      ip.destination.bytes[15] = 1;
      finish(segment, field, pseudo_sum(ip.source, ip.destination, protocol, length));
      return ethernet_frame(to, from, kTypeIpv6, ipv6_packet(ip, segment));
    }
    Ipv4Header ip{.traffic_class = traffic_class,
                  .id = id,
                  .fragment = fragment,
                  .ttl = ttl,
                  .protocol = protocol,
                  .source = {0xc0a84002},
                  .destination = {0xc0a84001}};
    finish(segment, field, pseudo_sum(ip.source, ip.destination, protocol, length));
    return ethernet_frame(to, from, kTypeIpv4, ipv4_packet(ip, segment));
  }
};

}  // namespace vmnet::test
