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

TEST(ExplainFirewall, SaysWhichChainAndWhatToAdd) {
  FirewallRules rules{.chains = {forward_chain(NftFamily::kInet, "site", "fwd")}};
  EXPECT_THAT(explain_firewall(rules, "vmnet-shared0", true),
              ElementsAre(testing::AllOf(
                  HasSubstr("nftables table inet site, chain fwd"),
                  HasSubstr("nft insert rule inet site fwd iifname \"vmnet-*\" accept"))));
}

TEST(ExplainFirewall, IsSilentAboutChainsThatLetUsThrough) {
  FirewallChain input = forward_chain(NftFamily::kInet, "site", "input");
  input.forwards = false;
  FirewallChain open = forward_chain(NftFamily::kInet, "site", "fwd");
  open.drops_the_rest = false;
  EXPECT_THAT(explain_firewall({.chains = {input, open}}, "vmnet-shared0", true), IsEmpty());

  FirewallRules aware{.chains = {forward_chain(NftFamily::kIpv4, "filter", "FORWARD")},
                      .aware_tables = {{NftFamily::kIpv4, "filter"}}};
  EXPECT_THAT(explain_firewall(aware, "vmnet-shared0", true), IsEmpty());
}

TEST(ExplainFirewall, LooksAtIpv6OnlyWhereVmsHaveIt) {
  FirewallRules rules{.chains = {forward_chain(NftFamily::kIpv6, "filter", "FORWARD")}};
  EXPECT_THAT(explain_firewall(rules, "vmnet-shared0", false), IsEmpty());
  EXPECT_EQ(explain_firewall(rules, "vmnet-shared0", true).size(), 1);
}

TEST(ExplainFirewall, SpeaksTheLanguageOfTheFirewall) {
  auto remedy = [](NftFamily family, const char* table, const char* beside) {
    FirewallRules rules{.chains = {forward_chain(family, table, "FORWARD"),
                                   {.family = family, .table = table, .name = beside}}};
    return explain_firewall(rules, "vmnet-shared3", true).at(0);
  };
  EXPECT_THAT(remedy(NftFamily::kIpv4, "filter", "DOCKER-USER"),
              HasSubstr(": iptables -I DOCKER-USER -i vmnet-+ -j ACCEPT"));
  EXPECT_THAT(remedy(NftFamily::kIpv6, "filter", "DOCKER-USER"),
              HasSubstr(": ip6tables -I DOCKER-USER -i vmnet-+ -j ACCEPT"));
  EXPECT_THAT(remedy(NftFamily::kIpv4, "filter", "ufw-user-forward"),
              HasSubstr(": ufw route allow in on vmnet-shared3"));
  EXPECT_THAT(remedy(NftFamily::kInet, "firewalld", "filter_INPUT"),
              HasSubstr(": firewall-cmd --permanent --zone=trusted --add-interface=vmnet-shared3"));
}

}  // namespace
}  // namespace vmnet
