#include "linux/rules/network_rules.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter_bridge.h>
#include <net/if_arp.h>

#include "linux/device/identity.h"
#include "linux/rules/vm_rules.h"
#include "wire/router_advert.h"

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

// More than a bridge has ports. A known size lets the kernel choose the cheapest lookup.
constexpr uint32_t kMaxVms = 2048;

constexpr std::string_view kGuardSuffix = "-guard";

// The host remembers whom it forwards to: the uplink's router, and every machine of the uplink's
// own subnet that a VM speaks to. In one table for all networks, so a VM that tried a whole /64
// would fill it. So a VM has it look for so many at once and so many a second; those it has just
// looked for, and routers, are no new ones. Room for a second of 2000 VMs is room enough.
constexpr std::chrono::minutes kNextHopTimeout{1};
constexpr uint32_t kMaxNextHops = 65535;
constexpr NftBoundedSet kNextHopsIpv4{"next_hops_ipv4", kNftIpv4Address, kMaxNextHops,
                                      kNextHopTimeout};
constexpr NftBoundedSet kNextHopsIpv6{"next_hops_ipv6", kNftIpv6Address, kMaxNextHops,
                                      kNextHopTimeout};
constexpr NftLimit kNewNextHops{.rate = 4, .burst = 64};
constexpr NftBoundedSet kHopsOfMacs{"hops_of_macs", kNftEtherAddress, kMaxVms,
                                    std::chrono::minutes(5), kNewNextHops};
constexpr NftBoundedSet kHopsOfLinks{"hops_of_links", kNftInterfaceName, kMaxVms,
                                     std::chrono::minutes(5), kNewNextHops};

// As often as a connection may begin: the kernel remembers also one that found no room for a
// moment, and forgets at least nine a tick (nf_conncount.c, Linux 6.18).
constexpr NftLimit kNewConnections{.rate = 1000, .burst = kMaxConnections};

NftBoundedSet connections_of(std::string_view name, NftType type, uint32_t most) {
  return {.name = name,
          .type = type,
          .max_size = kMaxVms,
          .limit = kNewConnections,
          .connections = most};
}

// Those with ports, or ids, which NAT can tell apart: ICMP, TCP, UDP, ICMPv6, SCTP, UDP-Lite. Of
// any other (ESP, GRE) there is one connection with a peer, and what is for the host would be a
// VM's.
std::vector<NftValue> nat_protocols() { return {1U, 6U, 17U, 58U, 132U, 136U}; }

// What is the VMs'. Of IPv6, which is given to none, what follows from their MACs.
struct VmAddresses {
  std::vector<NftValue> macs;
  std::vector<NftValue> ipv4;
  std::vector<NftValue> ipv6;
};

VmAddresses addresses_of(const NetworkRules& rules) {
  VmAddresses all;
  for (const GivenAddresses& vm : rules.vms) {
    all.macs.emplace_back(vm.mac);
    if (vm.ipv4) all.ipv4.emplace_back(*vm.ipv4);
    all.ipv6.emplace_back(address_from_mac(kLinkLocalPrefix, vm.mac));
    if (rules.ipv6_prefix) all.ipv6.emplace_back(address_from_mac(*rules.ipv6_prefix, vm.mac));
  }
  return all;
}

NftSet sized(NftSet set, uint32_t max_size) {
  set.max_size = max_size;
  return set;
}

// Every frame of every port of the host comes by, so what is no VM's of this bridge leaves first,
// then what says nothing but what its VM was given.
NftChain& rule_ports(NftTable& table, const NetworkRules& rules, const VmAddresses& vms) {
  NftChain& ports = table.chain("ports", {.number = NF_BR_PRE_ROUTING, .priority = kBeforeOthers});
  table.set(sized(nft_set("macs", kNftEtherAddress, vms.macs), kMaxVms));
  ports.rule().is_not(kIifGroup, rules.port_group).accept();
  ports.rule().has_none(kMark, kAllMarks).accept();
  ports.rule().has_all(kMark, kOtherMacMark).in(kEtherSource, "macs").drop();
  return ports;
}

