#include "linux/host/network_plan.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "linux/device/identity.h"

namespace vmnet {
namespace {

using testing::HasSubstr;

constexpr uid_t kUser = 1000;
const Limits kNoLimits;

AddressRange range(const char* start, const char* end, int length) {
  return {.start = *parse_ipv4(start), .end = *parse_ipv4(end), .prefix_length = length};
}

Ipv4Subnet subnet(const char* address, int length) {
  return {.address = *parse_ipv4(address), .prefix_length = length};
}

ExistingNetwork network(int bridge, const char* name, NetworkKind kind, const AddressRange& range) {
  return {.bridge = bridge, .name = name, .record = {.kind = kind, .addresses = range}};
}

const AddressRange kFirstShared = range("192.168.64.1", "192.168.64.254", 24);

Uuid uuid(uint8_t last) {
  Uuid id = *parse_uuid("2f8d5b1c-0000-4000-8000-000000000000");
  id.bytes[15] = last;
  return id;
}

TEST(PlanNetwork, AutomaticSubnetsBeginWhereUsersExpect) {
  auto shared = plan_network({}, kUser, kNoLimits, {}, {}, {});
  EXPECT_EQ(shared->record.addresses, kFirstShared);
  EXPECT_EQ(shared->join, nullptr);
  auto host = plan_network({.mode = Mode::kHost}, kUser, kNoLimits, {}, {}, {});
  EXPECT_EQ(host->record.addresses, range("192.168.128.1", "192.168.128.254", 24));
}

TEST(PlanNetwork, AutomaticSubnetSkipsWhatTheHostUses) {
  std::vector<UsedSubnet> used = {{.subnet = subnet("192.168.64.128", 25), .device = 2},
                                  {.subnet = subnet("192.168.65.7", 32), .device = 3}};
  auto plan = plan_network({}, kUser, kNoLimits, {}, used, {});
  EXPECT_EQ(plan->record.addresses->start, *parse_ipv4("192.168.66.1"));
}

TEST(PlanNetwork, AutomaticJoinsAnExistingNetworkEvenBehindAFreeSubnet) {
  std::vector<ExistingNetwork> existing = {network(7, "vmnet-shared0", NetworkKind::kShared,
                                                   range("192.168.65.1", "192.168.65.254", 24))};
  auto plan = plan_network({}, kUser, kNoLimits, existing, {}, {});
  ASSERT_NE(plan->join, nullptr);
  EXPECT_EQ(plan->join->bridge, 7);
}

TEST(PlanNetwork, AutomaticLeavesOtherModesAndExplicitNetworksAlone) {
  std::vector<ExistingNetwork> existing = {
      network(7, "vmnet-host0", NetworkKind::kHost, kFirstShared),
      network(8, "vmnet-shared0", NetworkKind::kShared, range("10.0.0.1", "10.0.0.9", 24))};
  auto plan = plan_network({}, kUser, kNoLimits, existing, {}, {});
  EXPECT_EQ(plan->join, nullptr);
  EXPECT_EQ(plan->record.addresses->start, *parse_ipv4("192.168.65.1"));
}

TEST(PlanNetwork, NoFreeSubnetIsAnErrorThatSaysWhatToDo) {
  std::vector<UsedSubnet> used;
  for (uint32_t i = 0; i < 64; i++) {
    used.push_back({.subnet = {.address = {0xc0a84000 + (i << 8)}, .prefix_length = 24}});
  }
  auto plan = plan_network({}, kUser, kNoLimits, {}, used, {});
  ASSERT_FALSE(plan.has_value());
  EXPECT_THAT(plan.error().message, HasSubstr("--start-address"));
}

TEST(PlanNetwork, ExplicitSubnetJoinsOnlyItsTwin) {
  AddressRange wanted = range("10.9.9.1", "10.9.9.2", 30);
  std::vector<ExistingNetwork> existing = {
      network(7, "vmnet-shared0", NetworkKind::kShared, wanted)};
  EXPECT_EQ(plan_network({.addresses = wanted}, kUser, kNoLimits, existing, {}, {})->join->bridge,
            7);

  auto other_end = plan_network({.addresses = range("10.9.9.1", "10.9.9.9", 24)}, kUser, kNoLimits,
                                existing, {}, {});
  ASSERT_FALSE(other_end.has_value());
  EXPECT_THAT(other_end.error().message, HasSubstr("vmnet-shared0"));

  auto other_mode =
      plan_network({.mode = Mode::kHost, .addresses = wanted}, kUser, kNoLimits, existing, {}, {});
  EXPECT_FALSE(other_mode.has_value());
}

TEST(PlanNetwork, ExplicitOverlapNamesTheDeviceOrTheRoute) {
  std::vector<Link> links = {{.index = 2, .name = "eth0"}};
  std::vector<UsedSubnet> used = {{.subnet = subnet("10.9.9.200", 32), .device = 2},
                                  {.subnet = subnet("172.16.1.0", 24), .device = 0}};
  auto address = plan_network({.addresses = range("10.9.9.1", "10.9.9.9", 24)}, kUser, kNoLimits,
                              {}, used, links);
  ASSERT_FALSE(address.has_value());
  EXPECT_THAT(address.error().message, HasSubstr("10.9.9.200/32 on eth0"));
  auto route = plan_network({.addresses = range("172.16.1.1", "172.16.1.9", 24)}, kUser, kNoLimits,
                            {}, used, links);
  ASSERT_FALSE(route.has_value());
  EXPECT_THAT(route.error().message, HasSubstr("route to 172.16.1.0/24"));
}

TEST(PlanNetwork, WhatTheHostNeedsIsNoPartOfASubnet) {
  std::vector<Link> links = {{.index = 2, .name = "eth0"}};
  std::vector<UsedSubnet> used = {
      {.subnet = subnet("192.168.64.9", 32), .device = 2, .needed_as = "a neighbour"},
      {.subnet = subnet("10.9.9.53", 32), .needed_as = "the host's DNS server"}};
  EXPECT_EQ(plan_network({}, kUser, kNoLimits, {}, used, links)->record.addresses->start,
            *parse_ipv4("192.168.65.1"));
  auto refused = plan_network({.addresses = range("10.9.9.1", "10.9.9.9", 24)}, kUser, kNoLimits,
                              {}, used, links);
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr("10.9.9.53 (the host's DNS server)"));
  EXPECT_EQ(text_of(used[0], links), "192.168.64.9 (a neighbour on eth0)");
}

TEST(PlanNetwork, AShorterRouteIsNoConflict) {
  std::vector<UsedSubnet> used = {{.subnet = subnet("10.0.0.0", 8), .device = 2},
                                  {.subnet = subnet("172.16.0.0", 12), .device = 2},
                                  {.subnet = subnet("192.168.0.0", 16), .device = 0},
                                  {.subnet = subnet("192.168.64.0", 23), .device = 2},
                                  {.subnet = subnet("0.0.0.0", 0), .device = 2}};
  EXPECT_EQ(plan_network({}, kUser, kNoLimits, {}, used, {})->record.addresses, kFirstShared);
  AddressRange wanted = range("10.9.9.1", "10.9.9.9", 24);
  EXPECT_EQ(plan_network({.addresses = wanted}, kUser, kNoLimits, {}, used, {})->record.addresses,
            wanted);
  PrivateNetwork own{.id = uuid(1), .addresses = wanted};
  EXPECT_TRUE(plan_network({.private_network = own}, kUser, kNoLimits, {}, used, {}).has_value());
  AddressRange equal = range("172.16.0.1", "172.16.0.9", 12);
  EXPECT_FALSE(plan_network({.addresses = equal}, kUser, kNoLimits, {}, used, {}).has_value());
  AddressRange around = range("192.168.0.1", "192.168.0.9", 15);
  EXPECT_FALSE(plan_network({.addresses = around}, kUser, kNoLimits, {}, used, {}).has_value());
}

TEST(PlanNetwork, PrivateNetworksAreFoundByTheirId) {
  PrivateNetwork bare{.id = uuid(1)};
  auto created =
      plan_network({.mode = Mode::kHost, .private_network = bare}, kUser, kNoLimits, {}, {}, {});
  EXPECT_EQ(created->record.id, bare.id);
  EXPECT_FALSE(created->record.addresses.has_value());

  std::vector<ExistingNetwork> existing = {
      {.bridge = 9, .name = "vmnet-priv0", .record = created->record}};
  auto joined = plan_network({.mode = Mode::kHost, .private_network = bare}, kUser, kNoLimits,
                             existing, {}, {});
  EXPECT_EQ(joined->join->bridge, 9);
  PrivateNetwork other{.id = uuid(2)};
  EXPECT_EQ(plan_network({.private_network = other}, kUser, kNoLimits, existing, {}, {})->join,
            nullptr);
  PrivateNetwork addressed{.id = uuid(1), .addresses = range("10.1.1.1", "10.1.1.254", 24)};
  auto refused = plan_network({.private_network = addressed}, kUser, kNoLimits, existing, {}, {});
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr("without a host address"));
}

