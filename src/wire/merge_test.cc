#include "wire/merge.h"

#include <algorithm>
#include <functional>

#include <gtest/gtest.h>

#include "wire/split.h"
#include "wire/test_frames.h"

namespace vmnet {
namespace {

using test::Buffer;
using test::TcpFrame;

// `count` segments of one flow, in order.
std::vector<TcpFrame> flow(size_t count, size_t payload = 100, bool ipv6 = false) {
  std::vector<TcpFrame> frames;
  for (size_t i = 0; i < count; i++) {
    TcpFrame frame{.ipv6 = ipv6,
                   .id = static_cast<uint16_t>(10 + i),
                   .options = Buffer(12, 1),
                   .payload = Buffer(payload, static_cast<uint8_t>(i))};
    frame.tcp.sequence = 0xffffff00 + static_cast<uint32_t>(i * payload);
    frames.push_back(frame);
  }
  return frames;
}

std::vector<Buffer> built(const std::vector<TcpFrame>& frames) {
  std::vector<Buffer> bytes;
  bytes.reserve(frames.size());
  for (const TcpFrame& frame : frames) bytes.push_back(frame.frame());
  return bytes;
}

struct Group {
  VirtioHeader header;
  Buffer frame;
  size_t members;
};

std::vector<Group> merge(std::vector<Buffer> frames, Merger::Options options = {}) {
  Merger merger(frames.size(), options);
  for (Buffer& frame : frames) merger.add(frame);
  merger.finish();
  std::vector<Group> groups;
  for (size_t i = 0; i < merger.count(); i++) {
    if (!merger.begins_group(i)) continue;
    Group group{merger.header(i), {}, 0};
    for (auto at = static_cast<uint32_t>(i); at != Merger::kEnd; at = merger.next(at)) {
      test::append(group.frame, merger.part(at));
      group.members++;
    }
    groups.push_back(group);
  }
  return groups;
}

std::vector<size_t> sizes(const std::vector<Group>& groups) {
  std::vector<size_t> sizes;
  sizes.reserve(groups.size());
  for (const Group& group : groups) sizes.push_back(group.members);
  return sizes;
}

using Sizes = std::vector<size_t>;

TEST(Merge, SegmentsInOrderBecomeOneFrameForTheKernel) {
  for (bool ipv6 : {false, true}) {
    auto frames = flow(4, 100, ipv6);
    frames[3].payload.resize(31);
    frames[3].tcp.flags |= TcpHeader::kPsh | TcpHeader::kFin;
    auto groups = merge(built(frames));
    ASSERT_EQ(sizes(groups), Sizes{4});
    size_t headers = 14 + (ipv6 ? 40 : 20) + 32;
    VirtioHeader expected{.flags = VirtioHeader::kNeedsChecksum,
                          .gso_type = ipv6 ? VirtioHeader::kGsoTcpv6 : VirtioHeader::kGsoTcpv4,
                          .header_length = static_cast<uint16_t>(headers),
                          .gso_size = 100,
                          .checksum_start = static_cast<uint16_t>(headers - 32),
                          .checksum_offset = 16};
    EXPECT_EQ(groups[0].header, expected);

    // The same frame as its sender would have built it, checksum left unfinished.
    TcpFrame whole = frames[0];
    whole.tcp.flags = frames[3].tcp.flags;
    for (size_t i = 1; i < 4; i++) test::append(whole.payload, frames[i].payload);
    EXPECT_TRUE(complete_checksum(groups[0].header, groups[0].frame));
    EXPECT_EQ(groups[0].frame, whole.frame());
  }
}

std::vector<TcpFrame> datagrams(size_t count, size_t payload = 18, bool ipv6 = false) {
  auto frames = flow(count, payload, ipv6);
  for (TcpFrame& frame : frames) frame.udp = true;
  return frames;
}

constexpr Merger::Options kWithUdp{.merge_udp = true};

TEST(Merge, DatagramsOfOneSizeBecomeOneFrameForTheKernel) {
  for (bool ipv6 : {false, true}) {
    auto frames = datagrams(4, 100, ipv6);
    frames[3].payload.resize(31);
    auto groups = merge(built(frames), kWithUdp);
    ASSERT_EQ(sizes(groups), Sizes{4});
    size_t headers = 14 + (ipv6 ? 40 : 20) + 8;
    VirtioHeader expected{.flags = VirtioHeader::kNeedsChecksum,
                          .gso_type = VirtioHeader::kGsoUdpL4,
                          .header_length = static_cast<uint16_t>(headers),
                          .gso_size = 100,
                          .checksum_start = static_cast<uint16_t>(headers - 8),
                          .checksum_offset = 6};
    EXPECT_EQ(groups[0].header, expected);

    // The same datagram as if it were one, checksum left unfinished.
    TcpFrame whole = frames[0];
    for (size_t i = 1; i < 4; i++) test::append(whole.payload, frames[i].payload);
    EXPECT_TRUE(complete_checksum(groups[0].header, groups[0].frame));
    EXPECT_EQ(groups[0].frame, whole.frame());
  }
}

TEST(Merge, DatagramsStayAloneWhereTheKernelDoesNotKnowThem) {
  EXPECT_EQ(sizes(merge(built(datagrams(3)))), (Sizes{1, 1, 1}));
}

TEST(Merge, ASmallerDatagramIsTheLastAndALargerOneBeginsAnew) {
  auto frames = datagrams(5);
  frames[1].payload.resize(17);
  frames[3].payload.resize(19);
  EXPECT_EQ(sizes(merge(built(frames), kWithUdp)), (Sizes{2, 1, 2}));
}

TEST(Merge, ADatagramWithoutChecksumIsNotMergedAndNotOvertaken) {
  auto frames = built(datagrams(4));
  const size_t field = 14 + 20 + UdpHeader::kChecksumAt;
  frames[1][field] = frames[1][field + 1] = 0;
  EXPECT_EQ(sizes(merge(frames, kWithUdp)), (Sizes{1, 1, 2}));
}

TEST(Merge, ADatagramOfADamagedChecksumIsNotMerged) {
  auto frames = built(datagrams(4));
  frames[1].back() ^= 1;
  EXPECT_EQ(sizes(merge(frames, kWithUdp)), (Sizes{1, 1, 2}));
}

TEST(Merge, TcpAndUdpOfTheSamePortsAreFlowsOfTheirOwn) {
  auto udp = built(datagrams(2));
  auto tcp = built(flow(2));
  EXPECT_EQ(sizes(merge({udp[0], tcp[0], udp[1], tcp[1]}, kWithUdp)), (Sizes{2, 2}));
}

TEST(Merge, InterleavedFlowsEachMerge) {
  auto a = built(flow(3));
  auto other = flow(3);
  for (auto& frame : other) frame.tcp.source_port = 1001;
  auto b = built(other);
  EXPECT_EQ(sizes(merge({a[0], b[0], a[1], b[1], b[2], a[2]})), (Sizes{3, 3}));
}

TEST(Merge, AFrameAloneStaysUntouched) {
  auto frames = built(flow(1));
  auto groups = merge(frames);
  ASSERT_EQ(groups.size(), 1U);
  EXPECT_EQ(groups[0].frame, frames[0]);
  EXPECT_EQ(groups[0].header, VirtioHeader{});
}

// What the second of three frames differs in, and the groups that leaves.
struct Case {
  const char* name;
  std::function<void(TcpFrame&)> change;
  Sizes expected;
};

TEST(Merge, DifferencesThatSplittingCouldNotRestoreAreNotMerged) {
  const Case cases[] = {
      {"ack", [](auto& f) { f.tcp.acknowledgement++; }, {1, 1, 1}},
      {"window", [](auto& f) { f.tcp.window++; }, {1, 1, 1}},
      {"urgent pointer", [](auto& f) { f.tcp.urgent++; }, {1, 1, 1}},
      {"reserved bit", [](auto& f) { f.tcp.reserved = 1; }, {1, 1, 1}},
      {"options", [](auto& f) { f.options[11] = 2; }, {1, 1, 1}},
      {"more options", [](auto& f) { f.options.resize(16, 1); }, {1, 1, 1}},
      {"ECE", [](auto& f) { f.tcp.flags |= TcpHeader::kEce; }, {1, 1, 1}},
      {"CWR", [](auto& f) { f.tcp.flags |= TcpHeader::kCwr; }, {1, 2}},
      {"URG", [](auto& f) { f.tcp.flags |= TcpHeader::kUrg; }, {1, 1, 1}},
      {"SYN", [](auto& f) { f.tcp.flags |= TcpHeader::kSyn; }, {1, 1, 1}},
      {"RST", [](auto& f) { f.tcp.flags |= TcpHeader::kRst; }, {1, 1, 1}},
      {"PSH", [](auto& f) { f.tcp.flags |= TcpHeader::kPsh; }, {2, 1}},
      {"FIN", [](auto& f) { f.tcp.flags |= TcpHeader::kFin; }, {2, 1}},
      {"sequence", [](auto& f) { f.tcp.sequence += 100; }, {1, 1, 1}},
      {"retransmission", [](auto& f) { f.tcp.sequence -= 100; }, {1, 1, 1}},
      {"no payload", [](auto& f) { f.payload.clear(); }, {1, 1, 1}},
      {"larger", [](auto& f) { f.payload.resize(101); }, {1, 1, 1}},
      {"smaller", [](auto& f) { f.payload.resize(99); }, {2, 1}},
      {"id", [](auto& f) { f.id += 5; }, {1, 1, 1}},
      {"DF", [](auto& f) { f.fragment = 0; }, {1, 1, 1}},
      {"fragment", [](auto& f) { f.fragment = 0x2000; }, {1, 1, 1}},
      {"reserved IP bit", [](auto& f) { f.fragment |= 0x8000; }, {1, 1, 1}},
      {"TTL", [](auto& f) { f.ttl--; }, {1, 1, 1}},
      {"DSCP", [](auto& f) { f.traffic_class = 0x20; }, {1, 1, 1}},
      {"CE", [](auto& f) { f.traffic_class = 3; }, {1, 1, 1}},
  };
  for (const Case& test : cases) {
    auto frames = flow(3);
    test.change(frames[1]);
    EXPECT_EQ(sizes(merge(built(frames))), test.expected) << test.name;
  }
  auto frames = flow(3, 100, true);
  frames[1].flow_label = 7;
  EXPECT_EQ(sizes(merge(built(frames))), (Sizes{1, 1, 1}));
}

TEST(Merge, CwrOnTheFirstSegmentIsMarked) {
  auto frames = flow(2);
  frames[0].tcp.flags |= TcpHeader::kCwr;
  auto groups = merge(built(frames));
  ASSERT_EQ(sizes(groups), Sizes{2});
  EXPECT_EQ(groups[0].header.gso_type, VirtioHeader::kGsoTcpv4 | VirtioHeader::kGsoEcn);
}

TEST(Merge, AConstantIdMergesOnlyWhereItMeansNothing) {
  auto frames = flow(3);
  for (auto& frame : frames) frame.id = 0;
  EXPECT_EQ(sizes(merge(built(frames))), Sizes{3});
  for (auto& frame : frames) frame.fragment = 0;
  EXPECT_EQ(sizes(merge(built(frames))), (Sizes{1, 1, 1}));
}

TEST(Merge, ChecksumsAreVerifiedFirst) {
  for (size_t broken = 0; broken < 3; broken++) {
    for (size_t field : {14U + 10U, 14U + 20U + 16U}) {
      auto frames = built(flow(3));
      frames[broken][field] ^= 0x10;
      auto groups = merge(frames);
      size_t merged = 0;
      for (const Group& group : groups) {
        if (group.frame == frames[broken]) {
          EXPECT_EQ(group.members, 1U);
        }
        merged += group.members;
      }
      EXPECT_EQ(merged, 3U);
      EXPECT_EQ(groups.size(), broken == 1 ? 3U : 2U) << broken << " " << field;
    }
  }
}

TEST(Merge, UnfinishedChecksumsAreTheOffloadGuestsRight) {
  auto frames = built(flow(3));
  for (auto& frame : frames) frame[14 + 20 + 16] ^= 0x10;
  EXPECT_EQ(sizes(merge(frames, {.verify_checksums = false})), Sizes{3});
}

TEST(Merge, NothingOfAFlowOvertakesAnything) {
  auto frames = flow(4);
  TcpFrame ack = frames[1];
  ack.payload.clear();
  std::vector<Buffer> batch{frames[0].frame(), frames[1].frame(), ack.frame(), frames[2].frame(),
                            frames[3].frame()};
  EXPECT_EQ(sizes(merge(batch)), (Sizes{2, 1, 2}));

  // A later fragment has no ports: it may be of this flow.
  TcpFrame fragment = frames[1];
  fragment.fragment = 0x0010;
  batch[2] = fragment.frame();
  EXPECT_EQ(sizes(merge(batch)), (Sizes{2, 1, 2}));
}

TEST(Merge, OtherFlowsDoNotEndAGroup) {
  auto frames = built(flow(2));
  Buffer udp = test::ethernet_frame(
      {}, {}, kTypeIpv4, test::ipv4_packet({.protocol = 17}, test::udp_datagram(1, 2, Buffer(5))));
  EXPECT_EQ(sizes(merge({frames[0], udp, frames[1]})), (Sizes{2, 1}));
}

TEST(Merge, LimitsOfSizeAndCount) {
  auto groups = merge(built(flow(60, 1448)));
  EXPECT_EQ(sizes(groups), (Sizes{45, 15}));
  for (const Group& group : groups) EXPECT_LE(group.frame.size(), 65'535U);
  EXPECT_EQ(sizes(merge(built(flow(200, 10)))), (Sizes{128, 72}));
  EXPECT_EQ(sizes(merge(built(flow(3, 1449)))), (Sizes{1, 1, 1}));  // beyond the MTU
}

TEST(Merge, FramesWithSomethingBehindThePacketPassUnmerged) {
  auto padded = built(flow(3, 4));
  for (Buffer& frame : padded) frame.resize(80, 0xee);
  EXPECT_EQ(sizes(merge(padded)), (Sizes{1, 1, 1}));

  auto trailer = built(flow(3));
  trailer[1].resize(trailer[1].size() + 4, 0xee);
  auto groups = merge(trailer);
  ASSERT_EQ(sizes(groups), (Sizes{1, 1, 1}));
  EXPECT_EQ(groups[1].frame, trailer[1]);
}

TEST(Merge, TaggedFramesPassUnmerged) {
  auto frames = built(flow(3));
  const uint8_t tag[] = {0x81, 0, 0, 5};
  for (Buffer& frame : frames) frame.insert(frame.begin() + 12, tag, tag + 4);
  EXPECT_EQ(sizes(merge(frames)), (Sizes{1, 1, 1}));
}

}  // namespace
}  // namespace vmnet
