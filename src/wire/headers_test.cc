#include "wire/headers.h"

#include <algorithm>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/virtio_header.h"

namespace vmnet {
namespace {

TEST(Headers, EthernetRoundTrip) {
  EthernetHeader header{.destination = kBroadcastMac,
                        .source = *parse_mac("0e:76:6d:00:00:01"),
                        .type = kTypeIpv4,
                        .priority_tag = {}};
  std::vector<uint8_t> bytes(14);
  EXPECT_EQ(write_ethernet(header, bytes), 14U);
  auto read = read_ethernet(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->destination, header.destination);
  EXPECT_EQ(read->source, header.source);
  EXPECT_EQ(read->type, kTypeIpv4);
  EXPECT_EQ(read->size, 14U);
  EXPECT_FALSE(read_ethernet(Bytes(bytes).first(13)));
}

TEST(Headers, PriorityTagIsLookedThroughAndAVlanIsNot) {
  EthernetHeader header{.type = kTypeIpv6, .priority_tag = 0xe000};
  std::vector<uint8_t> bytes(18);
  EXPECT_EQ(write_ethernet(header, bytes), 18U);
  auto read = read_ethernet(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->type, kTypeIpv6);
  EXPECT_EQ(read->size, 18U);
  EXPECT_EQ(read->priority_tag, 0xe000);

  bytes[15] = 7;
  read = read_ethernet(bytes);
  EXPECT_EQ(read->type, kTypeVlan);
  EXPECT_EQ(read->size, 14U);
}

TEST(Headers, Ipv4RoundTripWithChecksum) {
  Ipv4Header header{.traffic_class = 0x2e,
                    .total_length = 20,
                    .id = 0x1234,
                    .fragment = Ipv4Header::kDontFragment,
                    .ttl = 63,
                    .protocol = kProtocolUdp,
                    .source = {0xc0a84001},
                    .destination = {0xffffffff}};
  std::vector<uint8_t> bytes(20);
  EXPECT_EQ(write_ipv4(header, bytes), 20U);
  EXPECT_TRUE(ipv4_checksum_is_valid(bytes));
  auto read = read_ipv4(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->id, 0x1234);
  EXPECT_EQ(read->ttl, 63);
  EXPECT_EQ(read->traffic_class, 0x2e);
  EXPECT_EQ(read->source, header.source);
  EXPECT_FALSE(read->is_fragment());
  bytes[8] = 62;
  EXPECT_FALSE(ipv4_checksum_is_valid(bytes));
}

TEST(Headers, Ipv4RefusesWrongLengths) {
  std::vector<uint8_t> good(24);
  write_ipv4({.total_length = 24}, good);
  ASSERT_TRUE(read_ipv4(good));
  auto broken = [&](auto change) {
    auto bytes = good;
    change(bytes);
    return !read_ipv4(bytes).has_value();
  };
  EXPECT_TRUE(broken([](auto& b) { b[0] = 0x44; }));  // header of 16 bytes
  EXPECT_TRUE(broken([](auto& b) { b[0] = 0x47; }));  // header longer than the packet
  EXPECT_TRUE(broken([](auto& b) { b[0] = 0x65; }));
  EXPECT_TRUE(broken([](auto& b) { store_be16(b.data() + 2, 25); }));
  EXPECT_TRUE(broken([](auto& b) { store_be16(b.data() + 2, 19); }));
  EXPECT_TRUE(broken([](auto& b) { b.resize(19); }));
}

TEST(Headers, Ipv6RoundTripAndLengths) {
  Ipv6Header header{.traffic_class = 0xb8,
                    .flow_label = 0xabcde,
                    .payload_length = 8,
                    .next_header = kProtocolIcmpv6,
                    .hop_limit = 255,
                    .source = *parse_ipv6("fe80::1"),
                    .destination = *parse_ipv6("ff02::1")};
  std::vector<uint8_t> bytes(48);
  EXPECT_EQ(write_ipv6(header, bytes), 40U);
  auto read = read_ipv6(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->traffic_class, 0xb8);
  EXPECT_EQ(read->flow_label, 0xabcdeU);
  EXPECT_EQ(read->hop_limit, 255);
  EXPECT_EQ(read->destination, header.destination);
  EXPECT_FALSE(read_ipv6(Bytes(bytes).first(47)));
  bytes[0] = 0x45;
  EXPECT_FALSE(read_ipv6(bytes));
}

TEST(Headers, TcpAndUdpRoundTripAndLengths) {
  std::vector<uint8_t> bytes(24);
  write_tcp({.source_port = 1,
             .destination_port = 0xfffe,
             .sequence = 0x01020304,
             .acknowledgement = 0xfffefdfc,
             .size = 24,
             .reserved = 1,
             .flags = TcpHeader::kAck | TcpHeader::kCwr,
             .window = 0x8001,
             .checksum = 0x1122,
             .urgent = 9},
            bytes);
  auto tcp = read_tcp(bytes);
  ASSERT_TRUE(tcp);
  EXPECT_EQ(tcp->sequence, 0x01020304U);
  EXPECT_EQ(tcp->acknowledgement, 0xfffefdfcU);
  EXPECT_EQ(tcp->size, 24U);
  EXPECT_EQ(tcp->reserved, 1);
  EXPECT_EQ(tcp->flags, TcpHeader::kAck | TcpHeader::kCwr);
  EXPECT_EQ(tcp->urgent, 9);
  EXPECT_FALSE(read_tcp(Bytes(bytes).first(23)));
  bytes[12] = 0x40;
  EXPECT_FALSE(read_tcp(bytes));

  write_udp({.source_port = 68, .destination_port = 67, .length = 24}, bytes);
  EXPECT_TRUE(read_udp(bytes));
  EXPECT_FALSE(read_udp(Bytes(bytes).first(23)));
  store_be16(bytes.data() + 4, 7);
  EXPECT_FALSE(read_udp(bytes));
}

// An IPv6 frame with a UDP datagram behind options and a VLAN tag.
std::vector<uint8_t> udp_behind_extensions() {
  std::vector<uint8_t> frame(14 + 4 + 40 + 8 + 16 + 8 + 3);
  store_be16(frame.data() + 12, kTypeVlan);
  store_be16(frame.data() + 14, 5);
  store_be16(frame.data() + 16, kTypeIpv6);
  write_ipv6({.payload_length = 8 + 16 + 8 + 3, .next_header = 0}, MutableBytes(frame).subspan(18));
  frame[58] = 60;
  frame[66] = kProtocolUdp;
  frame[67] = 1;
  write_udp({.length = 11}, MutableBytes(frame).subspan(82));
  return frame;
}

TEST(Headers, TransportIsFoundBehindTagsAndExtensions) {
  auto frame = udp_behind_extensions();
  auto layout = find_transport(frame);
  ASSERT_TRUE(layout);
  EXPECT_TRUE(layout->ipv6);
  EXPECT_EQ(layout->ip, 18U);
  EXPECT_EQ(layout->transport, 82U);
  EXPECT_EQ(layout->payload, 90U);
  EXPECT_EQ(layout->end, frame.size());
  frame[67] = 200;  // options beyond the packet
  EXPECT_FALSE(find_transport(frame));
  frame = udp_behind_extensions();
  frame[58] = 43;  // routing header
  EXPECT_FALSE(find_transport(frame));
}

TEST(Headers, FragmentsHaveNoTransport) {
  std::vector<uint8_t> frame(14 + 20 + 20);
  store_be16(frame.data() + 12, kTypeIpv4);
  MutableBytes ip = MutableBytes(frame).subspan(14);
  Ipv4Header header{.total_length = 40, .protocol = kProtocolTcp};
  write_ipv4(header, ip);
  write_tcp({}, ip.subspan(20));
  EXPECT_TRUE(find_transport(frame));
  header.fragment = 0x2000;
  write_ipv4(header, ip);
  EXPECT_FALSE(find_transport(frame));
  header.fragment = 1;
  write_ipv4(header, ip);
  EXPECT_FALSE(find_transport(frame));
}

TEST(Headers, VirtioHeaderIsLittleEndian) {
  VirtioHeader header{.flags = VirtioHeader::kNeedsChecksum,
                      .gso_type = VirtioHeader::kGsoTcpv4 | VirtioHeader::kGsoEcn,
                      .header_length = 54,
                      .gso_size = 1448,
                      .checksum_start = 34,
                      .checksum_offset = 16};
  uint8_t bytes[VirtioHeader::kSize];
  write_virtio_header(header, bytes);
  const uint8_t expected[] = {1, 0x81, 54, 0, 0xa8, 0x05, 34, 0, 16, 0, 0, 0};
  EXPECT_TRUE(std::ranges::equal(bytes, expected));
  EXPECT_EQ(read_virtio_header(bytes), header);
  EXPECT_EQ(header.segmentation(), VirtioHeader::kGsoTcpv4);
}

}  // namespace
}  // namespace vmnet
