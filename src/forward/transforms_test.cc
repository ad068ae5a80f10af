// ToHost and ToVm, each alone and one after the other.
#include <algorithm>

#include <gtest/gtest.h>

#include "forward/to_host.h"
#include "forward/to_vm.h"
#include "wire/test_frames.h"

namespace vmnet {
namespace {

using test::Buffer;
using test::TcpFrame;

constexpr size_t kSlots = 64;

struct Sent {
  std::vector<Buffer> frames;
  size_t next = 0;
  uint64_t drops = 0;
};

Sent run(Transform& transform, const std::vector<Buffer>& frames, size_t first = 0,
         size_t max_frames = 512, size_t max_parts = 1024) {
  static ReceiveBatch in(kSlots, 65'600);
  for (size_t i = 0; i < frames.size(); i++) {
    std::ranges::copy(frames[i], in.slot(i).begin());
    in.set_size(i, frames[i].size());
  }
  in.set_count(frames.size());
  SendBatch out(max_frames, max_parts);
  Sent sent;
  sent.next = transform.process(in, first, out, sent.drops);
  for (size_t i = 0; i < out.count(); i++) {
    Buffer& frame = sent.frames.emplace_back();
    for (const iovec& part : out.parts_of(i)) {
      test::append(frame, Bytes(static_cast<const uint8_t*>(part.iov_base), part.iov_len));
    }
    EXPECT_EQ(frame.size(), out.size_of(i));
  }
  return sent;
}

std::vector<Buffer> flow(size_t count, size_t payload = 1448) {
  std::vector<Buffer> frames;
  for (size_t i = 0; i < count; i++) {
    TcpFrame frame{.id = static_cast<uint16_t>(i),
                   .options = Buffer(12, 1),
                   .payload = Buffer(payload, static_cast<uint8_t>(i))};
    frame.tcp.sequence = static_cast<uint32_t>(i * payload);
    frames.push_back(frame.frame());
  }
  return frames;
}

Buffer with_header(const VirtioHeader& header, const Buffer& frame) {
  Buffer whole(VirtioHeader::kSize);
  write_virtio_header(header, std::span(whole).first<VirtioHeader::kSize>());
  test::append(whole, frame);
  return whole;
}

VirtioHeader header_of(const Buffer& host_frame) {
  return read_virtio_header(Bytes(host_frame).first<VirtioHeader::kSize>());
}

class Responder : public FrameResponder {
 public:
  bool handle(Bytes frame, FrameSink& vm) override {
    if (frame[0] != 0xaa) return false;
    vm.send(frame);
    return true;
  }
  std::optional<std::chrono::milliseconds> tick(FrameSink& /*vm*/) override { return {}; }
};

class Sink : public FrameSink {
 public:
  void send(Bytes frame) override { sent.emplace_back(frame.begin(), frame.end()); }
  std::vector<Buffer> sent;
};

TEST(Transforms, WhatToHostMergesToVmRestores) {
  auto frames = flow(40);
  ToHost to_host({}, kSlots, nullptr, nullptr);
  Sent host = run(to_host, frames);
  ASSERT_EQ(host.frames.size(), 1U);
  ToVm to_vm({});
  Sent vm = run(to_vm, host.frames);
  EXPECT_EQ(vm.frames, frames);
  EXPECT_EQ(vm.drops + host.drops, 0U);
}

TEST(Transforms, EngineOffIsOneFrameForOne) {
  auto frames = flow(5);
  ToHost to_host({.engine = false}, kSlots, nullptr, nullptr);
  Sent host = run(to_host, frames);
  ASSERT_EQ(host.frames.size(), 5U);
  for (size_t i = 0; i < 5; i++) EXPECT_EQ(host.frames[i], with_header({}, frames[i]));
}

TEST(Transforms, ToHostDropsWhatIsNoFrame) {
  ToHost to_host({}, kSlots, nullptr, nullptr);
  Sent host = run(to_host, {Buffer(13), Buffer(14), Buffer(1514), Buffer(1515), Buffer()});
  EXPECT_EQ(host.frames.size(), 2U);
  EXPECT_EQ(host.drops, 3U);
  EXPECT_EQ(host.next, 5U);
}

TEST(Transforms, ToHostAsksTheResponderFirst) {
  Responder responder;
  Sink sink;
  ToHost to_host({}, kSlots, &responder, &sink);
  Sent host = run(to_host, {Buffer(20, 0xaa), Buffer(20, 0xbb)});
  ASSERT_EQ(host.frames.size(), 1U);
  EXPECT_EQ(host.frames[0][VirtioHeader::kSize], 0xbb);
  EXPECT_EQ(sink.sent.size(), 1U);
  EXPECT_EQ(host.drops, 0U);
}

TEST(Transforms, ToHostConsumesWhatFits) {
  auto frames = flow(10);
  ToHost to_host({.engine = false}, kSlots, nullptr, nullptr);
  Sent host = run(to_host, frames, 0, 4, 64);
  EXPECT_EQ(host.next, 4U);
  EXPECT_EQ(host.frames.size(), 4U);
  host = run(to_host, frames, 8, 4, 64);
  EXPECT_EQ(host.next, 10U);
  EXPECT_EQ(host.frames.size(), 2U);
  ToHost small({.engine = false}, 3, nullptr, nullptr);
  EXPECT_EQ(run(small, frames).next, 3U);
}

TEST(Transforms, ToVmConsumesWhatFits) {
  ToHost to_host({}, kSlots, nullptr, nullptr);
  Buffer large = run(to_host, flow(40)).frames.at(0);
  ToVm to_vm({});
  Sent vm = run(to_vm, {large, large}, 0, 60, 200);
  EXPECT_EQ(vm.next, 1U);
  EXPECT_EQ(vm.frames.size(), 40U);
  EXPECT_EQ(run(to_vm, {large, large}, 1, 60, 200).next, 2U);
  // What fits no empty batch must not stop the direction.
  vm = run(to_vm, {large, with_header({}, Buffer(60))}, 0, 30, 60);
  EXPECT_EQ(vm.next, 2U);
  EXPECT_EQ(vm.drops, 1U);
  EXPECT_EQ(vm.frames.size(), 1U);
}

TEST(Transforms, ToVmDropsWhatTheVmCannotTake) {
  ToVm to_vm({});
  VirtioHeader bad{.flags = VirtioHeader::kNeedsChecksum, .checksum_start = 60000};
  VirtioHeader gso{.gso_type = VirtioHeader::kGsoTcpv4, .gso_size = 1000};
  Sent vm = run(
      to_vm, {Buffer(11), Buffer(25), with_header({}, Buffer(1515)), with_header(bad, Buffer(100)),
              with_header(gso, Buffer(100)), with_header({}, Buffer(1514))});
  EXPECT_EQ(vm.drops, 5U);
  EXPECT_EQ(vm.frames, std::vector<Buffer>{Buffer(1514)});
}

// A frame of `size` bytes with the VLAN tags that these types begin.
Buffer tagged(std::initializer_list<uint16_t> types, size_t size) {
  Buffer frame(size);
  size_t at = 12;
  for (uint16_t type : types) {
    store_be16(&frame[at], type);
    at += EthernetHeader::kTagSize;
  }
  return frame;
}

// Two tags, a service's outside, are not counted; a third is.
TEST(Transforms, VlanTagsComeOnTopOfTheLargestFrame) {
  std::vector<Buffer> fitting = {tagged({kTypeVlan}, 1518), tagged({kTypeServiceVlan}, 1518),
                                 tagged({kTypeVlan, kTypeVlan}, 1522),
                                 tagged({kTypeServiceVlan, kTypeVlan}, 1522)};
  std::vector<Buffer> frames = fitting;
  frames.push_back(tagged({}, 1518));
  frames.push_back(tagged({kTypeVlan}, 1519));
  frames.push_back(tagged({kTypeVlan, kTypeVlan}, 1523));
  frames.push_back(tagged({kTypeVlan, kTypeVlan, kTypeVlan}, 1526));
  std::vector<Buffer> from_host;
  for (const Buffer& frame : frames) from_host.push_back(with_header({}, frame));
  for (const DataPathOptions& options :
       {DataPathOptions{}, DataPathOptions{.checksum_offload = true}}) {
    ToHost to_host(options, kSlots, nullptr, nullptr);
    Sent host = run(to_host, frames);
    EXPECT_EQ(host.drops, 4U);
    ASSERT_EQ(host.frames.size(), fitting.size());
    for (size_t i = 0; i < fitting.size(); i++) {
      EXPECT_EQ(host.frames[i], with_header({}, fitting[i]));
    }
    ToVm to_vm(options);
    Sent vm = run(to_vm, from_host);
    EXPECT_EQ(vm.drops, 4U);
    EXPECT_EQ(vm.frames, fitting);
  }
}

// The host cuts nothing smaller for a tag: a segment keeps its size, a datagram is not lost.
TEST(Transforms, TaggedSegmentsKeepTheirSize) {
  for (bool udp : {false, true}) {
    Buffer large = TcpFrame{.udp = udp, .payload = Buffer(udp ? 4 * 1472 : 4 * 1460, 9)}.frame();
    const uint8_t tags[] = {0x88, 0xa8, 0, 5, 0x81, 0, 0, 7};
    large.insert(large.begin() + 12, std::begin(tags), std::end(tags));
    VirtioHeader gso{.flags = VirtioHeader::kNeedsChecksum,
                     .gso_type = udp ? VirtioHeader::kGsoUdpL4 : VirtioHeader::kGsoTcpv4,
                     .gso_size = static_cast<uint16_t>(udp ? 1472 : 1460),
                     .checksum_start = 42,
                     .checksum_offset = static_cast<uint16_t>(udp ? 6 : 16)};
    ToVm to_vm({});
    Sent vm = run(to_vm, {with_header(gso, large)});
    EXPECT_EQ(vm.drops, 0U);
    ASSERT_EQ(vm.frames.size(), 4U);
    for (const Buffer& frame : vm.frames) EXPECT_EQ(frame.size(), 1522U);
  }
}

// A guest with offload gets large frames whole, with a checksum that is true: nothing tells it that
// it need not look.
TEST(Transforms, OffloadGuestsExchangeLargeFrames) {
  Buffer large = TcpFrame{.payload = Buffer(40'000, 9)}.frame();
  DataPathOptions offload{.tso = true, .checksum_offload = true};
  Buffer unfinished = large;
  store_be16(unfinished.data() + 50, 0x4711);
  ToHost to_host(offload, kSlots, nullptr, nullptr);
  Sent host = run(to_host, {unfinished});
  ASSERT_EQ(host.frames.size(), 1U);
  EXPECT_EQ(header_of(host.frames[0]).gso_size, 1460);

  ToVm to_offload_vm(offload);
  EXPECT_EQ(run(to_offload_vm, host.frames).frames, std::vector<Buffer>{large});

  ToVm to_plain_vm({});
  Sent vm = run(to_plain_vm, host.frames);
  EXPECT_EQ(vm.frames.size(), 28U);
  ToHost back({}, kSlots, nullptr, nullptr);
  host = run(back, vm.frames);
  ASSERT_EQ(host.frames.size(), 1U);
  EXPECT_EQ(run(to_offload_vm, host.frames).frames, std::vector<Buffer>{large});
}

// A router on the way takes less than the VM's MTU: what follows is cut to that.
TEST(Transforms, OffloadGuestsStreamsAreCutToThePath) {
  DataPathOptions offload{.tso = true, .checksum_offload = true};
  Buffer large = TcpFrame{.payload = Buffer(10'000, 9)}.frame();
  Buffer message{3, 4, 0, 0, 0, 0, 1400 >> 8, 1400 & 0xff};
  test::append(message, Bytes(large).subspan(14, 28));
  test::finish(message, 2, 0);
  Ipv4Header router{.protocol = kProtocolIcmp, .source = {1}, .destination = {2}};
  Buffer answer = test::ethernet_frame({}, {}, kTypeIpv4, test::ipv4_packet(router, message));

  PathMtus paths;
  ToVm to_vm(offload, &paths);
  ToHost to_host(offload, kSlots, nullptr, nullptr, &paths);
  EXPECT_EQ(header_of(run(to_host, {large}).frames.at(0)).gso_size, 1460);
  EXPECT_EQ(run(to_vm, {with_header({}, answer)}).frames, std::vector<Buffer>{answer});
  EXPECT_EQ(header_of(run(to_host, {large}).frames.at(0)).gso_size, 1360);
}

TEST(Transforms, OffloadGuestsWithoutTsoStillMerge) {
  auto frames = flow(10);
  ToHost to_host({.checksum_offload = true}, kSlots, nullptr, nullptr);
  Sent host = run(to_host, frames);
  ASSERT_EQ(host.frames.size(), 1U);
  EXPECT_EQ(header_of(host.frames[0]).gso_size, 1448);
}

}  // namespace
}  // namespace vmnet