TEST(PlanNetwork, PrivateNetworksAreTheirUsers) {
  NetworkConfig config{.mode = Mode::kHost, .private_network = PrivateNetwork{.id = uuid(1)}};
  auto created = plan_network(config, kUser, kNoLimits, {}, {}, {});
  std::vector<ExistingNetwork> existing = {
      {.bridge = 9, .name = "vmnet-priv0", .record = created->record}};
  ASSERT_NE(plan_network(config, kUser, kNoLimits, existing, {}, {})->join, nullptr);
  for (uid_t other : {uid_t{0}, kUser + 1}) {
    auto plan = plan_network(config, other, kNoLimits, existing, {}, {});
    EXPECT_EQ(plan->join, nullptr);
    EXPECT_NE(bridge_mac(canonical_name(plan->record)),
              bridge_mac(canonical_name(created->record)));
  }
}

NetworkConfig named(const char* name) { return {.network_name = name}; }

TEST(PlanNetwork, ANamedNetworkIsAUsersAndKeepsItsSubnet) {
  auto lab = plan_network(named("lab"), kUser, kNoLimits, {}, {}, {});
  EXPECT_EQ(lab->join, nullptr);
  EXPECT_EQ(lab->record.name, "lab");
  EXPECT_EQ(lab->record.user, kUser);
  EXPECT_EQ(plan_network(named("lab"), kUser, kNoLimits, {}, {}, {})->record, lab->record);
  EXPECT_NE(lab->record.addresses, kFirstShared);

  std::vector<ExistingNetwork> existing = {
      {.bridge = 7, .name = "vmnet-lab", .record = lab->record}};
  EXPECT_EQ(plan_network(named("lab"), kUser, kNoLimits, existing, {}, {})->join->bridge, 7);
  for (auto [name, user] : {std::pair{"lab", kUser + 1}, std::pair{"bal", kUser}}) {
    auto other = plan_network(named(name), user, kNoLimits, existing, {}, {});
    EXPECT_EQ(other->join, nullptr);
    EXPECT_NE(other->record.addresses, lab->record.addresses);
    EXPECT_NE(canonical_name(other->record), canonical_name(lab->record));
  }
}

