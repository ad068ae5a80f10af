#include "wire/path_mtu.h"

#include <gtest/gtest.h>

#include "wire/test_frames.h"

namespace vmnet {
namespace {

using test::Buffer;

constexpr Ipv4 kVm{0xc0a84002};
constexpr Ipv4 kFar{0xc6336450};

// A clock that stands still until it is told to go on.
std::chrono::seconds time_passed{0};
PathMtus::Clock::time_point now() {
  return PathMtus::Clock::time_point(std::chrono::hours(1) + time_passed);
}

// A router's answer to a packet of the VM to `far`.
Buffer fragmentation_needed(uint16_t mtu, Ipv4 far = kFar) {
  Buffer message{3, 4, 0, 0, 0, 0, static_cast<uint8_t>(mtu >> 8), static_cast<uint8_t>(mtu)};
  test::append(message,
               test::ipv4_packet({.protocol = 6, .source = kVm, .destination = far}, Buffer(8, 1)));
  test::finish(message, 2, 0);
  Ipv4Header ip{.protocol = kProtocolIcmp, .source = {0xc0000201}, .destination = kVm};
  return test::ethernet_frame({}, {}, kTypeIpv4, test::ipv4_packet(ip, message));
}

Ipv6 far6() {
  Ipv6 far{{0x20, 1}};
  far.bytes[15] = 9;
  return far;
}

// What the VM sends.
Buffer frame_to(Ipv4 far, uint8_t protocol = kProtocolTcp) {
  Buffer body = protocol == kProtocolTcp ? Buffer(20) : test::udp_datagram(1, 2, Buffer(12));
  if (protocol == kProtocolTcp) body[12] = 0x50;
  Ipv4Header ip{.protocol = protocol, .source = kVm, .destination = far};
  return test::ethernet_frame({}, {}, kTypeIpv4, test::ipv4_packet(ip, body));
}

Buffer frame_to_far6() {
  Buffer body(20);
  body[12] = 0x50;
  Ipv6Header ip{.next_header = kProtocolTcp, .source = {{0xfd}}, .destination = far6()};
  return test::ethernet_frame({}, {}, kTypeIpv6, test::ipv6_packet(ip, body));
}

Buffer packet_too_big(uint32_t mtu) {
  Buffer message(8);
  message[0] = 2;
  store_be32(&message[4], mtu);
  Ipv6Header inner{.next_header = 6, .source = {{0xfd}}, .destination = far6()};
  test::append(message, test::ipv6_packet(inner, Buffer(8, 1)));
  Ipv6Header ip{.next_header = kProtocolIcmpv6, .source = {{0x20}}, .destination = {{0xfd}}};
  test::finish(message, 2,
               pseudo_sum(ip.source, ip.destination, kProtocolIcmpv6,
                          static_cast<uint32_t>(message.size())));
  return test::ethernet_frame({}, {}, kTypeIpv6, test::ipv6_packet(ip, message));
}

TEST(PathMtus, LearnsWhatRoutersSay) {
  PathMtus paths(now);
  EXPECT_TRUE(paths.empty());
  paths.learn(fragmentation_needed(1400));
  paths.learn(packet_too_big(1300));
  EXPECT_FALSE(paths.empty());
  EXPECT_EQ(paths.mtu_for(frame_to(kFar), 1500), 1400U);
  EXPECT_EQ(paths.mtu_for(frame_to_far6(), 1500), 1300U);
  EXPECT_EQ(paths.mtu_for(frame_to(kVm), 1500), 1500U);
  EXPECT_EQ(paths.mtu_for(frame_to(kFar, kProtocolUdp), 1500), 1500U);
  EXPECT_EQ(paths.mtu_for(frame_to(kFar), 1000), 1000U);
  paths.learn(fragmentation_needed(1450));
  EXPECT_EQ(paths.mtu_for(frame_to(kFar), 1500), 1450U);
}

TEST(PathMtus, ForgetsAfterTenMinutes) {
  PathMtus paths(now);
  paths.learn(fragmentation_needed(1400));
  Buffer frame = frame_to(kFar);
  time_passed += std::chrono::minutes(9);
  EXPECT_EQ(paths.mtu_for(frame, 1500), 1400U);
  time_passed += std::chrono::minutes(1);
  EXPECT_EQ(paths.mtu_for(frame, 1500), 1500U);
}

TEST(PathMtus, TheOldestMakesRoom) {
  PathMtus paths(now);
  for (uint32_t i = 0; i < 65; i++) {
    paths.learn(fragmentation_needed(1400, {kFar.value + i}));
    time_passed += std::chrono::seconds(1);
  }
  EXPECT_EQ(paths.mtu_for(frame_to(kFar), 1500), 1500U);
  EXPECT_EQ(paths.mtu_for(frame_to({kFar.value + 64}), 1500), 1400U);
}

TEST(PathMtus, IgnoresWhatIsDamagedOrSaysTooLittle) {
  PathMtus paths(now);
  paths.learn(fragmentation_needed(0));
  paths.learn(fragmentation_needed(551));
  paths.learn(packet_too_big(1279));
  for (const Buffer& good : {fragmentation_needed(1400), packet_too_big(1400)}) {
    Buffer broken = good;
    broken.back() ^= 1;
    paths.learn(broken);
    for (size_t size = 0; size < good.size(); size++) {
      paths.learn(Bytes(good).first(size));
    }
  }
  paths.learn(test::TcpFrame{}.frame());
  EXPECT_TRUE(paths.empty());
}

}  // namespace
}  // namespace vmnet
