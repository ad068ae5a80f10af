#include "linux/nft/builder.h"

#include <cstring>

#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

namespace vmnet {
namespace {

constexpr Mac kMac{{0x0e, 0x76, 0x6d, 0, 0, 1}};

using Expressions = std::vector<NftExpression>;

TEST(NftRule, ComparesAWholeInterfaceName) {
  NftRule rule(NftFamily::kBridge);
  rule.iifname("vmnet-tap0").drop();
  NftBytes name{'v', 'm', 'n', 'e', 't', '-', 't', 'a', 'p', '0', 0, 0, 0, 0, 0, 0};
  EXPECT_EQ(rule.expressions(),
            (Expressions{NftMeta{.key = NFT_META_IIFNAME}, NftCompare{.value = name},
                         NftVerdict{.code = NF_DROP}}));
}

TEST(NftRule, ComparesOnlyThePrefixBeforeAStar) {
  NftRule rule(NftFamily::kInet);
  rule.oifname_not("vmnet-*").accept();
  EXPECT_EQ(rule.expressions(),
            (Expressions{NftMeta{.key = NFT_META_OIFNAME},
                         NftCompare{.value = {'v', 'm', 'n', 'e', 't', '-'}, .equal = false},
                         NftVerdict{.code = NF_ACCEPT}}));
}

TEST(NftRule, ComparesADevicesGroupInTheHostsOrder) {
  NftRule rule(NftFamily::kBridge);
  rule.iifgroup(0x40000003).drop();
  uint32_t group = 0x40000003;
  NftBytes value(4);
  std::memcpy(value.data(), &group, sizeof(group));
  EXPECT_EQ(rule.expressions(),
            (Expressions{NftMeta{.key = NFT_META_IIFGROUP}, NftCompare{.value = value},
                         NftVerdict{.code = NF_DROP}}));
}

TEST(NftRule, AsksForEthernetWhereTheFamilyHasOtherDevices) {
  NftRule bridge(NftFamily::kBridge);
  bridge.ether_saddr(kMac).drop();
  EXPECT_EQ(bridge.expressions().size(), 3);
  NftRule inet(NftFamily::kInet);
  inet.ether_saddr(kMac).drop();
  ASSERT_EQ(inet.expressions().size(), 5);
  EXPECT_EQ(inet.expressions()[0], NftExpression(NftMeta{.key = NFT_META_IIFTYPE}));
}

TEST(NftRule, AsksForTheProtocolOnceAndAsTheFamilyDoes) {
  NftRule netdev(NftFamily::kNetdev);
  netdev.icmpv6_type(136).is_not(kIp6NextHeader, {58}).drop();
  EXPECT_EQ(netdev.expressions(),
            (Expressions{NftMeta{.key = NFT_META_PROTOCOL}, NftCompare{.value = {0x86, 0xdd}},
                         NftMeta{.key = NFT_META_L4PROTO}, NftCompare{.value = {58}},
                         NftPayload{.base = NFT_PAYLOAD_TRANSPORT_HEADER, .offset = 0, .length = 1},
                         NftCompare{.value = {136}},
                         NftPayload{.base = NFT_PAYLOAD_NETWORK_HEADER, .offset = 6, .length = 1},
                         NftCompare{.value = {58}, .equal = false}, NftVerdict{.code = NF_DROP}}));
  NftRule inet(NftFamily::kInet);
  inet.ip_saddr(Ipv4{0xc0a84001}).drop();
  EXPECT_EQ(inet.expressions()[0], NftExpression(NftMeta{.key = NFT_META_NFPROTO}));
  EXPECT_EQ(inet.expressions()[1], NftExpression(NftCompare{.value = {NFPROTO_IPV4}}));
}

TEST(NftRule, LoadsOnlyTheBytesOfABytewisePrefix) {
  NftRule rule(NftFamily::kInet);
  rule.ip_saddr_not({.address = {0xc0a84000}, .prefix_length = 24}).drop();
  EXPECT_EQ(
      rule.expressions()[2],
      NftExpression(NftPayload{.base = NFT_PAYLOAD_NETWORK_HEADER, .offset = 12, .length = 3}));
  EXPECT_EQ(rule.expressions()[3],
            NftExpression(NftCompare{.value = {192, 168, 64}, .equal = false}));
}

TEST(NftRule, MasksAnyOtherPrefix) {
  NftRule rule(NftFamily::kInet);
  rule.ip_daddr({.address = {0x0a010204}, .prefix_length = 30}).drop();
  EXPECT_EQ(
      rule.expressions()[2],
      NftExpression(NftPayload{.base = NFT_PAYLOAD_NETWORK_HEADER, .offset = 16, .length = 4}));
  EXPECT_EQ(rule.expressions()[3], NftExpression(NftMask{.mask = {255, 255, 255, 252}}));
  EXPECT_EQ(rule.expressions()[4], NftExpression(NftCompare{.value = {10, 1, 2, 4}}));
}

TEST(NftRule, MakesIntervalsOfPrefixes) {
  NftRule rule(NftFamily::kInet);
  rule.ip6_saddr_not_in(std::vector<Ipv6Prefix>{{.address = {{0xfe, 0x80}}, .length = 10},
                                                {.address = {}, .length = 128},
                                                {.address = {{0xff, 0xff}}, .length = 16}})
      .drop();
  ASSERT_EQ(rule.anonymous_sets().size(), 1);
  const NftSet& set = rule.anonymous_sets()[0];
  EXPECT_TRUE(set.interval);
  auto key = [](uint8_t first, uint8_t second, uint8_t last) {
    NftBytes bytes(16);
    bytes[0] = first;
    bytes[1] = second;
    bytes[15] = last;
    return bytes;
  };
  // The last one ends with the address space: it has no end.
  EXPECT_EQ(set.elements,
            (std::vector<NftElement>{{.key = key(0, 0, 0)},
                                     {.key = key(0, 0, 1), .interval_end = true},
                                     {.key = key(0xfe, 0x80, 0)},
                                     {.key = key(0xfe, 0xc0, 0), .interval_end = true},
                                     {.key = key(0xff, 0xff, 0)}}));
  EXPECT_EQ(rule.expressions()[3], NftExpression(NftLookup{.inverted = true}));
}

TEST(NftRule, LooksUpNamedAndOwnSets) {
  static constexpr std::array<uint16_t, 2> kPorts{67, 547};
  NftRule rule(NftFamily::kBridge);
  rule.in(kEtherSource, "vm_macs").udp_sport_in(kPorts).drop();
  EXPECT_EQ(rule.expressions()[1], NftExpression(NftLookup{.set = "vm_macs"}));
  ASSERT_EQ(rule.anonymous_sets().size(), 1);
  EXPECT_EQ(
      rule.anonymous_sets()[0],
      (NftSet{.type = kNftInetService, .elements = {{.key = {0, 67}}, {.key = {0x02, 0x23}}}}));
}

TEST(NftRule, AsksWhetherThereIsAProtocol) {
  NftRule rule(NftFamily::kNetdev);
  rule.meta_protocol(ETH_P_IP).meta_l4proto_not(255).go_to("ipv4");
  Expressions expected{NftMeta{.key = NFT_META_PROTOCOL}, NftCompare{.value = {8, 0}},
                       NftMeta{.key = NFT_META_L4PROTO}, NftCompare{.value = {255}, .equal = false},
                       NftVerdict{.code = NFT_GOTO, .chain = "ipv4"}};
  EXPECT_EQ(rule.expressions(), expected);
}

TEST(NftRule, PutsMacsIntoSets) {
  NftRule rule(NftFamily::kBridge);
  rule.update(kEtherSource, "senders").accept();
  Expressions expected{NftPayload{.base = NFT_PAYLOAD_LL_HEADER, .offset = 6, .length = 6},
                       NftUpdate{.set = "senders"}, NftVerdict{.code = NF_ACCEPT}};
  EXPECT_EQ(rule.expressions(), expected);
}

TEST(NftRule, PutsAddressesIntoSets) {
  NftRule rule(NftFamily::kNetdev);
  rule.update(kIp6Source, "vm_ipv6").accept();
  Expressions expected{NftMeta{.key = NFT_META_PROTOCOL}, NftCompare{.value = {0x86, 0xdd}},
                       NftPayload{.base = NFT_PAYLOAD_NETWORK_HEADER, .offset = 8, .length = 16},
                       NftUpdate{.set = "vm_ipv6"}, NftVerdict{.code = NF_ACCEPT}};
  EXPECT_EQ(rule.expressions(), expected);
}

TEST(NftRule, PutsNextHopsIntoSets) {
  NftRule rule(NftFamily::kInet);
  rule.update_ip6_nexthop("next_hops").accept();
  EXPECT_EQ(rule.expressions(),
            (Expressions{NftMeta{.key = NFT_META_NFPROTO}, NftCompare{.value = {NFPROTO_IPV6}},
                         NftRoute{.key = NFT_RT_NEXTHOP6}, NftUpdate{.set = "next_hops"},
                         NftVerdict{.code = NF_ACCEPT}}));
}

TEST(NftRule, LooksUpRawBytesInASetOfAddresses) {
  NftRule rule(NftFamily::kBridge);
  rule.icmpv6_type(136).not_in(kNeighborTarget, "own_ipv6").drop();
  EXPECT_EQ(
      rule.expressions()[6],
      NftExpression(NftPayload{.base = NFT_PAYLOAD_TRANSPORT_HEADER, .offset = 8, .length = 16}));
  EXPECT_EQ(rule.expressions()[7], NftExpression(NftLookup{.set = "own_ipv6", .inverted = true}));
}

TEST(NftRule, ChangesOnlyItsOwnBitsOfTheMark) {
  auto bytes = [](uint32_t value) {
    NftBytes out(sizeof(value));
    std::memcpy(out.data(), &value, sizeof(value));
    return out;
  };
  NftRule set(NftFamily::kNetdev);
  set.set_mark_bits(0x10000000);
  EXPECT_EQ(set.expressions(),
            (Expressions{NftMeta{.key = NFT_META_MARK},
                         NftMask{.mask = bytes(0xefffffff), .flip = bytes(0x10000000)},
                         NftMetaSet{.key = NFT_META_MARK}}));
  NftRule clear(NftFamily::kBridge);
  clear.clear_mark_bits(0x30000000);
  EXPECT_EQ(clear.expressions(),
            (Expressions{NftMeta{.key = NFT_META_MARK}, NftMask{.mask = bytes(0xcfffffff)},
                         NftMetaSet{.key = NFT_META_MARK}}));
}

TEST(NftRule, TestsConntrackBitsInTheHostsOrder) {
  NftRule rule(NftFamily::kInet);
  rule.ct_state(6).accept();
  uint32_t bits = 6;
  NftBytes mask(4);
  std::memcpy(mask.data(), &bits, sizeof(bits));
  EXPECT_EQ(rule.expressions(),
            (Expressions{NftConntrack{.key = NFT_CT_STATE}, NftMask{.mask = mask},
                         NftCompare{.value = NftBytes(4), .equal = false},
                         NftVerdict{.code = NF_ACCEPT}}));
}

}  // namespace
}  // namespace vmnet
