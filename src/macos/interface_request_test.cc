#include "macos/interface_request.h"

#include <gtest/gtest.h>
#include <vmnet/vmnet.h>

namespace vmnet {
namespace {

const Uuid kId = *parse_uuid("6A1C2E30-0000-4000-8000-000000000001");

bool has(const XpcObject& request, const char* key) {
  return xpc_dictionary_get_value(request.get(), key) != nullptr;
}

TEST(InterfaceRequest, AHeaderTakesTheVmsOffloadAway) {
  NetworkConfig config;
  config.enable_checksum_offload = true;
  Offload with = choose_offload(config, true);
  EXPECT_TRUE(with.virtio_header && with.tso && !with.checksum);
  Offload without = choose_offload(config, false);
  EXPECT_TRUE(!without.virtio_header && !without.tso && without.checksum);
}

TEST(InterfaceRequest, BridgedModeNamesItsInterfaceAndNoIsolation) {
  NetworkConfig config{.mode = Mode::kBridged, .shared_interface = "en0"};
  XpcObject request = interface_request(config, kId, {});
  EXPECT_EQ(xpc_uint64(request.get(), vmnet_operation_mode_key), VMNET_BRIDGED_MODE);
  EXPECT_EQ(xpc_string(request.get(), vmnet_shared_interface_name_key), "en0");
  EXPECT_EQ(xpc_uuid(request.get(), vmnet_interface_id_key), kId);
  EXPECT_FALSE(has(request, vmnet_enable_isolation_key));
  EXPECT_FALSE(has(request, vmnet_start_address_key));
}

TEST(InterfaceRequest, AddressesAreStrings) {
  NetworkConfig config{.mode = Mode::kHost};
  config.unjudged_addresses = {.start = parse_ipv4("10.1.0.1"),
                               .end = parse_ipv4("10.1.3.254"),
                               .mask = parse_ipv4("255.255.252.0")};
  XpcObject request = interface_request(config, kId, {});
  EXPECT_EQ(xpc_string(request.get(), vmnet_start_address_key), "10.1.0.1");
  EXPECT_EQ(xpc_string(request.get(), vmnet_end_address_key), "10.1.3.254");
  EXPECT_EQ(xpc_string(request.get(), vmnet_subnet_mask_key), "255.255.252.0");
}

TEST(InterfaceRequest, AnIncompleteSetOfAddressesIsPassedOn) {
  NetworkConfig config{.mode = Mode::kShared};
  config.unjudged_addresses = {
      .start = parse_ipv4("10.1.0.1"), .end = parse_ipv4("10.1.3.254"), .mask = std::nullopt};
  XpcObject request = interface_request(config, kId, {});
  EXPECT_EQ(xpc_string(request.get(), vmnet_start_address_key), "10.1.0.1");
  EXPECT_EQ(xpc_string(request.get(), vmnet_end_address_key), "10.1.3.254");
  EXPECT_FALSE(has(request, vmnet_subnet_mask_key));
}

TEST(InterfaceRequest, APrivateNetworkHasAddressesOnlyWhereGiven) {
  NetworkConfig config{.mode = Mode::kHost};
  config.private_network = PrivateNetwork{.id = kId, .addresses = std::nullopt};
  XpcObject request = interface_request(config, kId, {});
  EXPECT_EQ(xpc_uuid(request.get(), vmnet_network_identifier_key), kId);
  EXPECT_FALSE(has(request, vmnet_host_ip_address_key));
}

TEST(InterfaceRequest, ANamedNetworkLeavesItsModeOut) {
  XpcObject request = named_network_request({}, {});
  EXPECT_FALSE(has(request, vmnet_operation_mode_key));
  EXPECT_FALSE(has(request, vmnet_interface_id_key));
  EXPECT_TRUE(has(request, vmnet_enable_isolation_key));
}

}  // namespace
}  // namespace vmnet
