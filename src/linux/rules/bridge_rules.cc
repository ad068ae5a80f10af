#include "linux/rules/bridge_rules.h"

#include <chrono>
#include <utility>

#include <linux/netfilter.h>
#include <linux/netfilter_bridge.h>

#include "linux/device/identity.h"
#include "linux/rules/own_addresses.h"

namespace vmnet {
namespace {

// Before br_netfilter (0), NAT (-300) and filters (-200) of the bridge family. A claim comes after
// all other VMs' rules had their say.
constexpr int32_t kBeforeOthers = -400;
constexpr int32_t kClaimPriority = kBeforeOthers + 1;
constexpr int32_t kFilterPriority = -200;  // linux/netfilter_bridge.h, NF_BR_PRI_FILTER_BRIDGED

constexpr uint8_t kNeighborSolicit = 135;  // RFC 4861
constexpr uint8_t kNeighborAdvert = 136;

constexpr Ipv6Prefix kUnspecified{.address = {}, .length = 128};
constexpr Ipv6Prefix kLinkLocal{.address = {{0xfe, 0x80}}, .length = 64};

// Where a VM speaks from, beside what is its own: the host sends it what is for these. The ingress
// rules let in 64 new ones in minutes.
constexpr const char* kPortMacsSet = "port_macs";
constexpr const char* kPortIpv6Set = "port_ipv6";
constexpr uint32_t kMaxOfPort = 1024;
constexpr std::chrono::hours kPortMacTimeout{1};

// First come, first served, as in RFC 6620, for as long as the address is used. Few IPv4 addresses,
// so that no VM keeps a small subnet from others that come later.
constexpr const char* kClaimedIpv4Set = "claimed_ipv4";
constexpr const char* kClaimedIpv6Set = "claimed_ipv6";
constexpr const char* kClaimedTargetsSet = "claimed_targets";  // the same by neighbour discovery
constexpr uint32_t kMaxClaimedIpv4 = 16;
constexpr uint32_t kMaxClaimedIpv6 = 64;
constexpr std::chrono::hours kClaimTimeout{24 * 7};

// Every frame of every port of the host comes by once for each helper, so a rule asks first what is
// nearly always false, and for the port last. The VM's name is its own among the VMs of its bridge:
// not on other bridges of the host, where machines may have the MAC that this VM has taken, nor on
// a bridge of the user's against the user's own machines.
void drop_from_others(NftRule& rule, const RuleConfig& config) {
  rule.iifgroup(config.port_group).iifname_not(config.tap).drop();
}

NftRule& advert(NftChain& chain) { return chain.rule().icmpv6_type(kNeighborAdvert); }

// A VM that still asks whether it may have its address (RFC 4862).
NftRule& tentative(NftChain& chain) {
  return chain.rule().icmpv6_type(kNeighborSolicit).ip6_saddr(kUnspecified);
}

NftSet claim_set(const char* name, NftType type, uint32_t max_size) {
  return {.name = name, .type = type, .max_size = max_size, .timeout = kClaimTimeout};
}

// The gateway sends its answer to whoever has the address that the question came from. So between
// two VMs one of which is isolated an address stays the one's that had it first; between others it
// may move, as that of a service does that is taken over.
void drop_claimed_by_vm(NftTable& table, NftChain& chain, const RuleConfig& config) {
  if (!config.isolation) chain.rule().mark_lacks(kIsolatedClaimMark).accept();
  if (config.subnet) {
    table.set(claim_set(kClaimedIpv4Set, kNftIpv4Address, kMaxClaimedIpv4));
    drop_from_others(chain.rule().in(kIpSource, kClaimedIpv4Set), config);
    drop_from_others(chain.rule().in(kArpSenderIp, kClaimedIpv4Set), config);
  }
  if (config.ipv6_prefix) {
    table.set(claim_set(kClaimedIpv6Set, kNftIpv6Address, kMaxClaimedIpv6));
    NftSet targets = claim_set(kClaimedTargetsSet, kNftRaw128, kMaxClaimedIpv6);
    targets.raw_field = kNeighborTarget;
    table.set(std::move(targets));
    drop_from_others(chain.rule().in(kIp6Source, kClaimedIpv6Set), config);
    drop_from_others(advert(chain).in(kNeighborTarget, kClaimedTargetsSet), config);
    drop_from_others(tentative(chain).in(kNeighborTarget, kClaimedTargetsSet), config);
  }
}

// What other ports may not say.
void rule_others(NftTable& table, NftChain& others, const RuleConfig& config) {
  if (config.vm_ipv4) {
    drop_from_others(others.rule().ip_saddr(*config.vm_ipv4), config);
    drop_from_others(others.rule().arp_saddr_ip(*config.vm_ipv4), config);
  }
  // Another VM may have spoken from this MAC before (kPortMacsSet), while it was nobody's.
  drop_from_others(others.rule().in(kArpSenderMac, kVmMacsSet), config);
  table.set(own_ipv6_set(config, kMaxVmMacs));
  table.set(own_targets_set(config, kMaxVmMacs));
  drop_from_others(others.rule().in(kIp6Source, kOwnIpv6Set), config);
  NftChain& claims = table.chain("claims_of_others");
  others.rule().mark_has(kClaimMark).go_to(claims.name());
  drop_from_others(advert(claims).in(kNeighborTarget, kOwnTargetsSet), config);
  // It would give the address up.
  drop_from_others(tentative(claims).in(kNeighborTarget, kOwnTargetsSet), config);
  drop_claimed_by_vm(table, claims, config);
}

// Where an address is ARP says, not the frame that carries it. A VM that named another's MAC there,
// one that the bridge does not know or everybody's would have the host send to others what is meant
// for it. (For IPv6 see rule_to_vm.)
void drop_foreign_macs(NftChain& chain) {
  chain.rule().not_in(kArpSenderMac, kVmMacsSet).not_in(kArpSenderMac, kPortMacsSet).drop();
}

// The address that follows from a MAC made for some VM is that VM's alone, also while it is away.
void accept_addresses_of_vm_macs(NftChain& chain) {
  const Mac first{{kVmMacPrefix[0], kVmMacPrefix[1]}};
  const Mac all{{0xff ^ 0x02, 0xff}};  // address_from_mac() flips a bit
  const Ipv6 of_vm_macs = address_from_mac({}, first);
  const Ipv6 mask = address_from_mac({}, all);
  const NftBytes value(of_vm_macs.bytes.begin(), of_vm_macs.bytes.end());
  const NftBytes bits(mask.bytes.begin(), mask.bytes.end());
  chain.rule().is_masked(kIp6Source, bits, value).accept();
  advert(chain).is_masked(kNeighborTarget, bits, value).accept();
  tentative(chain).is_masked(kNeighborTarget, bits, value).accept();
}

// What the VM itself says, once nobody else's rules object.
void rule_claims(NftTable& table, const RuleConfig& config) {
  NftChain& claims =
      table.chain("claims", {.number = NF_BR_PRE_ROUTING, .priority = kClaimPriority});
  NftChain& claim = table.chain("claim");
  claims.rule().iifname_not(config.tap).accept();
  claims.rule().ether_saddr_not(config.vm_mac).update(kEtherSource, kPortMacsSet);
  drop_foreign_macs(claims);
  claims.rule().mark_has(kClaimMark).go_to(claim.name());
  claim.rule().clear_mark_bits(kClaimMark | kIsolatedClaimMark);
  if (config.subnet) {
    claim.rule().ip_saddr(*config.subnet).update(kIpSource, kClaimedIpv4Set);
    claim.rule().arp_saddr_ip(*config.subnet).update(kArpSenderIp, kClaimedIpv4Set);
  }
  if (!config.ipv6_prefix) return;
  claim.rule().update(kIp6Source, kPortIpv6Set);
  accept_addresses_of_vm_macs(claim);
  for (const Ipv6Prefix& prefix : {Ipv6Prefix{.address = *config.ipv6_prefix}, kLinkLocal}) {
    claim.rule().ip6_saddr(prefix).update(kIp6Source, kClaimedIpv6Set);
  }
  advert(claim).update(kNeighborTarget, kClaimedTargetsSet);
  tentative(claim).update(kNeighborTarget, kClaimedTargetsSet);
}

// What the host sends to a MAC that the bridge has forgotten goes to every port, what it sends to a
// MAC that neighbour discovery named may go to another VM's. So a VM gets what is for a MAC and an
// IPv6 address from which it speaks, or for a group.
void rule_to_vm(NftTable& table, const RuleConfig& config) {
  constexpr Mac kGroupBit{{0x01}};
  table.set({.name = kPortMacsSet,
             .type = kNftEtherAddress,
             .max_size = kMaxOfPort,
             .timeout = kPortMacTimeout});
  NftChain& to_vm = table.chain("to_vm", {.number = NF_BR_LOCAL_OUT, .priority = kFilterPriority});
  to_vm.rule()
      .oifname(config.tap)
      .ether_daddr_masked(kGroupBit, {})
      .not_in(kEtherDestination, kVmMacsSet)
      .not_in(kEtherDestination, kPortMacsSet)
      .drop();
  if (!config.ipv6_prefix) return;
  table.set({.name = kPortIpv6Set,
             .type = kNftIpv6Address,
             .max_size = kMaxOfPort,
             .timeout = kClaimTimeout});
  for (const Ipv6Prefix& prefix : {Ipv6Prefix{.address = *config.ipv6_prefix}, kLinkLocal}) {
    to_vm.rule()
        .oifname(config.tap)
        .ip6_daddr(prefix)
        .not_in(kIp6Destination, kOwnIpv6Set)
        .not_in(kIp6Destination, kPortIpv6Set)
        .drop();
  }
}

}  // namespace

NftTable bridge_table(const RuleConfig& config) {
  NftTable table(NftFamily::kBridge, config.tap);
  table.set({.name = kVmMacsSet,
             .type = kNftEtherAddress,
             .max_size = kMaxVmMacs,
             .elements = {element(config.vm_mac)}});
  NftChain& others =
      table.chain("others", {.number = NF_BR_PRE_ROUTING, .priority = kBeforeOthers});
  drop_from_others(others.rule().in(kEtherSource, kVmMacsSet), config);
  if (config.mode == Mode::kBridged) return table;
  rule_others(table, others, config);
  rule_claims(table, config);
  rule_to_vm(table, config);
  if (config.isolation) {
    NftChain& isolation =
        table.chain("isolation", {.number = NF_BR_FORWARD, .priority = kFilterPriority});
    isolation.rule().iifname(config.tap).drop();
    isolation.rule().oifname(config.tap).drop();
  }
  if (!config.subnet) {
    // The host has no address here, so it takes no part: otherwise a VM could reach the host's
    // other addresses by the bridge's MAC, and ARP would tell it them.
    NftChain& to_host =
        table.chain("to_host", {.number = NF_BR_LOCAL_IN, .priority = kFilterPriority});
    to_host.rule().iifname(config.tap).drop();
  }
  return table;
}

}  // namespace vmnet