TEST(PlanNetwork, NobodyElseJoinsANamedNetwork) {
  std::vector<ExistingNetwork> existing = {
      {.bridge = 7,
       .name = "vmnet-lab",
       .record = {.name = "lab", .user = kUser, .addresses = kFirstShared}}};
  EXPECT_EQ(plan_network({}, kUser, kNoLimits, existing, {}, {})->join, nullptr);
  EXPECT_FALSE(plan_network({.addresses = kFirstShared}, kUser, kNoLimits, existing, {}, {}));
}

TEST(PlanNetwork, ANamedNetworkTakesTheNextSubnetAndTheFirstAtLast) {
  const AddressRange preferred =
      *plan_network(named("lab"), kUser, kNoLimits, {}, {}, {})->record.addresses;
  std::vector<UsedSubnet> used = {{.subnet = preferred.subnet()}};
  const AddressRange next =
      *plan_network(named("lab"), kUser, kNoLimits, {}, used, {})->record.addresses;
  EXPECT_NE(next.start, preferred.start);
  used.clear();
  for (uint32_t i = 1; i < 64; i++) {
    used.push_back({.subnet = {.address = {0xc0a84000 + (i << 8)}, .prefix_length = 24}});
  }
  EXPECT_EQ(plan_network(named("lab"), kUser, kNoLimits, {}, used, {})->record.addresses,
            kFirstShared);
  used.push_back({.subnet = kFirstShared.subnet()});
  auto none = plan_network(named("lab"), kUser, kNoLimits, {}, used, {});
  ASSERT_FALSE(none.has_value());
  EXPECT_THAT(none.error().message, HasSubstr("--network 'lab'"));
}

TEST(PlanNetwork, NamesHaveSubnetsOfTheirOwnWhileThereAreAny) {
  std::vector<ExistingNetwork> existing;
  std::set<Ipv4> subnets;
  for (int number = 0; number < 64; number++) {
    auto plan =
        plan_network(named(fmt::format("n{}", number).c_str()), kUser, kNoLimits, existing, {}, {});
    ASSERT_TRUE(plan.has_value()) << number;
    subnets.insert(plan->record.addresses->start);
    existing.push_back({.bridge = number + 1, .record = plan->record});
  }
  EXPECT_EQ(subnets.size(), 64);
}

