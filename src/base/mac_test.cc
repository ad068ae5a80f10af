#include "base/mac.h"

#include <gtest/gtest.h>

namespace vmnet {
namespace {

TEST(Mac, TextForm) {
  Mac mac{{0x0e, 0x76, 0x6d, 0x00, 0xab, 0xff}};
  EXPECT_EQ(to_string(mac), "0e:76:6d:00:ab:ff");
  EXPECT_EQ(parse_mac("0e:76:6d:00:ab:ff"), mac);
  EXPECT_EQ(parse_mac("0E:76:6D:00:AB:FF"), mac);
}

TEST(Mac, BadText) {
  for (std::string_view text :
       {"", "0e:76:6d:00:ab", "0e:76:6d:00:ab:ff:00", "0e-76-6d-00-ab-ff", "0e766d00abff",
        "0e:76:6d:00:ab:fg", "0e:76:6d:00:ab:-1", "0e:76:6d:00:ab:0x", "0e:76:6d:00:ab: f",
        "0e:76:6d:00:ab:f\n", "e:76:6d:00:ab:ff0", "0e:76:6d:00:abcff"}) {
    EXPECT_FALSE(parse_mac(text)) << text;
  }
}

TEST(Mac, Kinds) {
  EXPECT_TRUE(kBroadcastMac.is_multicast());
  EXPECT_TRUE((Mac{{0x33, 0x33, 0, 0, 0, 1}}).is_multicast());
  EXPECT_FALSE((Mac{{0x0e, 0x76, 0x6d, 0, 0, 1}}).is_multicast());
  EXPECT_TRUE((Mac{{0x0e, 0x76, 0x6d, 0, 0, 1}}).is_local());
  EXPECT_FALSE((Mac{{0x00, 0x76, 0x6d, 0, 0, 1}}).is_local());
  EXPECT_TRUE(Mac{}.is_zero());
  EXPECT_FALSE(kBroadcastMac.is_zero());
}

}  // namespace
}  // namespace vmnet
