#include "macos/interface_parameters.h"

#include <gtest/gtest.h>
#include <vmnet/vmnet.h>

#include "macos/xpc_object.h"

namespace vmnet {
namespace {

const Uuid kId = *parse_uuid("6A1C2E30-0000-4000-8000-000000000001");
const Mac kMac = *parse_mac("02:00:00:00:00:01");

XpcObject shared_mode() {
  XpcObject answer(xpc_dictionary_create(nullptr, nullptr, 0));
  xpc_dictionary_set_uuid(answer.get(), vmnet_interface_id_key, kId.bytes.data());
  xpc_dictionary_set_string(answer.get(), vmnet_mac_address_key, "0E:AA:bb:cc:dd:01");
  xpc_dictionary_set_uint64(answer.get(), vmnet_mtu_key, 1500);
  xpc_dictionary_set_uint64(answer.get(), vmnet_max_packet_size_key, 1514);
  xpc_dictionary_set_string(answer.get(), vmnet_start_address_key, "192.168.64.1");
  xpc_dictionary_set_string(answer.get(), vmnet_end_address_key, "192.168.64.254");
  xpc_dictionary_set_string(answer.get(), vmnet_subnet_mask_key, "255.255.255.0");
  xpc_dictionary_set_string(answer.get(), vmnet_nat66_prefix_key, "fd6e:1:2:3::");
  return answer;
}

TEST(InterfaceParameters, BecomeTheLineOfSharedMode) {
  auto parameters = read_parameters(shared_mode().get());
  ASSERT_TRUE(parameters) << parameters.error().message;
  EXPECT_EQ(to_json(describe(*parameters, Uuid{}, Mac{})),
            R"({"vmnet_interface_id":"6A1C2E30-0000-4000-8000-000000000001",)"
            R"("vmnet_mac_address":"0e:aa:bb:cc:dd:01","vmnet_mtu":1500,)"
            R"("vmnet_max_packet_size":1514,"vmnet_start_address":"192.168.64.1",)"
            R"("vmnet_end_address":"192.168.64.254","vmnet_subnet_mask":"255.255.255.0",)"
            R"("vmnet_nat66_prefix":"fd6e:1:2:3::",)"
            R"("vmnet_read_max_packets":200,"vmnet_write_max_packets":200})");
}

TEST(InterfaceParameters, WhatIsNotToldIsOurs) {
  auto parameters = read_parameters(nullptr);
  ASSERT_TRUE(parameters);
  EXPECT_EQ(parameters->max_packet_size, kMaxOffloadFrameSize);
  Description description = describe(*parameters, kId, kMac);
  EXPECT_EQ(description.interface_id, kId);
  EXPECT_EQ(description.mac, kMac);
  EXPECT_FALSE(description.addresses);
}

TEST(InterfaceParameters, AnAddressThatCannotBeReadIsLeftOut) {
  for (const char* mask : {"255.0.255.0", "", "255.255.255.0 "}) {
    XpcObject answer = shared_mode();
    xpc_dictionary_set_string(answer.get(), vmnet_subnet_mask_key, mask);
    EXPECT_FALSE(read_parameters(answer.get())->addresses) << mask;
  }
  XpcObject answer = shared_mode();
  xpc_dictionary_set_uint64(answer.get(), vmnet_start_address_key, 1);  // another type
  EXPECT_FALSE(read_parameters(answer.get())->addresses);
}

TEST(InterfaceParameters, FrameSizesThatCannotBeForwardedAreAnError) {
  for (uint64_t size : {uint64_t{0}, uint64_t{13}, uint64_t{65551}, UINT64_MAX}) {
    XpcObject answer = shared_mode();
    xpc_dictionary_set_uint64(answer.get(), vmnet_max_packet_size_key, size);
    EXPECT_FALSE(read_parameters(answer.get())) << size;
  }
}

}  // namespace
}  // namespace vmnet
