#include "wire/router_advert.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "wire/test_frames.h"

namespace vmnet {
namespace {

using test::Buffer;

const Mac kGatewayMac = *parse_mac("0e:76:6d:00:00:01");
const Mac kVmMac = *parse_mac("52:54:00:12:34:56");
const Ipv6 kGateway = *parse_ipv6("fe80::1");
const Ipv6 kVm = *parse_ipv6("fe80::5054:ff:fe12:3456");
const Ipv6 kAllRouters = *parse_ipv6("ff02::2");
const Ipv6 kAllNodes = *parse_ipv6("ff02::1");

RouterAdvertConfig config() {
  return {.prefix = *parse_ipv6("fd12:3456:789a:1::"),
          .gateway_link_local = kGateway,
          .gateway_mac = kGatewayMac,
          .dns_servers = {*parse_ipv6("2001:db8::53")}};
}

struct Solicitation {
  Ipv6 source = kVm;
  uint8_t hop_limit = 255;
  uint8_t code = 0;
  Buffer options{1, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56};
  enum { kGood, kUnfinished, kBad } checksum = kGood;
  size_t size = 8;

  Buffer frame() const {
    Buffer message(size);
    message[0] = kRouterSolicitation;
    message[1] = code;
    test::append(message, options);
    uint16_t pseudo =
        pseudo_sum(source, kAllRouters, kProtocolIcmpv6, static_cast<uint32_t>(message.size()));
    test::finish(message, 2, pseudo);
    if (checksum == kUnfinished) store_be16(message.data() + 2, pseudo);
    if (checksum == kBad) message[2] ^= 1;
    Buffer packet = test::ipv6_packet({.next_header = kProtocolIcmpv6,
                                       .hop_limit = hop_limit,
                                       .source = source,
                                       .destination = kAllRouters},
                                      message);
    return test::ethernet_frame(*parse_mac("33:33:00:00:00:02"), kVmMac, kTypeIpv6, packet);
  }
};

Buffer ask(const Solicitation& solicitation, const RouterAdvertConfig& with = config()) {
  Buffer out(RouterAdvertiser::kMaxReply, 0xaa);
  out.resize(RouterAdvertiser(with).reply(solicitation.frame(), out).value_or(0));
  return out;
}

// The option of `type` in an advertisement's message.
Buffer option_of(Bytes message, uint8_t type) {
  for (size_t at = 16; at < message.size(); at += size_t{8} * message[at + 1]) {
    Bytes option = message.subspan(at, size_t{8} * message[at + 1]);
    if (option[0] == type) return {option.begin(), option.end()};
  }
  return {};
}

// Checks what every advertisement must be (RFC 4861, section 6.1.2) and returns its message.
Buffer checked_message(const Buffer& frame) {
  auto ip = read_ipv6(Bytes(frame).subspan(14));
  EXPECT_TRUE(ip);
  EXPECT_EQ(ip->hop_limit, 255);
  EXPECT_EQ(ip->source, kGateway);
  EXPECT_EQ(ip->payload_length, frame.size() - 54);
  Buffer message(frame.begin() + 54, frame.end());
  uint16_t pseudo = pseudo_sum(ip->source, ip->destination, 58, ip->payload_length);
  EXPECT_TRUE(sum_is_valid(ones_add(pseudo, ones_sum(message))));
  EXPECT_EQ(message[0], kRouterAdvertisement);
  return message;
}

TEST(RouterAdvert, AnswersTheSolicitor) {
  Buffer frame = ask({});
  ASSERT_FALSE(frame.empty());
  EXPECT_EQ(read_ethernet(frame)->destination, kVmMac);
  EXPECT_EQ(read_ipv6(Bytes(frame).subspan(14))->destination, kVm);
  Buffer message = checked_message(frame);
  EXPECT_EQ(load_be16(message.data() + 6), 1800);
  EXPECT_EQ(option_of(message, 1), (Buffer{1, 1, 0x0e, 0x76, 0x6d, 0, 0, 1}));
  EXPECT_EQ(option_of(message, 5), (Buffer{5, 1, 0, 0, 0, 0, 5, 0xdc}));
  Buffer prefix = option_of(message, 3);
  ASSERT_EQ(prefix.size(), 32U);
  EXPECT_EQ(prefix[2], 64);
  EXPECT_EQ(prefix[3], 0xc0);
  EXPECT_TRUE(std::ranges::equal(config().prefix.bytes, Bytes(prefix).subspan(16)));
  Buffer dns = option_of(message, 25);
  ASSERT_EQ(dns.size(), 24U);
  EXPECT_TRUE(std::ranges::equal(config().dns_servers[0].bytes, Bytes(dns).subspan(8)));
}

TEST(RouterAdvert, AnswersAllNodesWhereTheSolicitorHasNoAddress) {
  Buffer frame = ask({.source = Ipv6{}, .options = {}});
  ASSERT_FALSE(frame.empty());
  EXPECT_EQ(read_ipv6(Bytes(frame).subspan(14))->destination, kAllNodes);
  EXPECT_EQ(read_ethernet(frame)->destination, *parse_mac("33:33:00:00:00:01"));
  checked_message(frame);
}

TEST(RouterAdvert, UnfinishedChecksumIsAccepted) {
  EXPECT_FALSE(ask({.checksum = Solicitation::kUnfinished}).empty());
}

TEST(RouterAdvert, InvalidSolicitationsAreIgnored) {
  EXPECT_TRUE(ask({.hop_limit = 254}).empty());
  EXPECT_TRUE(ask({.code = 1}).empty());
  EXPECT_TRUE(ask({.checksum = Solicitation::kBad}).empty());
  EXPECT_TRUE(ask({.options = {1, 0, 0, 0, 0, 0, 0, 0}}).empty());
  EXPECT_TRUE(ask({.options = {1, 2, 0, 0, 0, 0, 0, 0}}).empty());
  EXPECT_TRUE(ask({.options = {}, .size = 7}).empty());
  EXPECT_TRUE(ask({.source = Ipv6{}}).empty());  // names a link-layer address without having one
  EXPECT_TRUE(ask({.source = kAllNodes}).empty());
}

TEST(RouterAdvert, EveryTruncationIsHarmless) {
  Buffer frame = Solicitation{}.frame();
  Buffer out(RouterAdvertiser::kMaxReply);
  for (size_t size = 0; size < frame.size(); size++) {
    EXPECT_FALSE(RouterAdvertiser(config()).reply(Bytes(frame).first(size), out)) << size;
  }
}

TEST(RouterAdvert, HostModeHasAPrefixAndNoRoute) {
  RouterAdvertConfig host_mode = config();
  host_mode.is_default_router = false;
  host_mode.dns_servers.clear();
  Buffer message = checked_message(ask({}, host_mode));
  EXPECT_EQ(load_be16(message.data() + 6), 0);
  EXPECT_FALSE(option_of(message, 3).empty());
  EXPECT_TRUE(option_of(message, 25).empty());
}

TEST(RouterAdvert, ManyDnsServersFit) {
  RouterAdvertConfig many = config();
  many.dns_servers.assign(50, *parse_ipv6("2001:db8::53"));
  EXPECT_EQ(option_of(checked_message(ask({}, many)), 25).size(), 8U + (8 * 16));
}

}  // namespace
}  // namespace vmnet
