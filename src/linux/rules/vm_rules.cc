#include "linux/rules/vm_rules.h"

#include <chrono>

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netfilter.h>

#include "linux/device/identity.h"
#include "wire/router_advert.h"

namespace vmnet {
namespace {

// IEEE 802.1D's sixteen link-local groups: spanning tree, pause, LACP, 802.1X, LLDP.
constexpr Mac kLinkLocalGroups{{0x01, 0x80, 0xc2, 0x00, 0x00, 0x00}};
constexpr Mac kLinkLocalGroupsMask{{0xff, 0xff, 0xff, 0xff, 0xff, 0xf0}};

constexpr uint32_t kHopByHop = 0;  // an IPv6 next header
constexpr Ipv4Subnet kLoopback{.address = {0x7f000000}, .prefix_length = 8};

// The bridge learns MACs up to a number for all its ports (create_bridge). A VM that used it up
// would have the frames for others, whose MAC is their own choice, sent to every port, its own too.
// A bridge of the user's mostly has no such number, and would learn until the kernel has no memory
// left. As long as the bridge remembers a MAC (its ageing time), it counts.
constexpr NftBoundedSet kVmSenders{"vm_senders", kNftEtherAddress, 64, std::chrono::minutes(5)};

// The host remembers its neighbours in one table for all networks, a thousand and full: whoever
// speaks from many addresses, or has the gateway look for many, could fill it, and the host would
// reach nobody new. So a VM has so many at a time in what reaches the host; frames for others pass.
constexpr NftBoundedSet kVmIpv4{"vm_ipv4", kNftIpv4Address, 64, std::chrono::minutes(1)};
constexpr NftBoundedSet kVmIpv6{"vm_ipv6", kNftIpv6Address, 64, std::chrono::minutes(1)};
constexpr int kSmallSubnet = 24;  // has few addresses that a packet could make the host look for

// What waits on the host for the rest of its datagram waits half a minute (IPv4) or a whole one, in
// memory that all of the host's datagrams share (4 MiB a protocol: ipfrag_high_thresh). Once that
// is full the host puts nothing together for anybody. So a VM has as much as takes a third of it:
// this is beyond what it sends in datagrams of 8000 bytes once a second.
constexpr NftLimit kFragments{.rate = 8, .burst = 256};
constexpr NftLimit kFragmentBytes{.rate = 16 << 10, .burst = 512 << 10, .bytes = true};

// Anything of a datagram that is not whole.
void bound_fragments(NftTable& table, NftChain& from_vm) {
  constexpr uint32_t kMoreOrOffset = 0x3fff;
  constexpr uint32_t kReserved = 255;  // any that has the header
  NftChain& fragments = table.chain("fragments");
  from_vm.rule().has_some(kIpFragment, kMoreOrOffset).jump(fragments.name());
  from_vm.rule().is_not(kFragmentNextHeader, kReserved).jump(fragments.name());
  fragments.rule().over(kFragments).drop();
  fragments.rule().over(kFragmentBytes).drop();
}

// Whose MAC it is the network's rules know; how many there are is bounded here.
void rule_other_macs(NftTable& table, NftChain& chain, const Mac& vm_mac) {
  table.bounded_set(kVmSenders);
  chain.rule()
      .is_not(kEtherSource, vm_mac)
      .set_mark_bits(kOtherMacMark)
      .update(kEtherSource, kVmSenders);
  chain.rule().is_not(kEtherSource, vm_mac).not_in(kEtherSource, kVmSenders.name).drop();
}

// IP whose header says another version, or a length that cannot be, carries nothing for nftables:
// no rule for UDP or ICMPv6 sees it. A receiver's kernel drops it, but not before its packet
// sockets, where DHCP clients listen that look less closely (ISC dhclient 4.4). So only what has a
// protocol goes on.
NftRule& readable(NftRule& rule) {
  constexpr uint32_t kReserved = 255;  // no packet's (IANA)
  return rule.is_not(kL4Protocol, kReserved);
}

// What is left: IP and ARP that nothing has accepted, and what would carry what the rules for IP
// and ARP do not see: SNAP (some systems take IP in it), and a second VLAN tag. The kernel itself
// takes one tag off. A receiver that was not told of a VLAN drops its frames, but strips priority
// tags (VLAN 0): so two tags pass where both are of VLANs.
void drop_the_rest(NftChain& chain) {
  constexpr uint32_t kLlc = ETH_P_802_2;  // eth_type_trans(): a length instead of an EtherType
  constexpr NftField kLlcHeader = nft_network(0, 0, kNftInetService);
  constexpr uint32_t kSnap = 0xaaaa;
  constexpr uint32_t kVlan = 0x0fff;
  const std::vector<NftValue> tags{uint32_t{ETH_P_8021Q}, uint32_t{ETH_P_8021AD}};
  chain.rule()
      .one_of(kProtocol, tags)
      .has_some(kVlanTag, kVlan)
      .has_some(kInnerVlanTag, kVlan)
      .none_of(kInnerVlanType, tags)
      .accept();
  chain.rule()
      .one_of(kProtocol, {uint32_t{ETH_P_IP}, uint32_t{ETH_P_IPV6}, uint32_t{ETH_P_ARP},
                          uint32_t{ETH_P_8021Q}, uint32_t{ETH_P_8021AD}})
      .drop();
  chain.rule().is(kProtocol, kLlc).is(kLlcHeader, kSnap).drop();
}

// DHCP and router advertisements are answered before the TAP, so none of it belongs behind it. A
// client takes an offer from any port, so its own ports are closed as well as the server's.
void drop_dhcp(NftChain& chain) {
  chain.rule().one_of(kUdpSource, {67U, 547U}).drop();
  chain.rule().one_of(kUdpDestination, {67U, 68U, 546U}).drop();
}

void drop_rogue_neighbour_discovery(NftChain& chain) {
  chain.rule().one_of(kIcmpv6Type, {kRouterSolicitation, kRouterAdvertisement, kRedirect}).drop();
  // Hop-by-hop, routing, fragment, destination options: behind a fragment header they hide what
  // the packet is until it is whole again (RFC 7112).
  chain.rule().one_of(kFragmentNextHeader, {0U, 43U, 44U, 60U}).drop();
  // Nothing sends it behind another header, where the rules would not find its target.
  chain.rule()
      .one_of(kIcmpv6Type, {kNeighborSolicitation, kNeighborAdvertisement})
      .is_not(kIp6NextHeader, kProtocolIcmpv6)
      .drop();
}

// What the host does not take: for another's MAC, and not for many.
void accept_for_others(NftRule& rule, const Mac& gateway) {
  rule.is_not(kEtherDestination, gateway).is(kPacketType, uint32_t{PACKET_OTHERHOST}).accept();
}

// Of what the host takes an address is bounded by the set: where it comes from and, in the link's
// own networks, where it is to go.
void bound_addresses(NftChain& chain, const NftField& source, const NftField& target,
                     const std::vector<NftValue>& neighbours, const NftBoundedSet& set) {
  readable(chain.rule()).none_of(target, neighbours).update(source, set).accept();
  readable(chain.rule()).update(target, set).update(source, set).accept();
}

// What is wrong with a packet the host says before it asks the rules for IP: too many hops, no
// route, an option that it does not know, this last one to a group too. The packet's sender, to
// whom it says so with the packet in it, must not be a VM of another network.
void rule_ipv4(NftChain& chain, const VmRules& rules) {
  chain.rule().is(kIpDestination, kLoopback).drop();
  if (rules.isolated) {
    readable(chain.rule()).is(kIpSource, *rules.vm_ipv4).accept();
    return;
  }
  if (!rules.subnet) {
    readable(chain.rule().ip()).accept();
    return;
  }
  // To the subnet's broadcast address Linux answers everybody (without rp_filter, seen on 6.18).
  chain.rule().one_of(kIpSource, {*rules.gateway_ipv4, rules.subnet->broadcast()}).drop();
  chain.rule().is_not(kIpSource, *rules.subnet).is(kEtherDestination, rules.gateway_mac).drop();
  chain.rule().is_not(kIpSource, *rules.vm_ipv4).set_mark_bits(kOtherAddressMark);
  if (rules.subnet->prefix_length >= kSmallSubnet) {
    readable(chain.rule().ip()).accept();
    return;
  }
  accept_for_others(readable(chain.rule().ip()), rules.gateway_mac);
  bound_addresses(chain, kIpSource, kIpDestination, {*rules.subnet}, kVmIpv4);
}

std::vector<NftValue> own_ipv6(const VmRules& rules) {
  std::vector<NftValue> own{address_from_mac(kLinkLocalPrefix, rules.vm_mac)};
  if (rules.ipv6_prefix) own.emplace_back(address_from_mac(*rules.ipv6_prefix, rules.vm_mac));
  return own;
}

void drop_foreign_ipv6(NftChain& chain, const VmRules& rules) {
  if (!rules.subnet) return;
  const auto sources = ipv6_sources(rules.ipv6_prefix);
  if (rules.isolated) {
    chain.rule().none_of(kIp6Source, sources).drop();
    return;
  }
  chain.rule().none_of(kIp6Source, sources).is(kEtherDestination, rules.gateway_mac).drop();
  chain.rule().is(kIp6NextHeader, kHopByHop).none_of(kIp6Source, sources).drop();
}

void rule_ipv6(NftTable& table, NftChain& chain, const VmRules& rules) {
  if (rules.ipv6_prefix) {
    const std::vector<NftValue> gateway{kGatewayLinkLocal, gateway_of(*rules.ipv6_prefix)};
    chain.rule().one_of(kIp6Source, gateway).drop();
    chain.rule().is(kIcmpv6Type, kNeighborAdvertisement).one_of(kNeighborTarget, gateway).drop();
  }
  drop_rogue_neighbour_discovery(chain);
  drop_foreign_ipv6(chain, rules);
  if (!rules.isolated) {
    const auto own = own_ipv6(rules);
    chain.rule().none_of(kIp6Source, own).set_mark_bits(kOtherAddressMark);
    chain.rule()
        .one_of(kIcmpv6Type, {kNeighborSolicitation, kNeighborAdvertisement})
        .none_of(kNeighborTarget, own)
        .set_mark_bits(kOtherNamedMark);
  }
  if (!rules.ipv6_prefix) {
    readable(chain.rule().ip6()).accept();
    return;
  }
  table.bounded_set(kVmIpv6);
  if (!rules.isolated) accept_for_others(readable(chain.rule().ip6()), rules.gateway_mac);
  const Ipv6Prefix link_local{.address = kLinkLocalPrefix};
  const Ipv6Prefix own{.address = *rules.ipv6_prefix};
  bound_addresses(chain, kIp6Source, kIp6Destination, {link_local, own}, kVmIpv6);
}

// Who asks for the host by ARP is remembered, of whatever subnet: in a small one too.
void rule_arp(NftTable& table, NftChain& chain, const VmRules& rules) {
  if (rules.isolated) {
    // Or none, where it asks whether its own is free (RFC 5227).
    chain.rule().one_of(kArpSenderIp, {Ipv4{}, *rules.vm_ipv4}).accept();
    return;
  }
  chain.rule().is_not(kArpSenderMac, rules.vm_mac).set_mark_bits(kOtherNamedMark);
  if (!rules.subnet) {
    chain.rule().is(kProtocol, uint32_t{ETH_P_ARP}).accept();
    return;
  }
  table.bounded_set(kVmIpv4);
  chain.rule().is(kArpSenderIp, *rules.gateway_ipv4).drop();
  chain.rule().is_not(kArpSenderIp, *rules.vm_ipv4).set_mark_bits(kOtherAddressMark);
  chain.rule().update(kArpSenderIp, kVmIpv4).accept();
}

// What is IPv4 meets no rule of IPv6.
void rule_packets(NftTable& table, NftChain& from_vm, const VmRules& rules) {
  drop_dhcp(from_vm);
  rule_ipv4(from_vm, rules);
  rule_ipv6(table, from_vm, rules);
  rule_arp(table, from_vm, rules);
  drop_the_rest(from_vm);
}

}  // namespace

std::vector<NftValue> ipv6_sources(const std::optional<Ipv6>& prefix) {
  std::vector<NftValue> sources{Ipv6Prefix{.address = kLinkLocalPrefix, .length = 10},
                                Ipv6Prefix{.address = {}, .length = 128}};
  if (prefix) sources.emplace_back(Ipv6Prefix{.address = *prefix});
  return sources;
}

NftTable vm_table(const VmRules& rules) {
  NftTable table(NftFamily::kNetdev, rules.device);
  NftChain& from_vm =
      table.chain("from_vm", {.number = NF_NETDEV_INGRESS, .priority = 0, .device = rules.device});
  const bool bridged = rules.mode == Mode::kBridged;
  if (rules.isolated && !bridged && !rules.subnet) {
    from_vm.rule().drop();  // nobody is there: neither another VM nor the host
    return table;
  }
  // LLDP, spanning tree and their like are between a bridge and its switch, never a VM's. The
  // bridge also learns the sender of such a frame without asking the bridge family's prerouting
  // hook (br_handle_frame, seen on 6.18), so they would move another VM's MAC.
  from_vm.rule().is_masked(kEtherDestination, kLinkLocalGroupsMask, kLinkLocalGroups).drop();
  if (bridged && rules.isolated) return table;  // a macvtap, which is on no bridge
  bound_fragments(table, from_vm);
  if (bridged) {
    rule_other_macs(table, from_vm, rules.vm_mac);
    return table;
  }
  if (!rules.isolated) {
    from_vm.rule().is(kEtherSource, rules.gateway_mac).drop();
    // A bridge hands the host what is sent to the MAC of the port it came by, as if it were for the
    // bridge's own: a second way in, which no rule that asks for the bridge's MAC would see. What
    // is sent to another port's MAC the host drops as not its own (PACKET_OTHERHOST).
    from_vm.rule().is(kPacketType, uint32_t{PACKET_HOST}).drop();
    // Without an address there the host takes no part; what is for many the network's rules drop.
    if (!rules.subnet) from_vm.rule().is(kEtherDestination, rules.gateway_mac).drop();
    rule_other_macs(table, from_vm, rules.vm_mac);
  }
  rule_packets(table, from_vm, rules);
  return table;
}

}  // namespace vmnet
