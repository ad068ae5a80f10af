#include "linux/device/identity.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace vmnet {
namespace {

TEST(Identity, AddressesFollowFromThePrefix) {
  EXPECT_EQ(to_string(address_from_mac(Ipv6{{0xfe, 0x80}}, Mac{{0x76, 0x6d, 0, 0, 0xaa, 1}})),
            "fe80::746d:ff:fe00:aa01");
  EXPECT_EQ(to_string(gateway_of(Ipv6{{0xfd, 1}})), "fd01::1");
}

TEST(Identity, PrefixIsUniqueLocalAndTheNetworks) {
  Ipv6 prefix = unique_local_prefix("machine", "network");
  EXPECT_EQ(prefix.bytes[0], 0xfd);
  for (size_t i = 8; i < 16; i++) EXPECT_EQ(prefix.bytes.at(i), 0);
  Ipv6 other_network = unique_local_prefix("machine", "other");
  EXPECT_TRUE(
      std::equal(prefix.bytes.begin(), prefix.bytes.begin() + 6, other_network.bytes.begin()));
  EXPECT_NE(prefix, other_network);
  EXPECT_NE(prefix, unique_local_prefix("other machine", "network"));
}

}  // namespace
}  // namespace vmnet