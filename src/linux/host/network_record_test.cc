#include "linux/host/network_record.h"

#include <limits>

#include <gtest/gtest.h>
#include <linux/if.h>

#include "base/dns_label.h"

namespace vmnet {
namespace {

NetworkRecord shared_record() {
  return {.kind = NetworkKind::kShared,
          .addresses = AddressRange{.start = *parse_ipv4("192.168.64.1"),
                                    .end = *parse_ipv4("192.168.64.254"),
                                    .prefix_length = 24},
          .ipv6_prefix = parse_ipv6("fd3c:5241:92a:19c7::"),
          .old_settings = {
              {.key = OldSetting::Key::kIpv4Forwarding, .device = "eth0", .value = 0},
              {.key = OldSetting::Key::kIpv6ForceForwarding, .device = "wlan0.7", .value = 0}}};
}

constexpr const char* kBridge = "vmnet-shared0";

Link bridge_of(const NetworkRecord& record) {
  Link bridge{.name = kBridge, .alias = to_alias(record)};
  for (const OldSetting& old : record.old_settings) {
    bridge.alternative_names.push_back(to_note(kBridge, old));
  }
  return bridge;
}

Uuid some_uuid() { return *parse_uuid("2f8d5b1c-0000-4000-8000-00000000abcd"); }

TEST(NetworkRecord, AliasIsReadableText) {
  EXPECT_EQ(to_alias(shared_record()),
            "vmnet-helper shared 192.168.64.1-192.168.64.254/24 ipv6=fd3c:5241:92a:19c7::");
}

TEST(NetworkRecord, ReadsBack) {
  EXPECT_EQ(parse_network_record(bridge_of(shared_record())), shared_record());
  NetworkRecord bare{.kind = NetworkKind::kPrivate, .id = some_uuid(), .user = 1000};
  EXPECT_EQ(parse_network_record(bridge_of(bare)), bare);
  NetworkRecord host{.kind = NetworkKind::kHost,
                     .addresses = AddressRange{
                         .start = Ipv4{0x0a000001}, .end = Ipv4{0x0a000002}, .prefix_length = 30}};
  EXPECT_EQ(parse_network_record(bridge_of(host)), host);
}

TEST(NetworkRecord, ANameIsOfAUser) {
  NetworkRecord record = shared_record();
  record.name = "lab";
  record.user = 1000;
  EXPECT_EQ(to_alias(record),
            "vmnet-helper shared 192.168.64.1-192.168.64.254/24 name=lab uid=1000 "
            "ipv6=fd3c:5241:92a:19c7::");
  EXPECT_EQ(parse_network_record(bridge_of(record)), record);
  for (const char* alias :
       {"vmnet-helper shared uid=1000", "vmnet-helper shared name= uid=1000",
        "vmnet-helper shared name=Lab uid=1000", "vmnet-helper shared name=a.b uid=1000",
        "vmnet-helper shared name=lab uid=-1"}) {
    EXPECT_FALSE(parse_network_record({.alias = alias}).has_value()) << alias;
  }
}

TEST(NetworkRecord, TheLongestNameFits) {
  NetworkRecord record = shared_record();
  record.name = std::string(kMaxDnsLabel, 'n');
  record.user = std::numeric_limits<uid_t>::max() - 1;
  EXPECT_LT(to_alias(record).size(), size_t{IFALIASZ});
}

TEST(NetworkRecord, MomentarySettingsAreTakenAndTheOthersStay) {
  NetworkRecord record = shared_record();
  OldSetting momentary{.key = OldSetting::Key::kAcceptRa, .device = "eth0", .value = 1};
  record.old_settings.insert(record.old_settings.begin() + 1, momentary);
  auto read_back = parse_network_record(bridge_of(record));
  ASSERT_EQ(read_back, record);
  EXPECT_EQ(take_momentary_settings(*read_back), std::vector{momentary});
  EXPECT_EQ(*read_back, shared_record());
  EXPECT_TRUE(take_momentary_settings(*read_back).empty());
}

TEST(NetworkRecord, ANoteIsAFurtherNameOfTheBridge) {
  OldSetting old{.device = "wlan0.7", .apart = true};
  EXPECT_EQ(to_note(kBridge, old), "vmnet-shared0:old=4:wlan0.7:0,apart");
  old = {.key = OldSetting::Key::kAcceptRa, .device = "eth0", .value = 1};
  EXPECT_EQ(to_note(kBridge, old), "vmnet-shared0:old=r:eth0:1");
}

TEST(NetworkRecord, OtherNamesAreNoNotes) {
  Link bridge{.alias = "vmnet-helper shared"};
  bridge.alternative_names = {"",
                              "lan",
                              ":old=",
                              ":old=4:",
                              "x:old=4:eth0",
                              ":old=4",
                              ":old=",
                              "x:old=9:eth0:1",
                              "x:old=4:eth0:,apart",
                              "x:old=4/eth0:0"};
  EXPECT_EQ(parse_network_record(bridge), NetworkRecord{});
}

TEST(NetworkRecord, ForeignAliasesAreNotOurs) {
  for (const char* alias :
       {"", "vmnet-helper", "my bridge", "vmnet-helper wild", "vmnet-helper shared x",
        "vmnet-helper shared 192.168.64.1-192.168.64.254", "vmnet-helper shared id=1",
        "vmnet-helper shared uid=", "vmnet-helper shared uid=-1",
        "vmnet-helper shared 192.168.64.1-192.168.64.254/33", "vmnet-helper shared ipv6=fd",
        "vmnet-helper vm"}) {
    EXPECT_FALSE(parse_network_record({.alias = alias}).has_value()) << alias;
  }
}

TEST(VmRecord, AliasReadsBack) {
  VmRecord with_address{.interface_id = some_uuid(),
                        .mac = *parse_mac("16:dd:43:87:e1:ee"),
                        .address = parse_ipv4("192.168.64.59"),
                        .uid = 1000};
  EXPECT_EQ(to_alias(with_address),
            "vmnet-helper vm 192.168.64.59 mac=16:dd:43:87:e1:ee uid=1000 "
            "id=2F8D5B1C-0000-4000-8000-00000000ABCD");
  EXPECT_EQ(parse_vm_alias(to_alias(with_address)), with_address);
  VmRecord without = with_address;
  without.address.reset();
  EXPECT_EQ(parse_vm_alias(to_alias(without)), without);
  VmRecord isolated = with_address;
  isolated.ipv6_prefix = parse_ipv6("fd12:3456:789a:2::");
  EXPECT_EQ(to_alias(isolated), to_alias(with_address) + " ipv6=fd12:3456:789a:2::");
  EXPECT_EQ(parse_vm_alias(to_alias(isolated)), isolated);
}

TEST(VmRecord, ForeignAliasesAreNotOurs) {
  for (const char* alias :
       {"", "vmnet-helper vm", "vmnet-helper vm 1.2.3.4 mac=x uid=1 id=y",
        "vmnet-helper vm 1.2.3 mac=16:dd:43:87:e1:ee uid=1 "
        "id=2F8D5B1C-0000-4000-8000-00000000ABCD",
        "vmnet-helper vm mac=16:dd:43:87:e1:ee uid=-1 id=2F8D5B1C-0000-4000-8000-00000000ABCD",
        "vmnet-helper vm mac=16:dd:43:87:e1:ee uid=1 id=2F8D5B1C-0000-4000-8000-00000000ABCD x"}) {
    EXPECT_FALSE(parse_vm_alias(alias).has_value()) << alias;
  }
}

TEST(OwnDevices, NeedTheNameTheKindAndForBridgesTheMac) {
  Link bridge{.name = "vmnet-shared0", .kind = "bridge", .mac = *parse_mac("0e:76:6d:01:02:03")};
  EXPECT_TRUE(is_own_bridge(bridge));
  Link named = bridge;
  named.name = "vmnet-lab";
  EXPECT_TRUE(is_own_bridge(named));
  Link renamed = bridge;
  renamed.name = "br0";
  EXPECT_FALSE(is_own_bridge(renamed));
  Link foreign = bridge;
  foreign.mac = *parse_mac("02:76:6d:01:02:03");
  EXPECT_FALSE(is_own_bridge(foreign));
  Link dummy = bridge;
  dummy.kind = "dummy";
  EXPECT_FALSE(is_own_bridge(dummy));
  EXPECT_TRUE(is_own_vm_device({.name = "vmnet-tap3", .kind = "tun"}));
  EXPECT_TRUE(is_own_vm_device({.name = "vmnet-mvt3", .kind = "macvtap"}));
  EXPECT_FALSE(is_own_vm_device({.name = "vmnet-tap3", .kind = "veth"}));
  EXPECT_FALSE(is_own_vm_device({.name = "tap3", .kind = "tun"}));
}

}  // namespace
}  // namespace vmnet
