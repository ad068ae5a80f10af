#include "linux/rules/network_rules.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter_bridge.h>

#include "linux/rules/vm_rules.h"

namespace vmnet {
namespace {

// All our devices: bridges and TAPs. A network reaches the world but no other network.
constexpr std::string_view kOurDevices = "vmnet-*";

// Before br_netfilter (0), NAT (-300) and filters (-200) of the bridge family.
constexpr int32_t kBeforeOthers = -400;
constexpr int32_t kBridgeFilter = -200;  // linux/netfilter_bridge.h, NF_BR_PRI_FILTER_BRIDGED
constexpr int32_t kFilter = 0;           // NF_IP_PRI_FILTER
constexpr int32_t kSourceNat = 100;      // NF_IP_PRI_NAT_SRC

constexpr uint32_t kEstablished = 1U << (IP_CT_ESTABLISHED + 1);  // NF_CT_STATE_BIT
constexpr uint32_t kRelated = 1U << (IP_CT_RELATED + 1);
constexpr uint32_t kNeighborSolicit = 135;  // RFC 4861
constexpr uint32_t kNeighborAdvert = 136;
constexpr Ipv6 kLinkLocalPrefix{{0xfe, 0x80}};

// More than a bridge has ports. A known size lets the kernel choose the cheapest lookup.
constexpr uint32_t kMaxVms = 2048;

constexpr const char* kMacsSet = "macs";
constexpr const char* kIpv4Set = "ipv4";
constexpr const char* kIpv6Set = "ipv6";
constexpr const char* kTargetsSet = "targets";  // of kIpv6Set, as neighbour discovery names them

constexpr std::string_view kGuardSuffix = "-guard";
constexpr const char* kGuardedIpv4Set = "guarded_ipv4";  // interfaces
constexpr const char* kGuardedIpv6Set = "guarded_ipv6";
constexpr const char* kGuardedFamiliesSet = "guarded_families";

// The host remembers whom it forwards to: the uplink's router, and every machine of the uplink's
// own subnet that a VM speaks to. In one table for all networks, so a VM that tried a whole /64
// would fill it. As many as a /24 has.
constexpr const char* kNextHopsIpv4Set = "next_hops_ipv4";
constexpr const char* kNextHopsIpv6Set = "next_hops_ipv6";
constexpr uint32_t kMaxNextHops = 256;
constexpr std::chrono::minutes kNextHopTimeout{1};

NftElement element(const NftType& type, const NftValue& value) {
  return {.key = nft_bytes(type, value)};
}

std::vector<NftElement> macs_of(const NetworkRules& rules) {
  std::vector<NftElement> elements;
  for (const GivenAddresses& vm : rules.vms) {
    elements.push_back(element(kNftEtherAddress, vm.mac));
  }
  return elements;
}

std::vector<NftElement> ipv4_of(const NetworkRules& rules) {
  std::vector<NftElement> elements;
  for (const GivenAddresses& vm : rules.vms) {
    if (vm.ipv4) elements.push_back(element(kNftIpv4Address, *vm.ipv4));
  }
  return elements;
}

// The addresses that follow from the VMs' MACs.
std::vector<NftElement> ipv6_of(const NetworkRules& rules) {
  std::vector<NftElement> elements;
  for (const GivenAddresses& vm : rules.vms) {
    for (const auto& prefix : {std::optional(kLinkLocalPrefix), rules.ipv6_prefix}) {
      if (prefix) elements.push_back(element(kNftIpv6Address, address_from_mac(*prefix, vm.mac)));
    }
  }
  return elements;
}

// Every frame of every port of the host comes by, so what is no VM's of this bridge leaves first,
// then what says nothing but what its VM was given.
NftChain& rule_ports(NftTable& table, const NetworkRules& rules) {
  NftChain& ports = table.chain("ports", {.number = NF_BR_PRE_ROUTING, .priority = kBeforeOthers});
  ports.rule().is_not(kIifGroup, rules.port_group).accept();
  ports.rule().has_none(kMark, kAllMarks).accept();
  table.set({.name = kMacsSet,
             .type = kNftEtherAddress,
             .max_size = kMaxVms,
             .elements = macs_of(rules)});
  ports.rule().has_all(kMark, kOtherMacMark).in(kEtherSource, kMacsSet).drop();
  return ports;
}

NftTable bridge_table(const NetworkRules& rules) {
  NftTable table(NftFamily::kBridge, rules.bridge);
  NftChain& ports = rule_ports(table, rules);
  // Where an address is ARP says, not the frame that carries it.
  ports.rule().has_all(kMark, kOtherNamedMark).in(kArpSenderMac, kMacsSet).drop();
  if (rules.subnet) {
    table.set({.name = kIpv4Set,
               .type = kNftIpv4Address,
               .max_size = kMaxVms,
               .elements = ipv4_of(rules)});
    ports.rule().has_all(kMark, kOtherAddressMark).in(kArpSenderIp, kIpv4Set).drop();
    ports.rule().has_all(kMark, kOtherAddressMark).in(kIpSource, kIpv4Set).drop();
  }
  table.set({.name = kIpv6Set,
             .type = kNftIpv6Address,
             .max_size = 2 * kMaxVms,
             .elements = ipv6_of(rules)});
  table.set({.name = kTargetsSet,
             .type = kNftRaw128,
             .raw_field = kNeighborTarget,
             .max_size = 2 * kMaxVms,
             .elements = ipv6_of(rules)});
  ports.rule().has_all(kMark, kOtherAddressMark).in(kIp6Source, kIpv6Set).drop();
  // Who still asks whether it may have an address (RFC 4862) would have its owner give it up.
  ports.rule()
      .has_all(kMark, kOtherNamedMark)
      .is(kIcmpv6Type, kNeighborSolicit)
      .is(kIp6Source, Ipv6{})
      .in(kNeighborTarget, kTargetsSet)
      .drop();
  ports.rule()
      .has_all(kMark, kOtherNamedMark)
      .is(kIcmpv6Type, kNeighborAdvert)
      .in(kNeighborTarget, kTargetsSet)
      .drop();
  ports.rule().clear_mark_bits(kAllMarks);
  if (!rules.subnet) {
    // The host has no address here, so it takes no part: otherwise a VM could reach the host's
    // other addresses by the bridge's MAC, and ARP would tell it them.
    table.chain("to_host", {.number = NF_BR_LOCAL_IN, .priority = kBridgeFilter})
        .rule()
        .is(kIifGroup, rules.port_group)
        .drop();
  }
  return table;
}

NftTable users_bridge_table(const NetworkRules& rules) {
  NftTable table(NftFamily::kBridge, fmt::format("vmnet-on-{}", rules.bridge));
  rule_ports(table, rules).rule().clear_mark_bits(kAllMarks);
  return table;
}

NftSet interface_set(const char* name, const std::vector<std::string>& interfaces) {
  NftSet set{.name = name, .type = kNftInterfaceName};
  for (const auto& interface : interfaces) {
    set.elements.push_back(element(kNftInterfaceName, std::string_view(interface)));
  }
  return set;
}

// Forwarding was switched on for our VMs: the host is a router for nobody else.
void guard_forwarding(NftTable& table, NftChain& forward, const NetworkRules& rules) {
  table.set(interface_set(kGuardedIpv4Set, rules.guarded.ipv4));
  table.set(interface_set(kGuardedIpv6Set, rules.guarded.ipv6));
  forward.rule().ip().in(kIifName, kGuardedIpv4Set).is_not(kOifName, kOurDevices).drop();
  forward.rule().ip6().in(kIifName, kGuardedIpv6Set).is_not(kOifName, kOurDevices).drop();
  if (!rules.one_ipv6_switch) return;
  NftSet families{.name = kGuardedFamiliesSet, .type = kNftNetfilterProtocol};
  if (rules.guarded.all_ipv6) {
    families.elements.push_back(element(kNftNetfilterProtocol, uint32_t{NFPROTO_IPV6}));
  }
  table.set(std::move(families));
  forward.rule()
      .in(kNfProtocol, kGuardedFamiliesSet)
      .is_not(kIifName, kOurDevices)
      .is_not(kOifName, kOurDevices)
      .drop();
}

NftSet next_hop_set(const char* name, NftType type) {
  return {.name = name, .type = type, .max_size = kMaxNextHops, .dynamic = true};
}

void bound_next_hops(NftTable& table, NftChain& from_vms) {
  table.set(next_hop_set(kNextHopsIpv4Set, kNftIpv4Address));
  table.set(next_hop_set(kNextHopsIpv6Set, kNftIpv6Address));
  from_vms.rule().has_some(kCtState, kEstablished).accept();
  from_vms.rule().update(kIpNextHop, kNextHopsIpv4Set, kNextHopTimeout).accept();
  from_vms.rule().update(kIp6NextHop, kNextHopsIpv6Set, kNextHopTimeout).accept();
  from_vms.rule().drop();
}

// Returns the chain of what VMs send.
NftChain& rule_forward(NftTable& table, const NetworkRules& rules) {
  NftChain& forward = table.chain("forward", {.number = NF_INET_FORWARD, .priority = kFilter});
  NftChain& from_vms = table.chain("from_vms");
  forward.rule().is(kIifGroup, rules.links_group).go_to(from_vms.name());
  // What was bridged comes here as well where bridge-nf-call-iptables is 1.
  from_vms.rule()
      .is(kIifName, std::string_view(rules.bridge))
      .is(kOifName, std::string_view(rules.bridge))
      .accept();
  if (rules.mode != Mode::kShared) {  // nothing is routed in or out
    forward.rule().is(kOifGroup, rules.links_group).drop();
    from_vms.rule().drop();
    return from_vms;
  }
  NftChain& to_vms = table.chain("to_vms");
  forward.rule().is(kOifGroup, rules.links_group).go_to(to_vms.name());
  guard_forwarding(table, forward, rules);
  from_vms.rule().is(kOifName, kOurDevices).drop();
  to_vms.rule().is(kIifName, kOurDevices).drop();
  to_vms.rule().has_some(kCtState, kEstablished | kRelated).accept();
  to_vms.rule().has_some(kCtStatus, IPS_DST_NAT).accept();
  to_vms.rule().drop();
  return from_vms;
}

// The host's services, by broadcast too.
void rule_input(NftTable& table, const NetworkRules& rules) {
  std::vector<NftValue> sources{Ipv6Prefix{.address = kLinkLocalPrefix, .length = 10},
                                Ipv6Prefix{.address = {}, .length = 128}};
  if (rules.ipv6_prefix) sources.emplace_back(Ipv6Prefix{.address = *rules.ipv6_prefix});
  NftChain& input = table.chain("input", {.number = NF_INET_LOCAL_IN, .priority = kFilter});
  // What an isolated VM says of itself its own table sees to.
  input.rule().is_not(kIifName, std::string_view(rules.bridge)).accept();
  input.rule().is_not(kIpSource, *rules.subnet).drop();
  input.rule().none_of(kIp6Source, sources).drop();
}

// iifgroup in postrouting (Linux 5.7) keeps the host's own packets to its gateway address as they
// are: those leave by lo and would be given another source.
void rule_masquerade(NftTable& table, const NetworkRules& rules) {
  NftChain& postrouting = table.chain(
      "postrouting", {.type = "nat", .number = NF_INET_POST_ROUTING, .priority = kSourceNat});
  postrouting.rule().is(kIifGroup, rules.links_group).is_not(kOifName, kOurDevices).masquerade();
}

NftTable routing_table(const NetworkRules& rules) {
  NftTable table(NftFamily::kInet, rules.bridge);
  const bool shared = rules.mode == Mode::kShared;
  NftChain& from_vms = rule_forward(table, rules);
  if (shared) bound_next_hops(table, from_vms);
  if (rules.subnet) rule_input(table, rules);
  if (shared) rule_masquerade(table, rules);
  return table;
}

NftTable guard_table(const NetworkRules& rules) {
  NftTable table(NftFamily::kInet, rules.bridge + std::string(kGuardSuffix));
  rule_forward(table, rules);
  if (rules.mode == Mode::kShared) rule_masquerade(table, rules);
  return table;
}

}  // namespace

bool is_guard_name(std::string_view table) { return table.ends_with(kGuardSuffix); }

Status check_uplinks(const GuardedForwarding& guarded) {
  size_t count = std::max(guarded.ipv4.size(), guarded.ipv6.size());
  if (count <= kMaxGuardedUplinks) return {};
  return fail(
      fmt::format("the host has {} uplinks, at most {} are supported", count, kMaxGuardedUplinks));
}

std::vector<NetworkTable> network_tables(const NetworkRules& rules) {
  if (rules.mode == Mode::kBridged) return {{.table = users_bridge_table(rules)}};
  return {{.table = bridge_table(rules)},
          {.table = routing_table(rules)},
          {.table = guard_table(rules), .owned = true}};
}

}  // namespace vmnet
