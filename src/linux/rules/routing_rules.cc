#include "linux/rules/routing_rules.h"

#include <array>
#include <chrono>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>

#include "linux/rules/own_addresses.h"

namespace vmnet {
namespace {

// All our devices: bridges and TAPs. A network reaches the world but no other network.
constexpr const char* kOurDevices = "vmnet-*";

constexpr Ipv4Subnet kLoopback{.address = {0x7f000000}, .prefix_length = 8};
constexpr int32_t kFilterPriority = 0;                            // NF_IP_PRI_FILTER
constexpr int32_t kSourceNatPriority = 100;                       // NF_IP_PRI_NAT_SRC
constexpr uint32_t kEstablished = 1U << (IP_CT_ESTABLISHED + 1);  // NF_CT_STATE_BIT
constexpr uint32_t kRelated = 1U << (IP_CT_RELATED + 1);

Ipv6Prefix prefix_of(const RuleConfig& config) {
  return {.address = *config.ipv6_prefix, .length = 64};
}

void drop_foreign_ipv4(NftChain& chain, const RuleConfig& config) {
  if (config.subnet) chain.rule().ip_saddr_not(*config.subnet).drop();
  chain.rule().ip_daddr(kLoopback).drop();
}

// Between VMs of one network. What was bridged comes here as well where bridge-nf-call-iptables is
// 1, so with isolation only what a VM sent to the gateway's MAC is its detour to another VM.
void rule_neighbours(NftChain& from_network, const RuleConfig& config) {
  if (config.isolation) {
    from_network.rule().oifname(config.bridge).ether_daddr(config.gateway_mac).drop();
  }
  from_network.rule().oifname(config.bridge).accept();
}

// The host remembers whom it forwards to: the uplink's router, and every machine of the uplink's
// own subnet that a VM speaks to. In one table for all networks, so a VM that tried a whole /64
// would fill it. As many as a /24 has.
constexpr const char* kNextHopsIpv4Set = "next_hops_ipv4";
constexpr const char* kNextHopsIpv6Set = "next_hops_ipv6";
constexpr uint32_t kMaxNextHops = 256;
constexpr std::chrono::minutes kNextHopTimeout{1};

NftSet next_hop_set(const char* name, NftType type) {
  return {.name = name, .type = type, .max_size = kMaxNextHops, .timeout = kNextHopTimeout};
}

void bound_next_hops(NftTable& table, NftChain& from_network) {
  table.set(next_hop_set(kNextHopsIpv4Set, kNftIpv4Address));
  table.set(next_hop_set(kNextHopsIpv6Set, kNftIpv6Address));
  from_network.rule().ct_state(kEstablished).accept();
  from_network.rule().update_ip_nexthop(kNextHopsIpv4Set).accept();
  from_network.rule().update_ip6_nexthop(kNextHopsIpv6Set).accept();
  from_network.rule().drop();
}

NftSet interface_set(const char* name, const std::vector<std::string>& interfaces) {
  NftSet set{.name = name, .type = kNftInterfaceName};
  for (const auto& interface : interfaces) set.elements.push_back(element(interface));
  return set;
}

void add_shared_forwarding(NftTable& table, const RuleConfig& config) {
  table.set(interface_set(kGuardedIpv4Set, config.guarded.ipv4));
  table.set(interface_set(kGuardedIpv6Set, config.guarded.ipv6));
  if (config.one_ipv6_switch) {
    NftSet families{.name = kGuardedFamiliesSet, .type = kNftNetfilterProtocol};
    if (config.guarded.all_ipv6) families.elements.push_back(element_ipv6());
    table.set(std::move(families));
  }

  NftChain& forward =
      table.chain("forward", {.number = NF_INET_FORWARD, .priority = kFilterPriority});
  NftChain& from_network = table.chain("from_network");
  NftChain& to_network = table.chain("to_network");
  forward.rule().iifname(config.bridge).go_to(from_network.name());
  forward.rule().oifname(config.bridge).go_to(to_network.name());
  // Forwarding was switched on for our VMs: the host is a router for nobody else.
  forward.rule().meta_nfproto_ipv4().iifname_in(kGuardedIpv4Set).oifname_not(kOurDevices).drop();
  forward.rule().meta_nfproto_ipv6().iifname_in(kGuardedIpv6Set).oifname_not(kOurDevices).drop();
  if (config.one_ipv6_switch) {
    forward.rule()
        .meta_nfproto_in(kGuardedFamiliesSet)
        .iifname_not(kOurDevices)
        .oifname_not(kOurDevices)
        .drop();
  }

  rule_neighbours(from_network, config);
  from_network.rule().oifname(kOurDevices).drop();
  drop_foreign_ipv4(from_network, config);
  if (config.ipv6_prefix) {
    from_network.rule().ip6_saddr_not(prefix_of(config)).drop();
  } else {
    from_network.rule().meta_nfproto_ipv6().drop();
  }
  bound_next_hops(table, from_network);

  to_network.rule().iifname(kOurDevices).drop();
  to_network.rule().ct_state(kEstablished | kRelated).accept();
  to_network.rule().ct_status(IPS_DST_NAT).accept();
  to_network.rule().drop();
}

// Host mode and --network-id: nothing is routed in or out.
void add_host_forwarding(NftTable& table, const RuleConfig& config) {
  NftChain& forward =
      table.chain("forward", {.number = NF_INET_FORWARD, .priority = kFilterPriority});
  NftChain& from_network = table.chain("from_network");
  forward.rule().iifname(config.bridge).go_to(from_network.name());
  forward.rule().oifname(config.bridge).drop();
  rule_neighbours(from_network, config);
  from_network.rule().drop();
}

void add_input(NftTable& table, const RuleConfig& config) {
  NftChain& input = table.chain("input", {.number = NF_INET_LOCAL_IN, .priority = kFilterPriority});
  input.rule().iifname_not(config.bridge).accept();
  drop_foreign_ipv4(input, config);
  input.rule().ip6_saddr_not_in(ipv6_sources(config)).drop();
}

// iifname in postrouting (Linux 5.7) keeps the host's own packets to its gateway address as they
// are: those leave by lo and would be given another source.
void add_masquerade(NftTable& table, const RuleConfig& config) {
  NftChain& postrouting =
      table.chain("postrouting",
                  {.type = "nat", .number = NF_INET_POST_ROUTING, .priority = kSourceNatPriority});
  if (config.subnet) {
    postrouting.rule()
        .iifname(config.bridge)
        .oifname_not(kOurDevices)
        .ip_saddr(*config.subnet)
        .masquerade();
  }
  if (config.ipv6_prefix) {
    postrouting.rule()
        .iifname(config.bridge)
        .oifname_not(kOurDevices)
        .ip6_saddr(prefix_of(config))
        .masquerade();
  }
}

}  // namespace

NftTable routing_table(const RuleConfig& config) {
  NftTable table(NftFamily::kInet, config.tap);
  if (config.mode == Mode::kShared) {
    add_shared_forwarding(table, config);
  } else {
    add_host_forwarding(table, config);
  }
  if (config.subnet) add_input(table, config);
  if (config.mode == Mode::kShared) add_masquerade(table, config);
  return table;
}

}  // namespace vmnet