TEST(PlanNetwork, PrivateNetworksThatAreEverybodys) {
  NetworkConfig config{.mode = Mode::kHost, .private_network = PrivateNetwork{.id = uuid(1)}};
  Limits limits{.shared_network_ids = {uuid(1)}};
  auto created = plan_network(config, kUser, limits, {}, {}, {});
  EXPECT_FALSE(created->record.user.has_value());
  std::vector<ExistingNetwork> existing = {
      {.bridge = 9, .name = "vmnet-priv0", .record = created->record}};
  EXPECT_NE(plan_network(config, kUser + 1, limits, existing, {}, {})->join, nullptr);
  EXPECT_NE(plan_network(config, 0, limits, existing, {}, {})->join, nullptr);
  EXPECT_EQ(plan_network(config, kUser, kNoLimits, existing, {}, {})->join, nullptr);
}

TEST(PlanNetwork, NamedNetworksThatAreEverybodys) {
  Limits limits{.shared_networks = {"lab"}};
  auto created = plan_network(named("lab"), kUser, limits, {}, {}, {});
  std::vector<ExistingNetwork> existing = {
      {.bridge = 9, .name = "vmnet-lab", .record = created->record}};
  EXPECT_NE(plan_network(named("lab"), kUser + 1, limits, existing, {}, {})->join, nullptr);
  EXPECT_EQ(plan_network(named("web"), kUser + 1, limits, existing, {}, {})->join, nullptr);
  EXPECT_EQ(plan_network(named("lab"), kUser, kNoLimits, existing, {}, {})->join, nullptr);
  EXPECT_EQ(plan_network({}, kUser, limits, existing, {}, {})->join, nullptr);
}

TEST(PlanNetwork, NamedSubnetIsOneThatTheUserMayHave) {
  Limits limits{.subnets = std::vector{subnet("192.168.66.0", 24)}};
  auto plan = plan_network(named("lab"), kUser, limits, {}, {}, {});
  EXPECT_EQ(plan->record.addresses->start, *parse_ipv4("192.168.66.1"));
}

TEST(PlanNetwork, AutomaticSubnetIsOneThatTheUserMayHave) {
  Limits limits{.subnets = std::vector{subnet("192.168.66.0", 23)}};
  auto plan = plan_network({}, kUser, limits, {}, {}, {});
  EXPECT_EQ(plan->record.addresses->start, *parse_ipv4("192.168.66.1"));
  EXPECT_EQ(plan_network({}, 0, limits, {}, {}, {})->record.addresses, kFirstShared);
  std::vector<ExistingNetwork> existing = {
      network(7, "vmnet-shared0", NetworkKind::kShared, kFirstShared)};
  EXPECT_EQ(plan_network({}, kUser, limits, existing, {}, {})->join, nullptr);
  EXPECT_FALSE(plan_network({.mode = Mode::kHost}, kUser, limits, {}, {}, {}).has_value());
}

TEST(ChooseAddress, IsStableAndInTheLowEnd) {
  for (uint8_t last = 0; last < 100; last++) {
    VmIdentity id{.user = kUser, .interface_id = uuid(last)};
    auto address = choose_address(kFirstShared, &id, {});
    EXPECT_EQ(choose_address(kFirstShared, &id, {})->value, address->value);
    EXPECT_GE(address->value, kFirstShared.start.value + 1);
    EXPECT_LE(address->value, kFirstShared.start.value + 127);
  }
}

TEST(ChooseAddress, FillsThePoolWithoutAClashAndThenFails) {
  AddressRange small = range("10.0.0.1", "10.0.0.6", 29);
  std::vector<Ipv4> taken;
  std::set<Ipv4> distinct;
  for (uint8_t last = 0; last < 5; last++) {
    VmIdentity id{.user = kUser, .interface_id = uuid(last)};
    auto address = choose_address(small, &id, taken);
    ASSERT_TRUE(address.has_value());
    EXPECT_GT(*address, small.start);
    EXPECT_LE(*address, small.end);
    taken.push_back(*address);
    distinct.insert(*address);
  }
  EXPECT_EQ(distinct.size(), 5);
  EXPECT_FALSE(choose_address(small, nullptr, taken).has_value());
}

TEST(ChooseAddress, WithoutALastingIdIsTheLowestFree) {
  std::vector<Ipv4> taken = {*parse_ipv4("192.168.64.2"), *parse_ipv4("192.168.64.4")};
  EXPECT_EQ(to_string(*choose_address(kFirstShared, nullptr, {})), "192.168.64.2");
  EXPECT_EQ(to_string(*choose_address(kFirstShared, nullptr, taken)), "192.168.64.3");
}

