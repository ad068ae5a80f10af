#include "base/ip.h"

#include <string>

#include <gtest/gtest.h>

namespace vmnet {
namespace {

Ipv4Subnet subnet(std::string_view address, int length) {
  return subnet_of(parse_ipv4(address).value(), length);
}

TEST(Ipv4, TextForm) {
  EXPECT_EQ(parse_ipv4("192.168.64.1"), Ipv4{0xc0a84001});
  EXPECT_EQ(parse_ipv4("0.0.0.0"), Ipv4{0});
  EXPECT_EQ(parse_ipv4("255.255.255.255"), Ipv4{0xffffffff});
  EXPECT_EQ(to_string(Ipv4{0xc0a84001}), "192.168.64.1");
  EXPECT_EQ(to_string(Ipv4{0}), "0.0.0.0");
}

TEST(Ipv4, BadText) {
  for (std::string_view text :
       {"",          ".",           "...",        "10",         "10.1",       "10.0.1",
        "10.0.0.1.", ".10.0.0.1",   "10.0.0.1.2", "10..0.1",    "10.0.0.256", "10.0.0.-1",
        "10.0.0.+1", "10.0.0.01",   "010.0.0.1",  "0x0a.0.0.1", "10.0.0.1\n", "10.0.0.1 x",
        " 10.0.0.1", "10.0.0.1/24", "167772161",  "a.b.c.d",    "::1"}) {
    EXPECT_FALSE(parse_ipv4(text)) << text;
  }
  EXPECT_FALSE(parse_ipv4(std::string_view("10.0.0.1\0", 9)));
}

TEST(Ipv4, MasksAndPrefixLengths) {
  for (int length = 0; length <= 32; length++) {
    EXPECT_EQ(prefix_length(subnet("255.255.255.255", length).mask()), length);
  }
  EXPECT_EQ(prefix_length(parse_ipv4("255.255.255.0").value()), 24);
  EXPECT_EQ(prefix_length(Ipv4{0}), 0);
  for (std::string_view mask : {"255.0.255.0", "0.0.0.255", "255.255.255.1", "127.0.0.0"}) {
    EXPECT_FALSE(prefix_length(parse_ipv4(mask).value())) << mask;
  }
}

TEST(Ipv4Subnet, WhatItContains) {
  Ipv4Subnet net = subnet("192.168.64.77", 24);
  EXPECT_EQ(to_string(net), "192.168.64.0/24");
  EXPECT_EQ(to_string(net.mask()), "255.255.255.0");
  EXPECT_EQ(to_string(net.broadcast()), "192.168.64.255");
  EXPECT_TRUE(net.contains(parse_ipv4("192.168.64.0").value()));
  EXPECT_TRUE(net.contains(parse_ipv4("192.168.64.255").value()));
  EXPECT_FALSE(net.contains(parse_ipv4("192.168.65.0").value()));
  EXPECT_FALSE(net.contains(parse_ipv4("192.168.63.255").value()));
}

TEST(Ipv4Subnet, TheLargestAndTheSmallest) {
  Ipv4Subnet all = subnet("10.0.0.1", 0);
  EXPECT_EQ(to_string(all), "0.0.0.0/0");
  EXPECT_EQ(to_string(all.broadcast()), "255.255.255.255");
  EXPECT_TRUE(all.contains(parse_ipv4("255.255.255.255").value()));
  Ipv4Subnet one = subnet("10.0.0.1", 32);
  EXPECT_EQ(one.broadcast(), one.address);
  EXPECT_TRUE(one.contains(one.address));
  EXPECT_FALSE(one.contains(Ipv4{one.address.value + 1}));
}

TEST(Ipv4Subnet, Overlaps) {
  Ipv4Subnet net = subnet("192.168.64.0", 24);
  EXPECT_TRUE(net.overlaps(net));
  EXPECT_TRUE(net.overlaps(subnet("192.168.0.0", 16)));
  EXPECT_TRUE(subnet("192.168.0.0", 16).overlaps(net));
  EXPECT_TRUE(net.overlaps(subnet("192.168.64.200", 32)));
  EXPECT_FALSE(net.overlaps(subnet("192.168.65.0", 24)));
  EXPECT_FALSE(net.overlaps(subnet("192.168.63.255", 32)));
}

TEST(Ipv4, PrivateRangesAndTheirNeighbours) {
  for (std::string_view text : {"10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255",
                                "192.168.0.0", "192.168.255.255"}) {
    EXPECT_TRUE(is_private(parse_ipv4(text).value())) << text;
  }
  for (std::string_view text :
       {"9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255",
        "192.169.0.0", "100.64.0.1", "169.254.0.1", "127.0.0.1", "0.0.0.0"}) {
    EXPECT_FALSE(is_private(parse_ipv4(text).value())) << text;
  }
  EXPECT_TRUE(is_loopback(parse_ipv4("127.0.0.53").value()));
  EXPECT_FALSE(is_loopback(parse_ipv4("128.0.0.1").value()));
}

// RFC 5952: lower case, the longest run of zeros shortened, never a single one.
TEST(Ipv6, TextForm) {
  for (std::string_view text : {"::", "::1", "fe80::1", "2001:db8:0:1:1:1:1:1",
                                "fd00:1:2:3::", "2001:0:0:1::1", "ff02::1:ff00:1"}) {
    auto address = parse_ipv6(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(to_string(*address), text);
  }
  EXPECT_EQ(to_string(parse_ipv6("2001:DB8:0000:0:0:0:0:0001").value()), "2001:db8::1");
}

TEST(Ipv6, BadText) {
  for (std::string_view text :
       {"", ":", ":::", "1::2::3", "fe80::1%eth0", "[::1]", "::1/64", "::12345", "2001:db8", "::g",
        "::1 ", " ::1", "::1\n", "10.0.0.1"}) {
    EXPECT_FALSE(parse_ipv6(text)) << text;
  }
  EXPECT_FALSE(parse_ipv6(std::string_view("::1\0x", 5)));
  EXPECT_FALSE(parse_ipv6(std::string(100000, ':')));
}

TEST(Ipv6, Kinds) {
  EXPECT_TRUE(parse_ipv6("fe80::1").value().is_link_local());
  EXPECT_TRUE(parse_ipv6("febf::1").value().is_link_local());
  EXPECT_FALSE(parse_ipv6("fec0::1").value().is_link_local());
  EXPECT_TRUE(parse_ipv6("ff02::1").value().is_multicast());
  EXPECT_FALSE(parse_ipv6("fd00::1").value().is_multicast());
  EXPECT_TRUE(parse_ipv6("::").value().is_zero());
  EXPECT_FALSE(parse_ipv6("::1").value().is_zero());
}

}  // namespace
}  // namespace vmnet
