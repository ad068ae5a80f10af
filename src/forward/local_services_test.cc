#include "forward/local_services.h"

#include <gtest/gtest.h>

#include "wire/test_frames.h"

namespace vmnet {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::Buffer;

const Mac kGatewayMac = *parse_mac("0e:76:6d:00:00:01");
const Mac kVmMac = *parse_mac("52:54:00:12:34:56");
const Ipv6 kVm = *parse_ipv6("fe80::2");
const Ipv6 kAllNodes = *parse_ipv6("ff02::1");

class Sink : public FrameSink {
 public:
  void send(std::span<const uint8_t> frame) override {
    frames.emplace_back(frame.begin(), frame.end());
  }
  uint64_t epoch() const override { return client; }
  std::vector<Buffer> frames;
  uint64_t client = 1;
};

class LocalServicesTest : public testing::Test {
 protected:
  LocalServicesConfig config() {
    LocalServicesConfig config;
    config.dhcp = DhcpConfig{.gateway = {0xc0a84001},
                             .gateway_mac = kGatewayMac,
                             .subnet = subnet_of({0xc0a84001}, 24),
                             .address = {0xc0a84002},
                             .router = {},
                             .dns_servers = {}};
    config.router_advert = RouterAdvertConfig{.prefix = *parse_ipv6("fd00:1::"),
                                              .gateway_link_local = *parse_ipv6("fe80::1"),
                                              .gateway_mac = kGatewayMac,
                                              .dns_servers = {}};
    config.now = [this] { return now_; };
    return config;
  }

  bool consumed(const Buffer& frame) { return services_->handle(frame, sink_); }

