#include "linux/nft/batch.h"

#include <string>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_bridge.h>
#include <unistd.h>

#include "linux/nft/encode.h"

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
  NftTable table(NftFamily::kBridge, "vmnet-tap0");
  NftChain& chain = table.chain("others", {.number = NF_BR_PRE_ROUTING, .priority = -400});
  chain.rule().one_of(kUdpDestination, {67U, 68U}).drop();
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
  NftTable table(NftFamily::kNetdev, "vmnet-tap0");
  NftChain& chain = table.chain("from_vm", {.device = "vmnet-tap0"});
  chain.rule().one_of(kIcmpv6Type, {133U, 134U}).drop();
  chain.rule().one_of(kIcmpv6Type, {133U, 134U}).drop();
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

TEST(NftBatch, AddsManyElementsInSeveralMessages) {
  NftBatch batch;
  const std::vector<NftElement> many(200, NftElement{.key = NftBytes(16)});
  batch.add_elements(NftTable(NftFamily::kInet, "vmnet-shared0"), "guarded_ipv4", many);
  EXPECT_EQ(types(batch.bytes()).size(), 1 + 4);
  EXPECT_FALSE(batch.empty());
}

}  // namespace
}  // namespace vmnet