void rule_bridge(NftTable& table, const NetworkRules& rules) {
  const VmAddresses vms = addresses_of(rules);
  NftChain& ports = rule_ports(table, rules, vms);
  // Where an address is ARP says, not the frame that carries it.
  ports.rule().has_all(kMark, kOtherNamedMark).in(kArpSenderMac, "macs").drop();
  if (rules.subnet) {
    table.set(sized(nft_set("ipv4", kNftIpv4Address, vms.ipv4), kMaxVms));
    ports.rule().has_all(kMark, kOtherAddressMark).in(kArpSenderIp, "ipv4").drop();
    ports.rule().has_all(kMark, kOtherAddressMark).in(kIpSource, "ipv4").drop();
  }
  table.set(sized(nft_set("ipv6", kNftIpv6Address, vms.ipv6), 2 * kMaxVms));
  NftSet targets = sized(nft_set("targets", kNftRaw128, vms.ipv6), 2 * kMaxVms);
  targets.raw_field = kNeighborTarget;
  table.set(std::move(targets));
  ports.rule().has_all(kMark, kOtherAddressMark).in(kIp6Source, "ipv6").drop();
  // Who still asks whether it may have an address (RFC 4862) would have its owner give it up.
  ports.rule()
      .has_all(kMark, kOtherNamedMark)
      .is(kIcmpv6Type, kNeighborSolicitation)
      .is(kIp6Source, Ipv6{})
      .in(kNeighborTarget, "targets")
      .drop();
  ports.rule()
      .has_all(kMark, kOtherNamedMark)
      .is(kIcmpv6Type, kNeighborAdvertisement)
      .in(kNeighborTarget, "targets")
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
}

// Forwarding was switched on for our VMs: the host is a router for nobody else.
void guard_forwarding(NftTable& table, NftChain& forward, const NetworkRules& rules) {
  const GuardedForwarding& guarded = rules.guarded;
  table.set(nft_set("guarded_ipv4", kNftInterfaceName, {guarded.ipv4.begin(), guarded.ipv4.end()}));
  table.set(nft_set("guarded_ipv6", kNftInterfaceName, {guarded.ipv6.begin(), guarded.ipv6.end()}));
  forward.rule().ip().in(kIifName, "guarded_ipv4").is_not(kOifName, kOurDevices).drop();
  forward.rule().ip6().in(kIifName, "guarded_ipv6").is_not(kOifName, kOurDevices).drop();
  if (!rules.one_ipv6_switch) return;
  std::vector<NftValue> families;
  if (guarded.all_ipv6) families.emplace_back(uint32_t{NFPROTO_IPV6});
  table.set(nft_set("guarded_families", kNftNetfilterProtocol, families));
  forward.rule()
      .in(kNfProtocol, "guarded_families")
      .is_not(kIifName, kOurDevices)
      .is_not(kOifName, kOurDevices)
      .drop();
}

// Returns where a VM has room, and drops where it has none. A VM is known by the MAC that it was
// given, which no other VM of the bridge can use, or by the link that it has for itself. What comes
// from other MACs of the bridge has room together.
void bound_each_vm(NftTable& table, NftChain& chain, std::string_view bridge,
                   const NftBoundedSet& by_mac, const NftBoundedSet& by_link) {
  table.bounded_set(by_mac);
  table.bounded_set(by_link);
  chain.rule().is(kIifName, bridge).in(kEtherSource, "macs").update(kEtherSource, by_mac).leave();
  chain.rule().is(kIifName, bridge).in(kEtherSource, "macs").drop();
  chain.rule().update(kIifName, by_link).leave();
  chain.rule().drop();
}

