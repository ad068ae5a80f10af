#include "linux/nft/builder.h"

#include <cstring>

#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

namespace vmnet {
namespace {

constexpr std::chrono::minutes kMinute{1};
constexpr Mac kMac{{0x0e, 0x76, 0x6d, 0, 0, 1}};

using Expressions = std::vector<NftExpression>;

TEST(NftRule, ComparesAWholeInterfaceName) {
  NftRule rule(NftFamily::kBridge);
  rule.is(kIifName, "vmnet-tap0").drop();
  NftBytes name{'v', 'm', 'n', 'e', 't', '-', 't', 'a', 'p', '0', 0, 0, 0, 0, 0, 0};
  EXPECT_EQ(rule.expressions(), (Expressions{NftLoad{kIifName}, NftCompare{.value = name},
                                             NftVerdict{.code = NF_DROP}}));
}

TEST(NftRule, ComparesOnlyThePrefixBeforeAStar) {
  NftRule rule(NftFamily::kInet);
  rule.is_not(kOifName, "vmnet-*").accept();
  EXPECT_EQ(rule.expressions(),
            (Expressions{NftLoad{kOifName},
                         NftCompare{.value = {'v', 'm', 'n', 'e', 't', '-'}, .equal = false},
                         NftVerdict{.code = NF_ACCEPT}}));
}

TEST(NftRule, ComparesADevicesGroupInTheHostsOrder) {
  NftRule rule(NftFamily::kBridge);
  rule.is(kIifGroup, uint32_t{0x40000003}).drop();
  uint32_t group = 0x40000003;
  NftBytes value(4);
  std::memcpy(value.data(), &group, sizeof(group));
  EXPECT_EQ(rule.expressions(), (Expressions{NftLoad{kIifGroup}, NftCompare{.value = value},
                                             NftVerdict{.code = NF_DROP}}));
}

TEST(NftRule, AsksForEthernetWhereTheFamilyHasOtherDevices) {
  NftRule bridge(NftFamily::kBridge);
  bridge.is(kEtherSource, kMac).drop();
  EXPECT_EQ(bridge.expressions().size(), 3);
  NftRule inet(NftFamily::kInet);
  inet.is(kEtherSource, kMac).drop();
  ASSERT_EQ(inet.expressions().size(), 5);
  const auto* asked = std::get_if<NftLoad>(inet.expressions().data());
  ASSERT_NE(asked, nullptr);
  EXPECT_EQ(asked->field.key, uint32_t{NFT_META_IIFTYPE});
  EXPECT_EQ(inet.expressions()[1], NftExpression(NftCompare{.value = {1, 0}}));
}

TEST(NftRule, AsksForTheProtocolOnceAndAsTheFamilyDoes) {
  NftRule netdev(NftFamily::kNetdev);
  netdev.is(kIcmpv6Type, 136U).is_not(kIp6NextHeader, 58U).drop();
  EXPECT_EQ(netdev.expressions(),
            (Expressions{NftLoad{kProtocol}, NftCompare{.value = {0x86, 0xdd}},
                         NftLoad{kL4Protocol}, NftCompare{.value = {58}}, NftLoad{kIcmpv6Type},
                         NftCompare{.value = {136}}, NftLoad{kIp6NextHeader},
                         NftCompare{.value = {58}, .equal = false}, NftVerdict{.code = NF_DROP}}));
  NftRule inet(NftFamily::kInet);
  inet.is(kIpSource, Ipv4{0xc0a84001}).drop();
  EXPECT_EQ(inet.expressions()[0], NftExpression(NftLoad{kNfProtocol}));
  EXPECT_EQ(inet.expressions()[1], NftExpression(NftCompare{.value = {NFPROTO_IPV4}}));
}

TEST(NftRule, LoadsOnlyTheBytesOfABytewisePrefix) {
  NftRule rule(NftFamily::kInet);
  rule.is_not(kIpSource, Ipv4Subnet{.address = {0xc0a84000}, .prefix_length = 24}).drop();
  NftField part = kIpSource;
  part.type.length = 3;
  EXPECT_EQ(rule.expressions()[2], NftExpression(NftLoad{part}));
  EXPECT_EQ(rule.expressions()[3],
            NftExpression(NftCompare{.value = {192, 168, 64}, .equal = false}));
}

TEST(NftRule, MasksAnyOtherPrefix) {
  NftRule rule(NftFamily::kInet);
  rule.is(kIpDestination, Ipv4Subnet{.address = {0x0a010204}, .prefix_length = 30}).drop();
  EXPECT_EQ(rule.expressions()[2], NftExpression(NftLoad{kIpDestination}));
  EXPECT_EQ(rule.expressions()[3], NftExpression(NftMask{.mask = {255, 255, 255, 252}}));
  EXPECT_EQ(rule.expressions()[4], NftExpression(NftCompare{.value = {10, 1, 2, 4}}));
}

TEST(NftRule, MakesIntervalsOfPrefixes) {
  NftRule rule(NftFamily::kInet);
  rule.none_of(kIp6Source, {Ipv6Prefix{.address = {{0xfe, 0x80}}, .length = 10},
                            Ipv6Prefix{.address = {}, .length = 128},
                            Ipv6Prefix{.address = {{0xff, 0xff}}, .length = 16}})
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
  NftRule rule(NftFamily::kBridge);
  rule.in(kEtherSource, "vm_macs").one_of(kUdpSource, {67U, 547U}).drop();
  EXPECT_EQ(rule.expressions()[1], NftExpression(NftLookup{.set = "vm_macs"}));
  ASSERT_EQ(rule.anonymous_sets().size(), 1);
  EXPECT_EQ(
      rule.anonymous_sets()[0],
      (NftSet{.type = kNftInetService, .elements = {{.key = {0, 67}}, {.key = {0x02, 0x23}}}}));
}

TEST(NftRule, MakesAPlainComparisonOfOneValue) {
  NftRule rule(NftFamily::kBridge);
  rule.one_of(kUdpSource, {67U}).drop();
  EXPECT_TRUE(rule.anonymous_sets().empty());
  EXPECT_EQ(rule.expressions()[3], NftExpression(NftCompare{.value = {0, 67}}));
}

TEST(NftRule, BeginsIntervalsAtZeroAsNftDoes) {
  NftRule rule(NftFamily::kInet);
  rule.one_of(kIp6Source, {Ipv6Prefix{.address = {{0xfe, 0x80}}, .length = 64},
                           Ipv6Prefix{.address = {{0xff, 0xff}}, .length = 16}});
  EXPECT_EQ(rule.anonymous_sets()[0].elements[0],
            (NftElement{.key = NftBytes(16), .interval_end = true}));
}

TEST(NftRule, AsksWhetherThereIsAProtocol) {
  NftRule rule(NftFamily::kNetdev);
  rule.ip().is_not(kL4Protocol, 255U).go_to("ipv4");
  Expressions expected{NftLoad{kProtocol}, NftCompare{.value = {8, 0}}, NftLoad{kL4Protocol},
                       NftCompare{.value = {255}, .equal = false},
                       NftVerdict{.code = NFT_GOTO, .chain = "ipv4"}};
  EXPECT_EQ(rule.expressions(), expected);
}

TEST(NftRule, PutsMacsIntoSets) {
  NftRule rule(NftFamily::kBridge);
  rule.update(kEtherSource, {.name = "senders", .type = kNftEtherAddress, .timeout = kMinute})
      .accept();
  Expressions expected{NftLoad{kEtherSource}, NftUpdate{.set = "senders", .timeout = kMinute},
                       NftVerdict{.code = NF_ACCEPT}};
  EXPECT_EQ(rule.expressions(), expected);
}

TEST(NftRule, PutsAddressesIntoSets) {
  NftRule rule(NftFamily::kNetdev);
  rule.update(kIp6Source, {.name = "vm_ipv6", .type = kNftIpv6Address, .timeout = kMinute})
      .accept();
  Expressions expected{NftLoad{kProtocol}, NftCompare{.value = {0x86, 0xdd}}, NftLoad{kIp6Source},
                       NftUpdate{.set = "vm_ipv6", .timeout = kMinute},
                       NftVerdict{.code = NF_ACCEPT}};
  EXPECT_EQ(rule.expressions(), expected);
}

TEST(NftRule, PutsNextHopsIntoSets) {
  NftRule rule(NftFamily::kInet);
  rule.update(kIp6NextHop, {.name = "next_hops", .type = kNftIpv6Address, .timeout = kMinute})
      .accept();
  EXPECT_EQ(rule.expressions(),
            (Expressions{NftLoad{kNfProtocol}, NftCompare{.value = {NFPROTO_IPV6}},
                         NftLoad{kIp6NextHop}, NftUpdate{.set = "next_hops", .timeout = kMinute},
                         NftVerdict{.code = NF_ACCEPT}}));
}

TEST(NftRule, LooksUpRawBytesInASetOfAddresses) {
  NftRule rule(NftFamily::kBridge);
  rule.is(kIcmpv6Type, 136U).not_in(kNeighborTarget, "own_ipv6").drop();
  EXPECT_EQ(rule.expressions()[6], NftExpression(NftLoad{kNeighborTarget}));
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
  EXPECT_EQ(
      set.expressions(),
      (Expressions{NftLoad{kMark}, NftMask{.mask = bytes(0xefffffff), .flip = bytes(0x10000000)},
                   NftMetaSet{.key = NFT_META_MARK}}));
  NftRule clear(NftFamily::kBridge);
  clear.clear_mark_bits(0x30000000);
  EXPECT_EQ(clear.expressions(), (Expressions{NftLoad{kMark}, NftMask{.mask = bytes(0xcfffffff)},
                                              NftMetaSet{.key = NFT_META_MARK}}));
}

TEST(NftRule, TestsConntrackBitsInTheHostsOrder) {
  NftRule rule(NftFamily::kInet);
  rule.has_some(kCtState, 6).accept();
  uint32_t bits = 6;
  NftBytes mask(4);
  std::memcpy(mask.data(), &bits, sizeof(bits));
  EXPECT_EQ(rule.expressions(), (Expressions{NftLoad{kCtState}, NftMask{.mask = mask},
                                             NftCompare{.value = NftBytes(4), .equal = false},
                                             NftVerdict{.code = NF_ACCEPT}}));
}

TEST(NftRule, BoundsWhatAnElementLetsPass) {
  constexpr NftLimit kLimit{.rate = 4, .burst = 64};
  constexpr NftBoundedSet kSet{
      .name = "some", .type = kNftEtherAddress, .max_size = 8, .limit = kLimit, .connections = 9};
  NftTable table(NftFamily::kBridge, "table");
  table.bounded_set(kSet);
  EXPECT_TRUE(table.sets()[0].dynamic);
  EXPECT_TRUE(table.sets()[0].lasting);
  NftRule rule(NftFamily::kBridge);
  rule.update(kEtherSource, kSet).accept();
  EXPECT_EQ(rule.expressions()[1],
            NftExpression(NftUpdate{.set = "some", .limit = kLimit, .connections = 9}));
}

TEST(NftRule, EndsUnlessOverTheLimit) {
  constexpr NftLimit kLimit{.rate = 8, .burst = 256, .bytes = true};
  NftRule rule(NftFamily::kBridge);
  rule.over(kLimit).drop();
  EXPECT_EQ(rule.expressions()[0],
            NftExpression(NftLimit{.rate = 8, .burst = 256, .bytes = true, .over = true}));
}

}  // namespace
}  // namespace vmnet
