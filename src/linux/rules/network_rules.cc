#include "linux/rules/network_rules.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter_bridge.h>

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
// would fill it. As many as a /24 has.
constexpr uint32_t kMaxNextHops = 256;
constexpr std::chrono::minutes kNextHopTimeout{1};
constexpr NftBoundedSet kNextHopsIpv4{"next_hops_ipv4", kNftIpv4Address, kMaxNextHops,
                                      kNextHopTimeout};
constexpr NftBoundedSet kNextHopsIpv6{"next_hops_ipv6", kNftIpv6Address, kMaxNextHops,
                                      kNextHopTimeout};

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

void bound_next_hops(NftTable& table, NftChain& from_vms) {
  table.bounded_set(kNextHopsIpv4);
  table.bounded_set(kNextHopsIpv6);
  from_vms.rule().has_some(kCtState, kEstablished).accept();
  from_vms.rule().update(kIpNextHop, kNextHopsIpv4).accept();
  from_vms.rule().update(kIp6NextHop, kNextHopsIpv6).accept();
  from_vms.rule().drop();
}

// Returns the chain of what VMs send.
NftChain& rule_forward(NftTable& table, const NetworkRules& rules) {
  NftChain& forward = table.chain("forward", {.number = NF_INET_FORWARD, .priority = kFilter});
  NftChain& from_vms = table.chain("from_vms");
  const std::string_view bridge = rules.bridge;
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
  to_vms.rule().is(kIifName, kOurDevices).drop();
  to_vms.rule().has_some(kCtState, kEstablished | kRelated).accept();
  to_vms.rule().has_some(kCtStatus, IPS_DST_NAT).accept();
  to_vms.rule().drop();
  return from_vms;
}

// The host's services, by broadcast too.
void rule_input(NftTable& table, const NetworkRules& rules) {
  NftChain& input = table.chain("input", {.number = NF_INET_LOCAL_IN, .priority = kFilter});
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
  postrouting.rule().is(kIifGroup, rules.links_group).is_not(kOifName, kOurDevices).masquerade();
}

void rule_routing(NftTable& table, const NetworkRules& rules) {
  const bool shared = rules.mode == Mode::kShared;
  NftChain& from_vms = rule_forward(table, rules);
  if (shared) bound_next_hops(table, from_vms);
  if (rules.subnet) rule_input(table, rules);
  if (shared) rule_masquerade(table, rules);
}

}  // namespace

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
