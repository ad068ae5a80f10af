#include "wire/offload.h"

#include <memory>

#include <gtest/gtest.h>

#include "wire/split.h"
#include "wire/test_frames.h"

namespace vmnet {
namespace {

using test::Buffer;
using test::TcpFrame;

constexpr size_t kMtu = 1500;

TEST(Offload, ASmallTcpFrameGetsItsChecksumFromTheKernel) {
  for (bool ipv6 : {false, true}) {
    Buffer good = TcpFrame{.ipv6 = ipv6, .payload = Buffer(33, 7)}.frame();
    Buffer frame = good;
    size_t transport = ipv6 ? 54 : 34;
    store_be16(frame.data() + transport + 16, 0x1234);  // whatever the guest left
    auto rebuilt = rebuild_header(frame, kMtu);
    ASSERT_TRUE(rebuilt);
    VirtioHeader expected{.flags = VirtioHeader::kNeedsChecksum,
                          .header_length = static_cast<uint16_t>(transport + 20),
                          .checksum_start = static_cast<uint16_t>(transport),
                          .checksum_offset = 16};
    EXPECT_EQ(rebuilt->header, expected);
    EXPECT_TRUE(complete_checksum(rebuilt->header, frame));
    EXPECT_EQ(frame, good);
  }
}

TEST(Offload, ALargeTcpFrameIsSegmentedToTheMtu) {
  for (bool ipv6 : {false, true}) {
    TcpFrame source{.ipv6 = ipv6, .options = Buffer(12, 1), .payload = Buffer(30'000, 7)};
    source.tcp.flags |= TcpHeader::kCwr;
    Buffer frame = source.frame();
    auto rebuilt = rebuild_header(frame, kMtu);
    ASSERT_TRUE(rebuilt);
    EXPECT_EQ(rebuilt->header.gso_size, ipv6 ? 1428 : 1448);
    EXPECT_EQ(rebuilt->header.gso_type,
              VirtioHeader::kGsoEcn | (ipv6 ? VirtioHeader::kGsoTcpv6 : VirtioHeader::kGsoTcpv4));
    auto segmenter = Segmenter::create(rebuilt->header, frame, 1514);
    ASSERT_TRUE(segmenter);
    EXPECT_EQ(segmenter->header_size() + segmenter->payload_size(0), 1514U);
  }
}

TEST(Offload, LargestFrameOfTheContract) {
  Buffer frame = TcpFrame{.payload = Buffer(65'535 - 40, 7)}.frame();
  ASSERT_EQ(frame.size(), 65'549U);
  EXPECT_TRUE(rebuild_header(frame, kMtu));
}

TEST(Offload, UdpChecksumsAndFragmentation) {
  Ipv4Header ip{.protocol = 17, .source = {0x0a000001}, .destination = {0x0a000002}};
  Buffer none = test::ethernet_frame({}, {}, kTypeIpv4,
                                     test::ipv4_packet(ip, test::udp_datagram(1, 2, Buffer(10))));
  EXPECT_EQ(rebuild_header(none, kMtu)->header, VirtioHeader{});

  Buffer udp = test::udp_datagram(1, 2, Buffer(10));
  store_be16(udp.data() + 6, 0x1234);
  Buffer frame = test::ethernet_frame({}, {}, kTypeIpv4, test::ipv4_packet(ip, udp));
  auto rebuilt = rebuild_header(frame, kMtu);
  EXPECT_EQ(rebuilt->header.checksum_offset, 6);
  EXPECT_EQ(rebuilt->header.gso_type, VirtioHeader::kGsoNone);
  EXPECT_EQ(load_be16(frame.data() + 40), pseudo_sum(ip.source, ip.destination, 17, 18));

  Buffer large = test::ethernet_frame(
      {}, {}, kTypeIpv4, test::ipv4_packet(ip, test::udp_datagram(1, 2, Buffer(9000))));
  rebuilt = rebuild_header(large, kMtu);
  EXPECT_EQ(rebuilt->header.gso_type, VirtioHeader::kGsoUdp);
  EXPECT_EQ(rebuilt->header.gso_size, 1480);
  EXPECT_TRUE(rebuilt->header.needs_checksum());
}

TEST(Offload, PaddingIsCutSinceItWouldBeSummed) {
  Buffer frame = TcpFrame{}.frame();
  size_t size = frame.size();
  frame.resize(60, 0xee);
  EXPECT_EQ(rebuild_header(frame, kMtu)->frame_size, size);
}

TEST(Offload, WhatIsNeitherTcpNorUdpPassesAsItIs) {
  Buffer arp = test::ethernet_frame({}, {}, kTypeArp, Buffer(28, 3));
  Buffer before = arp;
  auto rebuilt = rebuild_header(arp, kMtu);
  EXPECT_EQ(rebuilt->header, VirtioHeader{});
  EXPECT_EQ(arp, before);
  TcpFrame fragment{.fragment = 0x2000, .payload = Buffer(100)};
  EXPECT_EQ(rebuild_header(*std::make_unique<Buffer>(fragment.frame()), kMtu)->header,
            VirtioHeader{});
  Buffer huge = test::ethernet_frame({}, {}, kTypeArp, Buffer(9000));
  EXPECT_FALSE(rebuild_header(huge, kMtu));
  // A tag is not part of what the MTU counts.
  Buffer largest = test::ethernet_frame({}, {}, kTypeArp, Buffer(kMtu));
  for (int tags = 0; tags < 3; tags++) {
    EXPECT_TRUE(rebuild_header(largest, kMtu)) << tags;
    Buffer larger = largest;
    larger.push_back(0);
    EXPECT_FALSE(rebuild_header(larger, kMtu)) << tags;
    const uint8_t tag[] = {0x81, 0, 0, 5};
    largest.insert(largest.begin() + 12, tag, tag + 4);
  }
  for (size_t size = 0; size < 60; size++) {
    Buffer cut = TcpFrame{.payload = Buffer(100)}.frame();
    cut.resize(size);
    EXPECT_TRUE(rebuild_header(cut, kMtu));
  }
}

}  // namespace
}  // namespace vmnet
