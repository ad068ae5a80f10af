#include <string>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_bridge.h>
#include <unistd.h>

#include "linux/nft/batch.h"
#include "linux/nft/encode.h"
#include "linux/rules/bridge_rules.h"
#include "linux/rules/helper_rules.h"
#include "linux/rules/routing_rules.h"

namespace vmnet {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

std::vector<const nlmsghdr*> messages(const std::vector<uint8_t>& bytes) {
  std::vector<const nlmsghdr*> list;
  int left = static_cast<int>(bytes.size());
  const auto* message = reinterpret_cast<const nlmsghdr*>(bytes.data());
  for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
    list.push_back(message);
  }
  EXPECT_EQ(left, 0);
  return list;
}

constexpr uint16_t nft(uint16_t type) {
  return static_cast<uint16_t>((NFNL_SUBSYS_NFTABLES << 8) | type);
}

std::vector<uint16_t> types(const std::vector<uint8_t>& bytes) {
  std::vector<uint16_t> list;
  for (const nlmsghdr* message : messages(bytes)) list.push_back(message->nlmsg_type);
  return list;
}

std::string text(const nlmsghdr* message, uint16_t type) {
  std::string found;
  for_each_attribute(message, sizeof(nfgenmsg), [&](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) == type) found = attribute_text(attribute);
  });
  return found;
}

uint32_t number(const nlmsghdr* message, uint16_t type) {
  uint32_t found = 0;
  for_each_attribute(message, sizeof(nfgenmsg), [&](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) == type) found = ntohl(mnl_attr_get_u32(attribute));
  });
  return found;
}

TEST(NftBatch, MakesATableBeforeItsSetsChainsAndRules) {
  static constexpr std::array<uint16_t, 2> kPorts{67, 68};
  NftTable table(NftFamily::kBridge, "vmnet-tap0");
  NftChain& chain = table.chain("others", {.number = NF_BR_PRE_ROUTING, .priority = -400});
  chain.rule().udp_dport_in(kPorts).drop();
  table.set({.name = "vm_macs", .type = kNftEtherAddress, .max_size = 16});
  NftBatch batch;
  batch.create(table, TableLife::kSocket);
  EXPECT_THAT(types(batch.bytes()),
              ElementsAre(NFNL_MSG_BATCH_BEGIN, nft(NFT_MSG_NEWTABLE), nft(NFT_MSG_NEWSET),
                          nft(NFT_MSG_NEWCHAIN), nft(NFT_MSG_NEWSET), nft(NFT_MSG_NEWSETELEM),
                          nft(NFT_MSG_NEWRULE)));
}

TEST(NftBatch, OwnsAndExcludes) {
  NftBatch batch;
  batch.create(NftTable(NftFamily::kInet, "vmnet-lock"), TableLife::kSocket);
  const nlmsghdr* table = messages(batch.bytes()).at(1);
  EXPECT_EQ(table->nlmsg_flags & NLM_F_EXCL, NLM_F_EXCL);
  EXPECT_EQ(text(table, NFTA_TABLE_NAME), "vmnet-lock");
  EXPECT_EQ(number(table, NFTA_TABLE_FLAGS), uint32_t{NFT_TABLE_F_OWNER});
  const auto* family = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(table));
  EXPECT_EQ(family->nfgen_family, NFPROTO_INET);
}

TEST(NftBatch, NumbersMessagesAndSets) {
  static constexpr std::array<uint8_t, 1> kTypes{134};
  NftTable table(NftFamily::kNetdev, "vmnet-tap0");
  NftChain& chain = table.chain("from_vm", {.device = "vmnet-tap0"});
  chain.rule().icmpv6_type_in(kTypes).drop();
  chain.rule().icmpv6_type_in(kTypes).drop();
  NftBatch batch;
  batch.create(table, TableLife::kSocket);
  std::vector<uint32_t> sets;
  uint32_t sequence = 0;
  for (const nlmsghdr* message : messages(batch.bytes())) {
    EXPECT_EQ(message->nlmsg_seq, sequence++);
    if (message->nlmsg_type == nft(NFT_MSG_NEWSET)) sets.push_back(number(message, NFTA_SET_ID));
  }
  EXPECT_THAT(sets, ElementsAre(1, 2));
}

// As nft 1.0.6 writes them for `type ipv6_addr` and for `typeof @th,64,128`.
TEST(NftBatch, TellsNftWhatASetHolds) {
  NftSet set{.name = "own", .type = kNftIpv6Address};
  EXPECT_THAT(nft_set_notes(set), ElementsAre(0, 4, 2, 0, 0, 0));
  set.type = kNftRaw128;
  set.raw_field = kNeighborTarget;
  EXPECT_THAT(
      nft_set_notes(set),
      ElementsAreArray({0, 4, 2, 0, 0, 0, 3, 38, 0, 4, 7, 0, 0, 0,  1, 30, 0, 4, 0, 0,   0, 0, 1,
                        4, 0, 0, 0, 0, 2, 4, 3,  0, 0, 0, 3, 4, 64, 0, 0,  0, 4, 4, 128, 0, 0, 0}));
}

TEST(NftBatch, AddsNoEmptyList) {
  NftBatch batch;
  batch.add_elements(NftTable(NftFamily::kInet, "vmnet-tap0"), "guarded_ipv4", {});
  EXPECT_EQ(types(batch.bytes()).size(), 1);
}

TEST(NftBatch, NeedsPrivilegeAndSaysSo) {
  if (geteuid() == 0) GTEST_SKIP() << "the host's own tables are not for tests";
  auto socket = NetlinkSocket::open(NETLINK_NETFILTER);
  ASSERT_TRUE(socket);
  NftBatch batch;
  batch.remove_table(NftFamily::kInet, "vmnet-no-such-table");
  auto done = batch.commit(*socket);
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, testing::HasSubstr("CAP_NET_ADMIN"));
}

// Tables by mode: which chains there are, in words.
std::vector<std::string> chains(const NftTable& table) {
  std::vector<std::string> names;
  for (const NftChain& chain : table.chains()) names.push_back(chain.name());
  return names;
}

TEST(Rules, HaveTheChainsOfTheirMode) {
  RuleConfig config{.tap = "vmnet-tap0", .bridge = "vmnet-shared0"};
  config.subnet = Ipv4Subnet{.address = {0xc0a84000}, .prefix_length = 24};
  EXPECT_THAT(chains(bridge_table(config)),
              ElementsAre("others", "claims_of_others", "claims", "claim", "to_vm"));
  EXPECT_THAT(chains(routing_table(config)),
              ElementsAre("forward", "from_network", "to_network", "input", "postrouting"));
  config.isolation = true;
  EXPECT_THAT(chains(bridge_table(config)),
              ElementsAre("others", "claims_of_others", "claims", "claim", "to_vm", "isolation"));
  config.mode = Mode::kHost;
  EXPECT_THAT(chains(routing_table(config)), ElementsAre("forward", "from_network", "input"));
  config.subnet.reset();
  config.isolation = false;
  EXPECT_THAT(chains(bridge_table(config)),
              ElementsAre("others", "claims_of_others", "claims", "claim", "to_vm", "to_host"));
  config.mode = Mode::kBridged;
  EXPECT_THAT(chains(bridge_table(config)), ElementsAre("others"));
}

}  // namespace
}  // namespace vmnet