TEST(ChooseAddress, OneAddressPool) {
  VmIdentity id{.user = kUser, .interface_id = uuid(1)};
  EXPECT_EQ(to_string(*choose_address(range("10.9.9.1", "10.9.9.2", 30), &id, {})), "10.9.9.2");
}

TEST(CheckVmAddress, TakesAnyOfTheSubnetButTheGateways) {
  const AddressRange addresses = range("10.9.9.4", "10.9.9.20", 24);
  for (const char* address : {"10.9.9.1", "10.9.9.5", "10.9.9.20", "10.9.9.254"}) {
    EXPECT_TRUE(check_vm_address(addresses, *parse_ipv4(address))) << address;
  }
  for (const char* address : {"10.9.9.0", "10.9.9.4", "10.9.9.255", "10.9.8.5", "10.9.10.5"}) {
    auto refused = check_vm_address(addresses, *parse_ipv4(address));
    ASSERT_FALSE(refused) << address;
    EXPECT_THAT(refused.error().message, HasSubstr(address));
  }
}

TEST(ChooseBridgeName, TakesTheFirstFreeNumber) {
  std::vector<Link> links = {{.name = "vmnet-shared0"}, {.name = "vmnet-shared2"}};
  EXPECT_EQ(*choose_bridge_name({.kind = NetworkKind::kShared}, links), "vmnet-shared1");
  EXPECT_EQ(*choose_bridge_name({.kind = NetworkKind::kHost}, links), "vmnet-host0");
}

TEST(ChooseBridgeName, ANamedNetworksIsItsNameWhereThatFits) {
  auto chosen = [](const char* name, std::span<const Link> links = {}) {
    return *choose_bridge_name({.name = name, .user = kUser}, links);
  };
  EXPECT_EQ(chosen("lab"), "vmnet-lab");
  EXPECT_EQ(chosen("123456789"), "vmnet-123456789");
  EXPECT_EQ(chosen("1234567890"), "vmnet-net0");
  std::vector<Link> links = {{.name = "vmnet-lab"}, {.name = "vmnet-net0"}};
  EXPECT_EQ(chosen("lab", links), "vmnet-net1");
  links = {{.name = "eth0", .alternative_names = {"vmnet-lab"}}};
  EXPECT_EQ(chosen("lab", links), "vmnet-net0");
  for (const char* name : {"tap0", "tape", "mvt1", "shared", "shared0", "host7", "priv", "lock",
                           "turn-1", "x-guard"}) {
    EXPECT_EQ(chosen(name), "vmnet-net0") << name;
  }
}

TEST(Identity, MacsAreLocalUnicastAndDiffer) {
  std::set<Mac> macs;
  for (uint8_t last = 0; last < 255; last++) {
    Mac mac = vm_mac({.user = kUser, .interface_id = uuid(last)});
    EXPECT_FALSE(mac.is_multicast());
    EXPECT_TRUE(mac.is_local());
    macs.insert(mac);
  }
  EXPECT_EQ(macs.size(), 255);
}

TEST(Identity, TheSameIdOfAnotherUserIsAnotherVm) {
  std::set<Mac> macs;
  std::set<Mac> port_macs;
  std::set<uint32_t> addresses;
  for (uid_t user : {uid_t{0}, kUser, kUser + 1}) {
    VmIdentity vm{.user = user, .interface_id = uuid(1)};
    EXPECT_EQ(vm_mac(vm), vm_mac(vm));
    macs.insert(vm_mac(vm));
    port_macs.insert(port_mac(vm));
    addresses.insert(preferred_address_index(vm, 1U << 30));
  }
  EXPECT_EQ(macs.size(), 3);
  EXPECT_EQ(port_macs.size(), 3);
  EXPECT_EQ(addresses.size(), 3);
}

TEST(Identity, NumbersAreThoseOfTheDocumentation) {
  VmIdentity vm{.user = 1000, .interface_id = *parse_uuid("2f8d5b1c-95a0-4a52-a1f2-0123456789ab")};
  EXPECT_EQ(to_string(vm_mac(vm)), "76:6d:a3:ff:19:24");
  EXPECT_EQ(to_string(port_mac(vm)), "fe:ff:ff:ff:19:24");
  EXPECT_EQ(to_string(*choose_address(kFirstShared, &vm, {})), "192.168.64.16");
}

}  // namespace
}  // namespace vmnet