// What a VM begins, with the host too, is counted: the table of tracked connections is the host's
// and all VMs', and so are the ports that NAT has for a destination. Returns the chain's name.
std::string_view bound_connections(NftTable& table, const NetworkRules& rules) {
  NftChain& begun = table.chain("begun");
  const uint32_t most = rules.bounds.connections;
  bound_each_vm(table, begun, rules.bridge,
                connections_of("connections_of_macs", kNftEtherAddress, most),
                connections_of("connections_of_links", kNftInterfaceName, most));
  return "begun";
}

void bound_next_hops(NftTable& table, NftChain& from_vms, const NetworkRules& rules) {
  const Routers& routers = rules.routers;
  table.set(nft_set("routers_ipv4", kNftIpv4Address, {routers.ipv4.begin(), routers.ipv4.end()}));
  table.set(nft_set("routers_ipv6", kNftIpv6Address, {routers.ipv6.begin(), routers.ipv6.end()}));
  table.bounded_set(kNextHopsIpv4);
  table.bounded_set(kNextHopsIpv6);
  NftChain& new_hop = table.chain("new_hop");
  bound_each_vm(table, new_hop, rules.bridge, kHopsOfMacs, kHopsOfLinks);
  // A tunnel has no neighbours to be looked for.
  from_vms.rule().is_not(kOifType, uint32_t{ARPHRD_ETHER}).accept();
  from_vms.rule().in(kIpNextHop, "routers_ipv4").accept();
  from_vms.rule().in(kIp6NextHop, "routers_ipv6").accept();
  from_vms.rule().in(kIpNextHop, kNextHopsIpv4.name).accept();
  from_vms.rule().in(kIp6NextHop, kNextHopsIpv6.name).accept();
  from_vms.rule().jump(new_hop.name());
  from_vms.rule().add(kIpNextHop, kNextHopsIpv4).accept();
  from_vms.rule().add(kIp6NextHop, kNextHopsIpv6).accept();
  from_vms.rule().drop();
}

// Returns the chain of what VMs send. `begun`: a chain for what they begin, if any.
NftChain& rule_forward(NftTable& table, const NetworkRules& rules, std::string_view begun = {}) {
  NftChain& forward = table.chain("forward", {.number = NF_INET_FORWARD, .priority = kFilter});
  NftChain& from_vms = table.chain("from_vms");
  const std::string_view bridge = rules.bridge;
  if (!begun.empty()) from_vms.rule().has_none(kCtStatus, IPS_CONFIRMED).jump(begun);
  forward.rule().is(kIifGroup, rules.links_group).go_to(from_vms.name());
  // What was bridged comes here as well where bridge-nf-call-iptables is 1.
  from_vms.rule().is(kIifName, bridge).is(kOifName, bridge).accept();
  if (rules.mode != Mode::kShared) {  // nothing is routed in or out
    forward.rule().is(kOifGroup, rules.links_group).drop();
    from_vms.rule().drop();
    return from_vms;
  }
  NftChain& to_vms = table.chain("to_vms");
  forward.rule().is(kOifGroup, rules.links_group).go_to(to_vms.name());
  guard_forwarding(table, forward, rules);
  from_vms.rule().is(kOifName, kOurDevices).drop();
  from_vms.rule().has_some(kCtState, kEstablished).accept();
  from_vms.rule().none_of(kL4Protocol, nat_protocols()).drop();
  to_vms.rule().is(kIifName, kOurDevices).drop();
  to_vms.rule().has_some(kCtState, kEstablished | kRelated).accept();
  to_vms.rule().has_some(kCtStatus, IPS_DST_NAT).accept();
  to_vms.rule().drop();
  return from_vms;
}

// The host's services, by broadcast too.
void rule_input(NftTable& table, const NetworkRules& rules, std::string_view begun) {
  NftChain& input = table.chain("input", {.number = NF_INET_LOCAL_IN, .priority = kFilter});
  input.rule().is_not(kIifGroup, rules.links_group).accept();
  input.rule().has_none(kCtStatus, IPS_CONFIRMED).jump(begun);
  // What an isolated VM says of itself its own table sees to.
  input.rule().is_not(kIifName, std::string_view(rules.bridge)).accept();
  input.rule().is_not(kIpSource, *rules.subnet).drop();
  input.rule().none_of(kIp6Source, ipv6_sources(rules.ipv6_prefix)).drop();
}

