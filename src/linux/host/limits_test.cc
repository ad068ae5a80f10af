#include "linux/host/limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vmnet {
namespace {

using testing::HasSubstr;

constexpr uid_t kUser = 1000;
constexpr uid_t kRoot = 0;
constexpr const char* kId = "11111111-2222-4333-8444-555555555555";

Ipv4Subnet subnet(const char* address, int length) {
  return {.address = *parse_ipv4(address), .prefix_length = length};
}

NetworkConfig asking_for(const char* start, int length) {
  return {.addresses = AddressRange{.start = *parse_ipv4(start), .prefix_length = length}};
}

std::string error_of(std::string_view text) {
  auto limits = parse_limits(text);
  return limits ? "" : limits.error().message;
}

TEST(Limits, NothingSaidLeavesWhatHoldsByItself) {
  for (const char* text :
       {"", "\n\n", "# largest-subnet = 8\n", "  # comment\n\t\n", "# f\xc3\xbcr alle"}) {
    EXPECT_EQ(parse_limits(text), Limits{}) << text;
  }
}

TEST(Limits, EveryKey) {
  auto limits = parse_limits(
      "# of this host\nlargest-subnet = 16\n  subnets=10.20.0.0/16\t192.168.64.0/18  \n"
      "shared-interfaces = br0 eth0.7\nnetworks-per-user\t=\t3\nshared-network-ids = "
      "11111111-2222-4333-8444-555555555555\nshared-networks=Lab web");
  ASSERT_TRUE(limits.has_value()) << limits.error().message;
  EXPECT_EQ(limits->largest_subnet, 16);
  EXPECT_EQ(limits->subnets, (std::vector{subnet("10.20.0.0", 16), subnet("192.168.64.0", 18)}));
  EXPECT_EQ(limits->shared_interfaces, (std::vector<std::string>{"br0", "eth0.7"}));
  EXPECT_EQ(limits->networks_per_user, 3);
  EXPECT_EQ(limits->shared_network_ids, std::vector{*parse_uuid(kId)});
  EXPECT_EQ(limits->shared_networks, (std::vector<std::string>{"lab", "web"}));
}

TEST(Limits, AnEmptyListIsOfNothing) {
  auto limits = parse_limits("subnets =\nshared-interfaces=");
  EXPECT_EQ(limits->subnets, std::vector<Ipv4Subnet>{});
  EXPECT_EQ(limits->shared_interfaces, std::vector<std::string>{});
}

TEST(Limits, ErrorsNameTheLineAndWhatIsWrong) {
  EXPECT_EQ(error_of("\nsubnet = 10.0.0.0/8"), "line 2: 'subnet': no such key");
  EXPECT_EQ(error_of("Subnets = 10.0.0.0/8"), "line 1: 'Subnets': no such key");
  EXPECT_EQ(error_of("subnets 10.0.0.0/8"),
            "line 1: 'subnets 10.0.0.0/8': not of the form key = value");
  EXPECT_EQ(error_of("= 8"), "line 1: '': no such key");
  EXPECT_EQ(error_of("largest-subnet = 20\n#\nlargest-subnet = 20"),
            "line 3: largest-subnet is given twice");
  for (const char* value : {"", "7", "31", "020", "-1", "/20", "20 # as it was", "4294967312"}) {
    EXPECT_THAT(error_of(std::string("largest-subnet = ") + value), HasSubstr("from 8 to 30"));
  }
  EXPECT_THAT(error_of("networks-per-user = 1001"), HasSubstr("from 0 to 1000"));
  EXPECT_THAT(error_of("subnets = 10.20.0.1/16"), HasSubstr("write 10.20.0.0/16"));
  EXPECT_THAT(error_of("subnets = 192.0.2.0/24"), HasSubstr("private"));
  EXPECT_THAT(error_of("subnets = 10.0.0.0/7"), HasSubstr("line 1: subnets '10.0.0.0/7'"));
  EXPECT_THAT(error_of("subnets = 0.0.0.0/0"), HasSubstr("private"));
  for (const char* value : {"10.0.0.0", "10.0.0/8", "10.0.0.0/33", "10.0.0.0/8,", "10.0.0.0/"}) {
    EXPECT_THAT(error_of(std::string("subnets = ") + value), HasSubstr("such as 10.20.0.0/16"));
  }
  EXPECT_THAT(error_of("shared-interfaces = a/b"), HasSubstr("not the name"));
  EXPECT_THAT(error_of("shared-interfaces = abcdefghijklmnop"), HasSubstr("not the name"));
  EXPECT_THAT(error_of("shared-network-ids = 1"), HasSubstr("not a UUID"));
  EXPECT_THAT(error_of("shared-networks = a.b"), HasSubstr("not one DNS label"));
}

TEST(Limits, ControlCharactersAreNoPartOfIt) {
  for (std::string_view text : {std::string_view("subnets =\r\n"), std::string_view("\0", 1),
                                std::string_view("# \x1b[2J"), std::string_view("subnets\v=")}) {
    EXPECT_EQ(error_of(text), "line 1: holds a control character");
  }
  EXPECT_EQ(error_of("\xc3\xa4 = 1"), "line 1: '\?\?': no such key");
}

TEST(CheckRequest, SubnetsOfUsersAreNoLargerThanTheLimit) {
  const Limits usual;
  EXPECT_TRUE(check_request(asking_for("10.0.0.1", 20), kUser, usual).has_value());
  auto refused = check_request(asking_for("10.0.0.1", 19), kUser, usual);
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr("10.0.0.0/19"));
  EXPECT_THAT(refused.error().message, HasSubstr("255.255.240.0"));
  EXPECT_TRUE(check_request(asking_for("10.0.0.1", 8), kRoot, usual).has_value());
  EXPECT_TRUE(check_request(asking_for("10.0.0.1", 16), kUser, {.largest_subnet = 16}).has_value());
  NetworkConfig own{.mode = Mode::kHost,
                    .private_network = PrivateNetwork{
                        .id = *parse_uuid(kId), .addresses = asking_for("10.0.0.1", 8).addresses}};
  EXPECT_FALSE(check_request(own, kUser, usual).has_value());
}

