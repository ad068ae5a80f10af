#include "linux/device/identity.h"

#include <gtest/gtest.h>

namespace vmnet {
namespace {

TEST(Identity, AddressesFollowFromThePrefix) {
  EXPECT_EQ(to_string(address_from_mac(Ipv6{{0xfe, 0x80}}, Mac{{0x76, 0x6d, 0, 0, 0xaa, 1}})),
            "fe80::746d:ff:fe00:aa01");
  EXPECT_EQ(to_string(gateway_of(Ipv6{{0xfd, 1}})), "fd01::1");
}

}  // namespace
}  // namespace vmnet