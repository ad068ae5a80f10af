// Finds a firewall on the host that would drop what our VMs send: to the uplinks, and, where the
// kernel shows bridged packets to the forward hook (br_netfilter, which Docker loads), to each
// other.
//
// Our accept ends only our own chain: a base chain of another table on the forward hook still has
// its say, and Docker, ufw and firewalld set one up that drops by default. We do not touch other
// programs' tables; the user is told which chain it is and what to add. That opens the way to the
// uplinks and no other: not to containers of the host's, say.
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

// Whose owner has taken care of us: some rule there names our devices ("vmnet-..."), or the bridge
// that our VMs are on.
struct AwareTable {
  NftFamily family = NftFamily::kInet;
  std::string name;
  bool routed = false;   // a rule names them as the one end of the way
  bool bridged = false;  // as both ends, or without a word of the other
};

struct FirewallRules {
  std::vector<FirewallChain> chains;
  std::vector<AwareTable> aware_tables;
};

// What a VM's network needs of the forward hook.
struct ForwardingNeeds {
  std::string devices = "vmnet-*";  // all of ours, or in bridged mode the user's bridge
  std::string device;               // by which this VM's packets come in
  bool routed = false;              // shared mode
  bool ipv6 = false;                // routed IPv6, too
  // br_netfilter shows what is bridged to the forward hook.
  bool bridged_ipv4 = false;
  bool bridged_ipv6 = false;
  // The devices of the default routes.
  std::vector<std::string> uplinks_ipv4;
  std::vector<std::string> uplinks_ipv6;
};

// Of this network namespace: is what is bridged shown to the forward hook?
void look_for_bridge_netfilter(ForwardingNeeds& needs);

// One line a chain that would drop our traffic: which, and the command that lets it through. Pure.
std::vector<std::string> explain_firewall(const FirewallRules& rules, const ForwardingNeeds& needs);

// The same, of this network namespace: nftables and the older iptables (legacy). Needs
// CAP_NET_ADMIN; reads only, and loads no kernel module. Where the rules cannot be read, a line
// says so.
std::vector<std::string> check_firewall(NetlinkSocket& netfilter, const ForwardingNeeds& needs);

}  // namespace vmnet
