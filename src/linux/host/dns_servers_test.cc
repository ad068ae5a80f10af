#include "linux/host/dns_servers.h"

#include <gtest/gtest.h>

namespace vmnet {
namespace {

std::vector<std::string> texts(const auto& addresses) {
  std::vector<std::string> out;
  out.reserve(addresses.size());
  for (const auto& address : addresses) out.push_back(to_string(address));
  return out;
}

TEST(ResolvConf, ReadsServersOfBothFamiliesInOrder) {
  auto servers = parse_resolv_conf(
      "# comment\nsearch example.org\nnameserver 192.0.2.53\n\tnameserver\t2001:db8::53 \r\n"
      "options edns0\nnameserver 198.51.100.1");
  EXPECT_EQ(texts(servers.ipv4), (std::vector<std::string>{"192.0.2.53", "198.51.100.1"}));
  EXPECT_EQ(texts(servers.ipv6), (std::vector<std::string>{"2001:db8::53"}));
}

TEST(ResolvConf, LeavesOutWhatAVmCannotReach) {
  auto servers = parse_resolv_conf(
      "nameserver 127.0.0.53\nnameserver ::1\nnameserver fe80::1%eth0\nnameserver fe80::1\n"
      "nameserver 0.0.0.0\nnameserver ff02::1\n");
  EXPECT_TRUE(servers.empty());
}

TEST(ResolvConf, IgnoresGarbage) {
  auto servers = parse_resolv_conf(
      std::string_view("nameserver\nnameserverx 192.0.2.1\nnameserver 1.2\nnameserver 1.2.3.4.5\n"
                       "\0nameserver 192.0.2.9\nname server 192.0.2.1",
                       108));
  EXPECT_TRUE(servers.empty());
}

}  // namespace
}  // namespace vmnet