  std::chrono::steady_clock::time_point now_{seconds(1000)};
  Sink sink_;
  std::unique_ptr<FrameResponder> services_ = make_local_services(config());
};

Buffer udp4(uint16_t source, uint16_t destination, uint16_t fragment = 0) {
  Buffer udp = test::udp_datagram(source, destination, Buffer(20));
  return test::ethernet_frame(kBroadcastMac, kVmMac, kTypeIpv4,
                              test::ipv4_packet({.fragment = fragment, .protocol = 17}, udp));
}

Buffer ipv6(uint8_t next_header, const Buffer& payload) {
  Ipv6Header header{
      .next_header = next_header, .hop_limit = 255, .source = kVm, .destination = kAllNodes};
  return test::ethernet_frame(kBroadcastMac, kVmMac, kTypeIpv6, test::ipv6_packet(header, payload));
}

Buffer icmpv6(uint8_t type) {
  Buffer message(16);
  message[0] = type;
  message[9] = 1;  // an unknown option of 8 bytes
  test::finish(message, 2, pseudo_sum(kVm, kAllNodes, kProtocolIcmpv6, 16));
  return message;
}

Buffer dhcp(uint8_t type, const Mac& mac) {
  Buffer message(240);
  message[0] = message[1] = 1;
  message[2] = 6;
  std::ranges::copy(mac.bytes, message.begin() + 28);
  store_be32(message.data() + 236, 0x63825363);
  test::append(message, Buffer{53, 1, type, 50, 4, 192, 168, 64, 2, 255});
  Buffer udp = test::udp_datagram(68, 67, message);
  return test::ethernet_frame(
      kBroadcastMac, mac, kTypeIpv4,
      test::ipv4_packet({.protocol = 17, .destination = {0xffffffff}}, udp));
}

Buffer dhcp_discover() { return dhcp(1, kVmMac); }

TEST_F(LocalServicesTest, AnswersAndConsumesDhcp) {
  EXPECT_TRUE(consumed(dhcp_discover()));
  EXPECT_EQ(sink_.frames.size(), 1U);
}

// A macvlan in the VM, a nested bridge: it would take the address away from the VM.
TEST_F(LocalServicesTest, ASecondMacGetsNoAnswerWhileTheFirstSpeaks) {
  const Mac second = *parse_mac("52:54:00:12:34:57");
  auto answers = [&](const Buffer& request) {
    size_t before = sink_.frames.size();
    EXPECT_TRUE(consumed(request));
    return sink_.frames.size() - before;
  };
  EXPECT_EQ(answers(dhcp(3, kVmMac)), 1U);
  EXPECT_EQ(answers(dhcp(1, second)), 0U);
  now_ += seconds(299);
  EXPECT_FALSE(consumed(test::ethernet_frame(kBroadcastMac, kVmMac, kTypeArp, Buffer(28))));
  now_ += seconds(299);
  EXPECT_FALSE(consumed(test::ethernet_frame(kBroadcastMac, second, kTypeArp, Buffer(28))));
  EXPECT_EQ(answers(dhcp(1, second)), 0U);
  now_ += seconds(1);
  EXPECT_EQ(answers(dhcp(3, second)), 1U);
  EXPECT_EQ(answers(dhcp(3, kVmMac)), 0U);
  sink_.client++;  // the VM started again, with another MAC
  EXPECT_EQ(answers(dhcp(3, kVmMac)), 1U);
  EXPECT_EQ(answers(dhcp(3, second)), 0U);
}

TEST_F(LocalServicesTest, AnswersAndConsumesSolicitations) {
  EXPECT_TRUE(consumed(ipv6(kProtocolIcmpv6, icmpv6(kRouterSolicitation))));
  EXPECT_EQ(sink_.frames.size(), 1U);
}

TEST_F(LocalServicesTest, WithoutServicesRequestsStillReachNobody) {
  services_ = make_local_services({});
  EXPECT_TRUE(consumed(dhcp_discover()));
  EXPECT_TRUE(consumed(ipv6(kProtocolIcmpv6, icmpv6(kRouterSolicitation))));
  EXPECT_FALSE(services_->tick(sink_));
  EXPECT_TRUE(sink_.frames.empty());
}

TEST_F(LocalServicesTest, WhatOnlyARouterSendsIsConsumed) {
  EXPECT_TRUE(consumed(udp4(67, 68)));
  EXPECT_TRUE(consumed(udp4(67, 68, 0x2000)));  // the first fragment carries the ports
  EXPECT_TRUE(consumed(ipv6(17, test::udp_datagram(547, 546, Buffer(4)))));
  EXPECT_TRUE(consumed(ipv6(kProtocolIcmpv6, icmpv6(kRouterAdvertisement))));
  EXPECT_TRUE(consumed(ipv6(kProtocolIcmpv6, icmpv6(kRedirect))));
  EXPECT_TRUE(sink_.frames.empty());
}

TEST_F(LocalServicesTest, AdvertisementsDoNotHideBehindExtensions) {
  Buffer hidden{kProtocolIcmpv6, 0, 1, 4, 0, 0, 0, 0};  // destination options
  test::append(hidden, icmpv6(kRouterAdvertisement));
  EXPECT_TRUE(consumed(ipv6(60, hidden)));
  hidden[0] = kProtocolIcmpv6;
  EXPECT_TRUE(consumed(ipv6(0, hidden)));                            // hop-by-hop
  EXPECT_TRUE(consumed(ipv6(44, {60, 0, 0, 1, 0, 0, 0, 1})));        // chain cut by a fragment
  EXPECT_TRUE(consumed(ipv6(60, {58, 200, 0, 0, 0, 0, 0, 0})));      // chain beyond the packet
  EXPECT_FALSE(consumed(ipv6(44, {58, 0, 0, 9, 0, 0, 0, 1, 134})));  // a later fragment
}

TEST_F(LocalServicesTest, APriorityTagHidesNothing) {
  Buffer frame = udp4(67, 68);
  const uint8_t tag[] = {0x81, 0, 0x20, 0};
  frame.insert(frame.begin() + 12, tag, tag + 4);
  EXPECT_TRUE(consumed(frame));
  frame[15] = 5;  // a VLAN of its own is the VM's business
  EXPECT_FALSE(consumed(frame));
}

TEST_F(LocalServicesTest, OrdinaryFramesPass) {
  EXPECT_FALSE(consumed(udp4(1000, 53)));
  EXPECT_FALSE(consumed(udp4(67, 67, 0x0009)));  // a later fragment has no ports
  EXPECT_FALSE(consumed(ipv6(kProtocolIcmpv6, icmpv6(135))));
  EXPECT_FALSE(consumed(ipv6(17, test::udp_datagram(546, 547, {}))));
  EXPECT_FALSE(consumed(test::ethernet_frame(kBroadcastMac, kVmMac, kTypeArp, Buffer(28))));
  for (size_t size = 0; size < 60; size++) consumed(Buffer(size, 0x86));
}

TEST_F(LocalServicesTest, AdvertisesUnaskedWithTheIntervalsOfTheRfc) {
  for (int i = 1; i <= 6; i++) {
    auto next = services_->tick(sink_);
    ASSERT_TRUE(next);
    ASSERT_EQ(sink_.frames.size(), static_cast<size_t>(i));
    EXPECT_EQ(read_ipv6(Bytes(sink_.frames.back()).subspan(14))->destination, kAllNodes);
    seconds longest = i < 3 ? seconds(16) : seconds(600);
    EXPECT_LE(*next, longest);
    if (i >= 3) {
      EXPECT_GE(*next, seconds(200));
    }
    now_ += *next - milliseconds(1);
    EXPECT_EQ(services_->tick(sink_), milliseconds(1));
    ASSERT_EQ(sink_.frames.size(), static_cast<size_t>(i));
    now_ += milliseconds(1);
  }
}

}  // namespace
}  // namespace vmnet
