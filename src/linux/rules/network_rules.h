// The rules of one network, whatever the number of its VMs: whose a MAC or an address is, where
// frames are routed, and NAT. What is a VM's is an element of a set. docs/rules.md shows them as
// `nft list ruleset` prints them.
//
// The tables are named after the bridge. A second socket may not change a table that another one
// owns, so these have no owner, and last until they are removed, when all keepers were killed too.
// So `nft flush ruleset` takes them, until a keeper has put them back. What must hold meanwhile
// stands a second time in a table that one of the network's keepers owns, the guard. Other tables'
// rules work beside them: an accept here ends this chain only, a drop anywhere is final.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/mac.h"
#include "base/result.h"
#include "linux/netlink/routes.h"
#include "linux/nft/builder.h"
#include "platform/config.h"

namespace vmnet {

// Forwarding that was switched on for our VMs, and must serve nobody else. By protocol: a host that
// routes the other one by itself goes on doing so.
struct GuardedForwarding {
  std::vector<std::string> ipv4;  // interfaces
  std::vector<std::string> ipv6;
  bool all_ipv6 = false;  // the one IPv6 switch of kernels without force_forwarding is on
};

// What was given to a VM.
struct GivenAddresses {
  Mac mac;
  std::optional<Ipv4> ipv4;
};

// Of what the host has once for itself and all VMs.
struct SharedBounds {
  // Ports, and ICMP's ids, that a VM's become where they leave by NAT. None: any.
  std::optional<NftPorts> nat_ports;
  uint32_t connections = 0;  // tracked ones that a VM may have begun
};

inline constexpr uint32_t kMaxConnections = 8192;

// What is left beside the host's own ports (net.ipv4.ip_local_port_range), and of that, and of
// what the host can track (nf_conntrack_max), a part that leaves room for other VMs.
SharedBounds shared_bounds(NftPorts own, uint32_t max_tracked);

struct NetworkRules {
  Mode mode = Mode::kShared;
  std::string bridge;                // ours, or in bridged mode the user's
  uint32_t port_group = 0;           // of the VMs' ports of that bridge: port_group() in links.h
  uint32_t links_group = 0;          // of the bridge and its isolated VMs' devices: links_group()
  std::optional<Ipv4Subnet> subnet;  // none: the host has no address in this network
  std::optional<Ipv6> ipv6_prefix;   // of the bridge's /64
  std::vector<GivenAddresses> vms;   // isolated ones too
  GuardedForwarding guarded;
  Routers routers;  // to which a VM's packets may always go
  SharedBounds bounds{.nat_ports = {}, .connections = kMaxConnections};
  // The kernel has no force_forwarding: the rules can guard all IPv6 forwarding.
  bool one_ipv6_switch = false;
};

inline constexpr size_t kMaxGuardedUplinks = 64;
Status check_uplinks(const GuardedForwarding& guarded);

// A table of a network, and whether a keeper owns it.
struct NetworkTable {
  NftTable table;
  bool owned = false;
};

bool is_guard_name(std::string_view table);

// Of a network with that bridge, without what is in them.
std::vector<NetworkTable> empty_network_tables(Mode mode, std::string_view bridge);

// Of a bridge of the user's there is but one: our VMs keep their MACs from each other.
std::vector<NetworkTable> network_tables(const NetworkRules& rules);

}  // namespace vmnet
