#include "wire/split.h"

#include <algorithm>
#include <numeric>

#include <gtest/gtest.h>

#include "wire/test_frames.h"

namespace vmnet {
namespace {

using test::Buffer;
using test::TcpFrame;

Buffer counting(size_t size) {
  Buffer bytes(size);
  std::iota(bytes.begin(), bytes.end(), uint8_t{0});
  return bytes;
}

TcpFrame large(bool ipv6, size_t payload) {
  TcpFrame frame{
      .ipv6 = ipv6, .id = 0xfffe, .options = Buffer(12, 1), .payload = counting(payload)};
  frame.tcp.sequence = 0xfffffff0;
  frame.tcp.flags =
      TcpHeader::kAck | TcpHeader::kPsh | TcpHeader::kFin | TcpHeader::kCwr | TcpHeader::kEce;
  return frame;
}

VirtioHeader header_for(const Buffer& frame, uint8_t type, uint16_t size) {
  auto layout = find_transport(frame);
  return {.flags = VirtioHeader::kNeedsChecksum,
          .gso_type = type,
          .gso_size = size,
          .checksum_start = static_cast<uint16_t>(layout->transport),
          .checksum_offset = static_cast<uint16_t>(layout->checksum_offset())};
}

std::vector<Buffer> split(const VirtioHeader& header, const Buffer& frame, size_t max = 1514) {
  std::vector<Buffer> out;
  auto segmenter = Segmenter::create(header, frame, max);
  if (!segmenter) return out;
  for (size_t i = 0; i < segmenter->count(); i++) {
    Bytes payload = Bytes(frame).subspan(segmenter->payload_start(i), segmenter->payload_size(i));
    Buffer segment(segmenter->header_size());
    segmenter->write_header(i, payload, segment);
    test::append(segment, payload);
    out.push_back(std::move(segment));
  }
  return out;
}

// Segments are compared with frames built from scratch, header by header.
TEST(Split, TcpSegmentsAreWhatTheSenderWouldHaveSent) {
  for (bool ipv6 : {false, true}) {
    TcpFrame source = large(ipv6, 2501);
    Buffer whole = source.frame();
    uint8_t type = ipv6 ? VirtioHeader::kGsoTcpv6 : VirtioHeader::kGsoTcpv4;
    auto segments = split(header_for(whole, type | VirtioHeader::kGsoEcn, 1000), whole);
    ASSERT_EQ(segments.size(), 3U);
    for (size_t i = 0; i < 3; i++) {
      TcpFrame expected = source;
      size_t begin = i * 1000;
      expected.payload.assign(
          source.payload.begin() + static_cast<ptrdiff_t>(begin),
          source.payload.begin() + static_cast<ptrdiff_t>(std::min<size_t>(begin + 1000, 2501)));
      expected.id = static_cast<uint16_t>(source.id + i);
      expected.tcp.sequence = source.tcp.sequence + static_cast<uint32_t>(begin);
      expected.tcp.flags = TcpHeader::kAck | TcpHeader::kEce;
      if (i == 0) expected.tcp.flags |= TcpHeader::kCwr;
      if (i == 2) expected.tcp.flags |= TcpHeader::kPsh | TcpHeader::kFin;
      EXPECT_EQ(segments[i], expected.frame()) << ipv6 << " " << i;
    }
  }
}

TEST(Split, DatagramsGetTheirOwnLengthAndChecksum) {
  Buffer payload = counting(2500);
  Buffer udp = test::udp_datagram(7, 9, payload);
  Ipv4Header ip{.protocol = 17, .source = {0x0a000001}, .destination = {0x0a000002}};
  Buffer whole = test::ethernet_frame({}, {}, kTypeIpv4, test::ipv4_packet(ip, udp));
  auto segments = split(header_for(whole, VirtioHeader::kGsoUdpL4, 1000), whole);
  ASSERT_EQ(segments.size(), 3U);
  for (size_t i = 0; i < 3; i++) {
    size_t size = i < 2 ? 1000 : 500;
    Buffer expected = test::udp_datagram(7, 9, Bytes(payload).subspan(i * 1000, size));
    test::finish(expected, 6,
                 pseudo_sum(ip.source, ip.destination, 17, static_cast<uint32_t>(size + 8)));
    Ipv4Header expected_ip = ip;
    expected_ip.id = static_cast<uint16_t>(i);
    EXPECT_EQ(segments[i],
              test::ethernet_frame({}, {}, kTypeIpv4, test::ipv4_packet(expected_ip, expected)));
  }
  // Datagrams that do not fit the VM cannot be made smaller.
  EXPECT_TRUE(split(header_for(whole, VirtioHeader::kGsoUdpL4, 1473), whole).empty());
}

TEST(Split, SegmentsNeverExceedTheVmsFrameSize) {
  Buffer whole = large(false, 20'000).frame();
  auto segments = split(header_for(whole, VirtioHeader::kGsoTcpv4, 9000), whole);
  ASSERT_EQ(segments.size(), 14U);
  for (const Buffer& segment : segments) EXPECT_LE(segment.size(), 1514U);
}

TEST(Split, ContradictionsAreRefused) {
  Buffer whole = large(false, 30'000).frame();
  VirtioHeader good = header_for(whole, VirtioHeader::kGsoTcpv4, 1000);
  ASSERT_EQ(split(good, whole).size(), 30U);
  auto refused = [&](auto change) {
    VirtioHeader header = good;
    change(header);
    return split(header, whole).empty();
  };
  EXPECT_TRUE(refused([](auto& h) { h.gso_size = 0; }));
  EXPECT_TRUE(refused([](auto& h) { h.gso_size = 1; }));
  EXPECT_TRUE(refused([](auto& h) { h.gso_size = 234; }));  // 129 segments
  EXPECT_FALSE(refused([](auto& h) { h.gso_size = 235; }));
  EXPECT_TRUE(refused([](auto& h) { h.gso_type = VirtioHeader::kGsoTcpv6; }));
  EXPECT_TRUE(refused([](auto& h) { h.gso_type = VirtioHeader::kGsoUdpL4; }));
  EXPECT_TRUE(refused([](auto& h) { h.gso_type = VirtioHeader::kGsoUdp; }));
  EXPECT_TRUE(refused([](auto& h) { h.gso_type = 77; }));
  EXPECT_TRUE(refused([](auto& h) { h.checksum_start = 20; }));
  EXPECT_TRUE(refused([](auto& h) { h.checksum_offset = 6; }));
  for (size_t size = 0; size < 66; size++) {
    EXPECT_FALSE(Segmenter::create(good, Bytes(whole).first(size), 1514)) << size;
  }
}

TEST(Split, CompletesAChecksumInPlace) {
  Buffer good = TcpFrame{.payload = counting(101)}.frame();
  Buffer frame = good;
  VirtioHeader header = header_for(frame, VirtioHeader::kGsoNone, 0);
  store_be16(frame.data() + 34 + 16, pseudo_sum(Ipv4{0xc0a84002}, Ipv4{0xc0a84001}, 6, 121));
  EXPECT_NE(frame, good);
  EXPECT_TRUE(complete_checksum(header, frame));
  EXPECT_EQ(frame, good);
}

bool complete(Buffer& frame, size_t start, size_t offset) {
  return complete_checksum({.flags = VirtioHeader::kNeedsChecksum,
                            .checksum_start = static_cast<uint16_t>(start),
                            .checksum_offset = static_cast<uint16_t>(offset)},
                           frame);
}

TEST(Split, ChecksumOffsetsOutsideTheFrameAreRefused) {
  Buffer frame = TcpFrame{.payload = counting(10)}.frame();
  constexpr size_t kPayload = 14 + 20 + 20;
  EXPECT_TRUE(complete(frame, kPayload, frame.size() - kPayload - 2));
  EXPECT_FALSE(complete(frame, kPayload, frame.size() - kPayload - 1));
  EXPECT_FALSE(complete(frame, 65535, 65535));
  EXPECT_FALSE(complete(frame, frame.size(), 0));
}

// What the host's rules have looked at is not written over: addresses, ports, other protocols.
TEST(Split, ChecksumsOverHeadersAreRefused) {
  Buffer good = TcpFrame{.payload = counting(10)}.frame();
  Buffer frame = good;
  for (size_t start = 0; start < 14 + 20 + 20; start++) {
    for (size_t field = start; field < frame.size() - 1; field++) {
      if (start == 34 && field == 34 + 16) continue;
      EXPECT_FALSE(complete(frame, start, field - start)) << start << ' ' << field;
    }
  }
  EXPECT_EQ(frame, good);
  Buffer arp(60);
  store_be16(arp.data() + 12, 0x0806);
  Buffer before = arp;
  for (size_t start = 0; start < arp.size(); start++) EXPECT_FALSE(complete(arp, start, 10));
  EXPECT_EQ(arp, before);
}

}  // namespace
}  // namespace vmnet