// iifgroup in postrouting (Linux 5.7) keeps the host's own packets to its gateway address as they
// are: those leave by lo and would be given another source.
void rule_masquerade(NftTable& table, const NetworkRules& rules) {
  NftChain& postrouting = table.chain(
      "postrouting", {.type = "nat", .number = NF_INET_POST_ROUTING, .priority = kSourceNat});
  NftRule& rule = postrouting.rule();
  rule.is(kIifGroup, rules.links_group).is_not(kOifName, kOurDevices);
  if (rules.bounds.nat_ports) rule.one_of(kL4Protocol, nat_protocols());
  rule.masquerade(rules.bounds.nat_ports);
}

void rule_routing(NftTable& table, const NetworkRules& rules) {
  const bool shared = rules.mode == Mode::kShared;
  table.set(sized(nft_set("macs", kNftEtherAddress, addresses_of(rules).macs), kMaxVms));
  const std::string_view begun = bound_connections(table, rules);
  NftChain& from_vms = rule_forward(table, rules, begun);
  if (shared) bound_next_hops(table, from_vms, rules);
  if (rules.subnet) rule_input(table, rules, begun);
  if (shared) rule_masquerade(table, rules);
}

}  // namespace

SharedBounds shared_bounds(NftPorts own, uint32_t max_tracked) {
  constexpr uint32_t kFirst = 1024;  // below are those of services
  constexpr uint32_t kLast = 65535;
  constexpr uint32_t kFewest = 1024;
  constexpr uint32_t kShare = 4;
  const uint32_t below = own.first > kFirst ? own.first - kFirst : 0;
  const uint32_t above = kLast - own.last;
  const uint32_t ports = std::max(below, above);
  SharedBounds bounds{.connections = std::min(kMaxConnections, max_tracked / kShare)};
  if (ports < kFewest) return bounds;
  bounds.connections = std::min(bounds.connections, ports / kShare);
  bounds.nat_ports = below >= above ? NftPorts{kFirst, static_cast<uint16_t>(own.first - 1)}
                                    : NftPorts{static_cast<uint16_t>(own.last + 1), kLast};
  return bounds;
}

bool is_guard_name(std::string_view table) { return table.ends_with(kGuardSuffix); }

Status check_uplinks(const GuardedForwarding& guarded) {
  size_t count = std::max(guarded.ipv4.size(), guarded.ipv6.size());
  if (count <= kMaxGuardedUplinks) return {};
  return fail(
      fmt::format("the host has {} uplinks, at most {} are supported", count, kMaxGuardedUplinks));
}

std::vector<NetworkTable> empty_network_tables(Mode mode, std::string_view bridge) {
  if (mode == Mode::kBridged) return {{{NftFamily::kBridge, fmt::format("vmnet-on-{}", bridge)}}};
  return {{{NftFamily::kBridge, bridge}},
          {{NftFamily::kInet, bridge}},
          {{NftFamily::kInet, fmt::format("{}{}", bridge, kGuardSuffix)}, true}};
}

std::vector<NetworkTable> network_tables(const NetworkRules& rules) {
  auto tables = empty_network_tables(rules.mode, rules.bridge);
  if (rules.mode == Mode::kBridged) {
    rule_ports(tables[0].table, rules, addresses_of(rules)).rule().clear_mark_bits(kAllMarks);
    return tables;
  }
  rule_bridge(tables[0].table, rules);
  rule_routing(tables[1].table, rules);
  NftTable& guard = tables[2].table;
  rule_forward(guard, rules);
  if (rules.mode == Mode::kShared) rule_masquerade(guard, rules);
  return tables;
}

}  // namespace vmnet
