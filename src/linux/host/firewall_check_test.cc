#include "linux/host/firewall_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vmnet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

FirewallChain forward_chain(NftFamily family, std::string table, std::string name) {
  return {.family = family,
          .table = std::move(table),
          .name = std::move(name),
          .forwards = true,
          .drops_the_rest = true};
}

ForwardingNeeds shared_network(bool ipv6) {
  return {.device = "vmnet-shared3",
          .routed = true,
          .ipv6 = ipv6,
          .uplinks_ipv4 = {"eth0", "wlan0"},
          .uplinks_ipv6 = {"eth0"}};
}

TEST(ExplainFirewall, SaysWhichChainAndWhatToAdd) {
  FirewallRules rules{.chains = {forward_chain(NftFamily::kInet, "site", "fwd")}};
  EXPECT_THAT(
      explain_firewall(rules, shared_network(true)),
      ElementsAre(testing::AllOf(
          HasSubstr("nftables table inet site, chain fwd"),
          HasSubstr("nft 'insert rule inet site fwd iifname \"vmnet-*\" oifname { \"eth0\", "
                    "\"wlan0\" } accept'"))));
}

TEST(ExplainFirewall, IsSilentAboutChainsThatLetUsThrough) {
  FirewallChain input = forward_chain(NftFamily::kInet, "site", "input");
  input.forwards = false;
  FirewallChain open = forward_chain(NftFamily::kInet, "site", "fwd");
  open.drops_the_rest = false;
  EXPECT_THAT(explain_firewall({.chains = {input, open}}, shared_network(true)), IsEmpty());

  FirewallRules aware{
      .chains = {forward_chain(NftFamily::kIpv4, "filter", "FORWARD")},
      .aware_tables = {{.family = NftFamily::kIpv4, .name = "filter", .routed = true}}};
  EXPECT_THAT(explain_firewall(aware, shared_network(true)), IsEmpty());
}

TEST(ExplainFirewall, LooksAtIpv6OnlyWhereVmsHaveIt) {
  FirewallRules rules{.chains = {forward_chain(NftFamily::kIpv6, "filter", "FORWARD")}};
  EXPECT_THAT(explain_firewall(rules, shared_network(false)), IsEmpty());
  EXPECT_EQ(explain_firewall(rules, shared_network(true)).size(), 1);
}

TEST(ExplainFirewall, SpeaksTheLanguageOfTheFirewall) {
  auto remedy = [](NftFamily family, const char* table, const char* beside) {
    FirewallRules rules{.chains = {forward_chain(family, table, "FORWARD"),
                                   {.family = family, .table = table, .name = beside}}};
    return explain_firewall(rules, shared_network(true)).at(0);
  };
  EXPECT_THAT(remedy(NftFamily::kIpv4, "filter", "DOCKER-USER"),
              HasSubstr(": iptables -I DOCKER-USER -i vmnet-+ -o eth0 -j ACCEPT"));
  EXPECT_THAT(remedy(NftFamily::kIpv6, "filter", "DOCKER-USER"),
              HasSubstr(": ip6tables -I DOCKER-USER -i vmnet-+ -o eth0 -j ACCEPT"));
  EXPECT_THAT(remedy(NftFamily::kIpv4, "filter", "ufw-user-forward"),
              HasSubstr(": ufw route allow in on vmnet-shared3 out on eth0"));
  EXPECT_THAT(remedy(NftFamily::kInet, "firewalld", "filter_INPUT"),
              HasSubstr(": firewall-cmd --permanent --zone=trusted --add-interface=vmnet-shared3"));
}

TEST(ExplainFirewall, WhatIsBridgedMattersWhereTheKernelShowsIt) {
  FirewallRules rules{.chains = {forward_chain(NftFamily::kIpv4, "filter", "FORWARD")}};
  ForwardingNeeds host_mode{.device = "vmnet-host0"};
  EXPECT_THAT(explain_firewall(rules, host_mode), IsEmpty());
  host_mode.bridged_ipv6 = true;  // the chain is IPv4's
  EXPECT_THAT(explain_firewall(rules, host_mode), IsEmpty());
  host_mode.bridged_ipv4 = true;
  EXPECT_THAT(explain_firewall(rules, host_mode),
              ElementsAre(testing::AllOf(HasSubstr("each other"),
                                         HasSubstr("iifname \"vmnet-*\" oifname \"vmnet-*\""))));
  ForwardingNeeds bridged{.devices = "br0", .device = "br0", .bridged_ipv4 = true};
  EXPECT_THAT(explain_firewall(rules, bridged),
              ElementsAre(HasSubstr("iifname \"br0\" oifname \"br0\"")));
  rules.aware_tables = {{.family = NftFamily::kIpv4, .name = "filter", .routed = true}};
  EXPECT_EQ(explain_firewall(rules, bridged).size(), 1);
  rules.aware_tables[0].bridged = true;
  EXPECT_THAT(explain_firewall(rules, bridged), IsEmpty());
}

}  // namespace
}  // namespace vmnet
