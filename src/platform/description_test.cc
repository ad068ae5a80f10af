#include "platform/description.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace vmnet {
namespace {

Description shared_description() {
  Description description;
  description.interface_id = parse_uuid("2f8d5b1c-95a0-4a52-a1f2-0123456789ab").value();
  description.mac = parse_mac("0e:76:6d:00:00:01").value();
  description.addresses = AddressRange{.start = parse_ipv4("192.168.64.1").value(),
                                       .end = parse_ipv4("192.168.64.254").value(),
                                       .prefix_length = 24};
  description.ip_address = parse_ipv4("192.168.64.2");
  description.host_interface = "vmnet-tap0";
  return description;
}

TEST(Description, SharedNetworkByteForByte) {
  EXPECT_EQ(to_json(shared_description()),
            R"({"vmnet_interface_id":"2F8D5B1C-95A0-4A52-A1F2-0123456789AB",)"
            R"("vmnet_mac_address":"0e:76:6d:00:00:01","vmnet_mtu":1500,)"
            R"("vmnet_max_packet_size":1514,"vmnet_start_address":"192.168.64.1",)"
            R"("vmnet_end_address":"192.168.64.254","vmnet_subnet_mask":"255.255.255.0",)"
            R"("vmnet_read_max_packets":64,"vmnet_write_max_packets":64,)"
            R"("ip_address":"192.168.64.2","host_interface":"vmnet-tap0"})");
}

std::vector<std::string> keys(const Description& description) {
  auto json = nlohmann::ordered_json::parse(to_json(description));
  std::vector<std::string> names;
  for (const auto& [name, value] : json.items()) names.push_back(name);
  return names;
}

TEST(Description, EverythingThatIsKnown) {
  Description description = shared_description();
  description.max_packet_size = kMaxOffloadFrameSize;
  description.nat66_prefix = parse_ipv6("fd12:3456:789a:1::");
  description.read_max_packets = 256;
  description.write_max_packets = 128;
  const std::vector<std::string> expected = {
      "vmnet_interface_id",      "vmnet_mac_address",   "vmnet_mtu",
      "vmnet_max_packet_size",   "vmnet_start_address", "vmnet_end_address",
      "vmnet_subnet_mask",       "vmnet_nat66_prefix",  "vmnet_read_max_packets",
      "vmnet_write_max_packets", "ip_address",          "host_interface"};
  EXPECT_EQ(keys(description), expected);
  auto json = nlohmann::json::parse(to_json(description));
  for (const char* number : {"vmnet_mtu", "vmnet_max_packet_size", "vmnet_read_max_packets",
                             "vmnet_write_max_packets"}) {
    EXPECT_TRUE(json[number].is_number_unsigned()) << number;
  }
  EXPECT_EQ(json["vmnet_max_packet_size"], 65550);
  EXPECT_EQ(json["vmnet_nat66_prefix"], "fd12:3456:789a:1::");
}

TEST(Description, BridgedModeHasNoAddresses) {
  Description description = shared_description();
  description.addresses.reset();
  description.ip_address.reset();
  description.host_interface.clear();
  const std::vector<std::string> expected = {
      "vmnet_interface_id",    "vmnet_mac_address",      "vmnet_mtu",
      "vmnet_max_packet_size", "vmnet_read_max_packets", "vmnet_write_max_packets"};
  EXPECT_EQ(keys(description), expected);
}

TEST(Description, HeaderOfADeviceThatIsHandedOver) {
  Description description = shared_description();
  EXPECT_FALSE(nlohmann::json::parse(to_json(description)).contains("tap_vnet_header_size"));
  description.tap_header_size = 12;
  EXPECT_EQ(nlohmann::json::parse(to_json(description))["tap_vnet_header_size"], 12);
}

TEST(Description, NamedNetwork) {
  Description description = shared_description();
  description.addresses.reset();
  description.ip_address.reset();
  description.host_interface.clear();
  description.named_network = NamedNetwork{.ipv4_subnet = parse_ipv4("192.168.64.1").value(),
                                           .ipv4_mask = parse_ipv4("255.255.255.0").value(),
                                           .ipv6_prefix = parse_ipv6("fd12:3456:789a:1::"),
                                           .ipv6_prefix_length = 64};
  const std::vector<std::string> expected = {
      "vmnet_interface_id",    "vmnet_mac_address",      "vmnet_mtu",
      "vmnet_max_packet_size", "vmnet_read_max_packets", "vmnet_write_max_packets",
      "net_ipv4_subnet",       "net_ipv4_mask",          "net_ipv6_prefix",
      "net_ipv6_prefix_len"};
  EXPECT_EQ(keys(description), expected);
  auto json = nlohmann::json::parse(to_json(description));
  EXPECT_EQ(json["net_ipv4_subnet"], "192.168.64.1");
  EXPECT_EQ(json["net_ipv4_mask"], "255.255.255.0");
  EXPECT_EQ(json["net_ipv6_prefix"], "fd12:3456:789a:1::");
  EXPECT_TRUE(json["net_ipv6_prefix_len"].is_number());
  EXPECT_EQ(json["net_ipv6_prefix_len"], 64);
}

// A device name is bytes that a user chose.
TEST(Description, HostileDeviceNames) {
  for (const std::string& name : {std::string("a\"b"), std::string("a\nb"), std::string("\x1b[m"),
                                  std::string("\xff\xfe"), std::string("\\")}) {
    Description description = shared_description();
    description.host_interface = name;
    std::string text = to_json(description);
    EXPECT_EQ(text.find('\n'), std::string::npos);
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
    EXPECT_FALSE(nlohmann::json::parse(text, nullptr, false).is_discarded()) << text;
  }
}

}  // namespace
}  // namespace vmnet
