#include "linux/rules/network_rules.h"

#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vmnet {
namespace {

using testing::ElementsAre;

// Tables by mode: which chains there are, in words.
std::vector<std::string> chains(const NftTable& table) {
  std::vector<std::string> names;
  for (const NftChain& chain : table.chains()) names.push_back(chain.name());
  return names;
}

TEST(NetworkRules, HaveTheChainsOfTheirMode) {
  NetworkRules rules{.bridge = "vmnet-shared0"};
  rules.subnet = Ipv4Subnet{.address = {0xc0a84000}, .prefix_length = 24};
  auto tables = network_tables(rules);
  ASSERT_EQ(tables.size(), 3);
  EXPECT_THAT(chains(tables[0].table), ElementsAre("ports"));
  EXPECT_THAT(chains(tables[1].table), ElementsAre("begun", "forward", "from_vms", "to_vms",
                                                   "new_hop", "input", "postrouting"));
  EXPECT_EQ(tables[2].table.name(), "vmnet-shared0-guard");
  EXPECT_TRUE(tables[2].owned);
  EXPECT_THAT(chains(tables[2].table), ElementsAre("forward", "from_vms", "to_vms", "postrouting"));
  rules.mode = Mode::kHost;
  EXPECT_THAT(chains(network_tables(rules)[1].table),
              ElementsAre("begun", "forward", "from_vms", "input"));
  rules.subnet.reset();
  EXPECT_THAT(chains(network_tables(rules)[0].table), ElementsAre("ports", "to_host"));
  rules.mode = Mode::kBridged;
  rules.bridge = "br0";
  tables = network_tables(rules);
  ASSERT_EQ(tables.size(), 1);
  EXPECT_EQ(tables[0].table.name(), "vmnet-on-br0");
}

TEST(NetworkRules, HaveAnElementAVm) {
  const NetworkRules rules{.bridge = "vmnet-shared0",
                           .subnet = Ipv4Subnet{.address = {0xc0a84000}, .prefix_length = 24},
                           .ipv6_prefix = Ipv6{{0xfd}},
                           .vms = {{.mac = Mac{{0x76, 0x6d, 0, 0, 0, 2}}, .ipv4 = Ipv4{0xc0a84002}},
                                   {.mac = Mac{{0x76, 0x6d, 0, 0, 0, 3}}, .ipv4 = {}}}};
  std::vector<std::pair<std::string, size_t>> sizes;
  const auto tables = network_tables(rules);
  for (const NftSet& set : tables[0].table.sets()) {
    sizes.emplace_back(set.name, set.elements.size());
  }
  EXPECT_THAT(sizes, ElementsAre(std::pair("macs", 2), std::pair("ipv4", 1), std::pair("ipv6", 4),
                                 std::pair("targets", 4)));
}

TEST(SharedBounds, GiveVmsThePortsBesideTheHosts) {
  constexpr uint32_t kUsual = 262144;
  auto bounds = shared_bounds({.first = 32768, .last = 60999}, kUsual);
  EXPECT_EQ(bounds.nat_ports, (NftPorts{.first = 1024, .last = 32767}));
  EXPECT_EQ(bounds.connections, 7936);
  bounds = shared_bounds({.first = 1024, .last = 20000}, kUsual);
  EXPECT_EQ(bounds.nat_ports, (NftPorts{.first = 20001, .last = 65535}));
  EXPECT_EQ(bounds.connections, kMaxConnections);
  // One port too few, below as above.
  EXPECT_EQ(shared_bounds({.first = 2047, .last = 64512}, kUsual).nat_ports, std::nullopt);
  EXPECT_EQ(shared_bounds({.first = 2048, .last = 64512}, kUsual).nat_ports,
            (NftPorts{.first = 1024, .last = 2047}));
  EXPECT_EQ(shared_bounds({.first = 1, .last = 65535}, kUsual).nat_ports, std::nullopt);
}

TEST(SharedBounds, LeaveRoomInASmallHostsTable) {
  EXPECT_EQ(shared_bounds({.first = 32768, .last = 60999}, 4096).connections, 1024);
}

}  // namespace
}  // namespace vmnet