TEST(CheckRequest, SubnetsOfUsersAreAmongThoseListed) {
  const Limits limits{.subnets = std::vector{subnet("10.20.0.0", 22)}};
  EXPECT_TRUE(check_request(asking_for("10.20.3.1", 24), kUser, limits).has_value());
  EXPECT_TRUE(check_request(asking_for("10.20.0.1", 22), kUser, limits).has_value());
  EXPECT_FALSE(check_request(asking_for("10.20.0.1", 21), kUser, limits).has_value());
  auto refused = check_request(asking_for("10.20.4.1", 24), kUser, limits);
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr("10.20.0.0/22"));
  EXPECT_TRUE(check_request({}, kUser, limits).has_value());
}

TEST(CheckRequest, SharedInterfacesAreThoseListed) {
  NetworkConfig bridged{.mode = Mode::kBridged, .shared_interface = "br0"};
  EXPECT_TRUE(check_request(bridged, kUser, {}).has_value());
  EXPECT_TRUE(check_request(bridged, kUser, {.shared_interfaces = {{"br1", "br0"}}}).has_value());
  const Limits none{.shared_interfaces = std::vector<std::string>{}};
  EXPECT_FALSE(check_request(bridged, kUser, none).has_value());
  EXPECT_TRUE(check_request(bridged, kRoot, none).has_value());
  // In the other modes it is given and means nothing.
  NetworkConfig shared{.shared_interface = "br0"};
  EXPECT_TRUE(check_request(shared, kUser, none).has_value());
}

TEST(CheckNetworkCount, BindsUsers) {
  EXPECT_TRUE(check_network_count(kUser, 7, {}).has_value());
  EXPECT_FALSE(check_network_count(kUser, 8, {}).has_value());
  EXPECT_TRUE(check_network_count(kRoot, 800, {}).has_value());
  EXPECT_FALSE(check_network_count(kUser, 0, {.networks_per_user = 0}).has_value());
}

}  // namespace
}  // namespace vmnet
