// Finds a firewall on the host that would drop what our VMs send to the uplink.
//
// Our accept ends only our own chain: a base chain of another table on the forward hook still has
// its say, and Docker, ufw and firewalld set one up that drops by default. We do not touch other
// programs' tables; the user is told which chain it is and what to add.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "linux/netlink/netlink.h"
#include "linux/nft/builder.h"

namespace vmnet {

// A chain of the host's nftables rules, with what matters of it.
struct FirewallChain {
  NftFamily family = NftFamily::kInet;
  std::string table;
  std::string name;
  bool forwards = false;        // a base chain on the forward hook
  bool drops_the_rest = false;  // by its policy, or by a rule that matches everything
};

struct FirewallRules {
  std::vector<FirewallChain> chains;
  // Tables in which some rule names our devices ("vmnet-..."): their owner has taken care of us.
  std::vector<std::pair<NftFamily, std::string>> aware_tables;
};

// One line a chain that would drop our traffic: which, and the command that lets it through.
// `ipv6`: the VMs have IPv6 too. Pure.
std::vector<std::string> explain_firewall(const FirewallRules& rules, std::string_view bridge,
                                          bool ipv6);

// The same, of this network namespace: nftables and the older iptables (legacy). Needs
// CAP_NET_ADMIN; reads only, and loads no kernel module. Where the rules cannot be read, a line
// says so.
std::vector<std::string> check_firewall(NetlinkSocket& netfilter, std::string_view bridge,
                                        bool ipv6);

}  // namespace vmnet
