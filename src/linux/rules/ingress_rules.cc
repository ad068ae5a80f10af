#include "linux/rules/ingress_rules.h"

#include <array>
#include <chrono>

#include <linux/if_ether.h>
#include <linux/netfilter.h>

#include "linux/nft/values.h"
#include "linux/rules/own_addresses.h"

namespace vmnet {
namespace {

// IEEE 802.1D's sixteen link-local groups: spanning tree, pause, LACP, 802.1X, LLDP.
constexpr Mac kLinkLocalGroups{{0x01, 0x80, 0xc2, 0x00, 0x00, 0x00}};
constexpr Mac kLinkLocalGroupsMask{{0xff, 0xff, 0xff, 0xff, 0xff, 0xf0}};

// eth_type_trans(): a length instead of an EtherType, so an LLC header follows.
constexpr uint16_t kLlc = ETH_P_802_2;

// ICMPv6 types (RFC 4861).
constexpr uint8_t kRouterSolicit = 133;
constexpr uint8_t kRouterAdvert = 134;
constexpr uint8_t kNeighborSolicit = 135;
constexpr uint8_t kNeighborAdvert = 136;
constexpr uint8_t kRedirect = 137;
constexpr uint8_t kIcmpv6 = 58;
constexpr uint8_t kHopByHop = 0;

// LLDP, spanning tree and their like are between a bridge and its switch, never a VM's. The bridge
// also learns the sender of such a frame without asking the bridge family's prerouting hook
// (br_handle_frame, seen on 6.18), so they would move another VM's MAC.
void drop_link_local_groups(NftChain& chain) {
  chain.rule().ether_daddr_masked(kLinkLocalGroupsMask, kLinkLocalGroups).drop();
}

// A bridge hands the host what is sent to the MAC of the port it came by, as if it were for the
// bridge's own: a second way in, which no rule that asks for the bridge's MAC would see. What is
// sent to another port's MAC the host drops as not its own (PACKET_OTHERHOST).
void drop_what_is_for_the_port(NftChain& chain) { chain.rule().meta_pkttype_host().drop(); }

// The bridge learns MACs up to a number for all its ports (create_bridge). A VM that used it up
// would have the frames for others, whose MAC is their own choice, sent to every port, its own too.
// As long as the bridge remembers a MAC (its ageing time), it counts.
constexpr uint32_t kMaxVmSenders = 64;
constexpr std::chrono::minutes kVmSenderTimeout{5};
constexpr const char* kVmSendersSet = "vm_senders";

void bound_senders(NftTable& table, NftChain& from_vm, const Mac& vm_mac, const NftChain& next) {
  table.set({.name = kVmSendersSet,
             .type = kNftEtherAddress,
             .max_size = kMaxVmSenders,
             .timeout = kVmSenderTimeout});
  from_vm.rule().ether_saddr(vm_mac).go_to(next.name());
  from_vm.rule().update(kEtherSource, kVmSendersSet).go_to(next.name());
  from_vm.rule().drop();
}

// IP whose header says another version, or a length that cannot be, carries nothing for nftables:
// no rule for UDP or ICMPv6 sees it. A receiver's kernel drops it, but not before its packet
// sockets, where DHCP clients listen that look less closely (ISC dhclient 4.4). So all that has a
// protocol goes to its rules, and the rest no further.
void go_on_where_readable(NftChain& chain, uint16_t ether_type, const NftChain& next) {
  constexpr uint8_t kReserved = 255;  // no packet's (IANA)
  chain.rule().meta_protocol(ether_type).meta_l4proto_not(kReserved).go_to(next.name());
}

void drop_unreadable_packets(NftChain& chain) {
  static constexpr std::array<uint16_t, 2> kIpTypes{ETH_P_IP, ETH_P_IPV6};
  chain.rule().meta_protocol_in(kIpTypes).drop();
}

// A second VLAN tag and SNAP (some systems take IP in it) would carry what the rules for IP and ARP
// do not see. The kernel itself takes one tag off. A receiver that was not told of a VLAN drops its
// frames, but strips priority tags (VLAN 0): so two tags pass where both are of VLANs.
void drop_wrapped_packets(NftChain& chain) {
  static constexpr std::array<uint16_t, 2> kVlanTypes{ETH_P_8021Q, ETH_P_8021AD};
  const NftBytes vlan_mask{0x0f, 0xff};
  for (const NftField& tag : {kVlanTag, kInnerVlanTag}) {
    chain.rule().meta_protocol_in(kVlanTypes).is_masked(tag, vlan_mask, {0, 0}).drop();
  }
  for (uint16_t type : kVlanTypes) {
    chain.rule().meta_protocol_in(kVlanTypes).is(kInnerVlanType, big_endian(type)).drop();
  }
  chain.rule().meta_protocol(kLlc).network_bytes(0, {0xaa, 0xaa}).drop();
}

// DHCP and router advertisements are answered before the TAP, so none of it belongs behind it. A
// client takes an offer from any port, so its own ports are closed as well as the server's.
void drop_dhcp(NftChain& chain) {
  static constexpr std::array<uint16_t, 2> kServerPorts{67, 547};
  static constexpr std::array<uint16_t, 3> kTargetPorts{67, 68, 546};
  chain.rule().udp_sport_in(kServerPorts).drop();
  chain.rule().udp_dport_in(kTargetPorts).drop();
}

void drop_rogue_neighbour_discovery(NftChain& chain) {
  static constexpr std::array<uint8_t, 3> kRouterTypes{kRouterSolicit, kRouterAdvert, kRedirect};
  static constexpr std::array<uint8_t, 2> kNeighborTypes{kNeighborSolicit, kNeighborAdvert};
  // Hop-by-hop, routing, fragment, destination options: behind a fragment header they hide what
  // the packet is until it is whole again (RFC 7112).
  static constexpr std::array<uint8_t, 4> kExtensionHeaders{0, 43, 44, 60};
  chain.rule().icmpv6_type_in(kRouterTypes).drop();
  chain.rule().frag_nexthdr_in(kExtensionHeaders).drop();
  // Nothing sends it behind another header, where the rules would not find its target.
  chain.rule().icmpv6_type_in(kNeighborTypes).is_not(kIp6NextHeader, {kIcmpv6}).drop();
}

// What is wrong with a packet the host says before it asks the rules for IP: too many hops, no
// route, an option that it does not know, this last one to a group too. The packet's sender, to
// whom it says so with the packet in it, must not be a VM of another network.
void drop_foreign_ipv4(NftChain& chain, const RuleConfig& config) {
  if (!config.subnet) return;  // all that is for the host is dropped at the bridge
  chain.rule().ip_saddr_not(*config.subnet).ether_daddr(config.gateway_mac).drop();
}

void drop_foreign_ipv6(NftChain& chain, const RuleConfig& config) {
  if (!config.subnet) return;
  const auto sources = ipv6_sources(config);
  chain.rule().ip6_saddr_not_in(sources).ether_daddr(config.gateway_mac).drop();
  chain.rule().is(kIp6NextHeader, {kHopByHop}).ip6_saddr_not_in(sources).drop();
}

void rule_ipv4(NftChain& chain, const RuleConfig& config) {
  if (config.gateway_ipv4) chain.rule().ip_saddr(*config.gateway_ipv4).drop();
  // To the subnet's broadcast address Linux answers everybody (without rp_filter, seen on 6.18).
  if (config.subnet) chain.rule().ip_saddr(config.subnet->broadcast()).drop();
  drop_foreign_ipv4(chain, config);
  drop_dhcp(chain);
  if (config.vm_ipv4) chain.rule().ip_saddr_not(*config.vm_ipv4).set_mark_bits(claim_marks(config));
}

void rule_ipv6(NftChain& chain, const RuleConfig& config) {
  for (const auto& gateway : {config.gateway_link_local, config.gateway_ula}) {
    if (!gateway) continue;
    chain.rule().ip6_saddr(*gateway).drop();
    chain.rule()
        .icmpv6_type(kNeighborAdvert)
        .is(kNeighborTarget, {gateway->bytes.begin(), gateway->bytes.end()})
        .drop();
  }
  drop_foreign_ipv6(chain, config);
  drop_dhcp(chain);
  drop_rogue_neighbour_discovery(chain);
  chain.rule().not_in(kIp6Source, kOwnIpv6Set).set_mark_bits(claim_marks(config));
  chain.rule()
      .icmpv6_type(kNeighborAdvert)
      .not_in(kNeighborTarget, kOwnTargetsSet)
      .set_mark_bits(claim_marks(config));
}

// The host remembers its neighbours in one table for all networks, a thousand and full: whoever
// speaks from many addresses, or has the gateway look for many, could fill it, and the host would
// reach nobody new. So a VM has so many at a time in what reaches the host; frames for others pass.
constexpr uint32_t kMaxVmAddresses = 64;
constexpr std::chrono::minutes kVmAddressTimeout{1};
constexpr const char* kVmIpv4Set = "vm_ipv4";
constexpr const char* kVmIpv6Set = "vm_ipv6";
constexpr int kSmallSubnet = 24;  // has few addresses that a packet could make the host look for
constexpr Ipv6Prefix kLinkLocalNetwork{.address = {{0xfe, 0x80}}, .length = 64};  // the bridge's

// Only frames that the host takes: for its bridge or for many.
void send_on_what_is_for_the_host(NftChain& chain, const Mac& gateway, const NftChain& next) {
  chain.rule().ether_daddr(gateway).go_to(next.name());
  chain.rule().meta_pkttype_not_other().go_to(next.name());
}

NftSet address_set(const char* name, NftType type) {
  return {.name = name, .type = type, .max_size = kMaxVmAddresses, .timeout = kVmAddressTimeout};
}

void bound_ipv6_addresses(NftTable& table, NftChain& ipv6, const RuleConfig& config) {
  table.set(address_set(kVmIpv6Set, kNftIpv6Address));
  NftChain& target = table.chain("ipv6_target");
  NftChain& source = table.chain("ipv6_source");
  const Ipv6Prefix own{.address = *config.ipv6_prefix, .length = 64};
  for (const Ipv6Prefix& neighbours : {own, kLinkLocalNetwork}) {
    ipv6.rule().ip6_daddr(neighbours).ether_daddr(config.gateway_mac).go_to(target.name());
    ipv6.rule().ip6_daddr(neighbours).meta_pkttype_not_other().go_to(target.name());
  }
  send_on_what_is_for_the_host(ipv6, config.gateway_mac, source);
  target.rule().update(kIp6Destination, kVmIpv6Set).go_to(source.name());
  target.rule().drop();
  source.rule().update(kIp6Source, kVmIpv6Set).accept();
  source.rule().drop();
}

void bound_ipv4_addresses(NftTable& table, NftChain& ipv4, const RuleConfig& config) {
  NftChain& target = table.chain("ipv4_target");
  NftChain& source = table.chain("ipv4_source");
  ipv4.rule().ip_daddr(*config.subnet).ether_daddr(config.gateway_mac).go_to(target.name());
  ipv4.rule().ip_daddr(*config.subnet).meta_pkttype_not_other().go_to(target.name());
  send_on_what_is_for_the_host(ipv4, config.gateway_mac, source);
  target.rule().update(kIpDestination, kVmIpv4Set).go_to(source.name());
  target.rule().drop();
  source.rule().update(kIpSource, kVmIpv4Set).accept();
  source.rule().drop();
}

// Who asks for the host by ARP is remembered, of whatever subnet: in a small one too.
void rule_arp(NftTable& table, NftChain& arp, const RuleConfig& config) {
  table.set(address_set(kVmIpv4Set, kNftIpv4Address));
  arp.rule().arp_saddr_ip(*config.gateway_ipv4).drop();
  if (config.vm_ipv4) {
    arp.rule().arp_saddr_ip_not(*config.vm_ipv4).set_mark_bits(claim_marks(config));
  }
  arp.rule().update(kArpSenderIp, kVmIpv4Set).accept();
  arp.rule().drop();
}

}  // namespace

NftTable ingress_table(const RuleConfig& config) {
  NftTable table(NftFamily::kNetdev, config.tap);
  NftChain& from_vm =
      table.chain("from_vm", {.number = NF_NETDEV_INGRESS, .priority = 0, .device = config.tap});
  drop_link_local_groups(from_vm);
  if (config.mode == Mode::kBridged) return table;
  table.set(own_ipv6_set(config, 1));
  table.set(own_targets_set(config, 1));
  from_vm.rule().ether_saddr(config.gateway_mac).drop();
  drop_what_is_for_the_port(from_vm);
  NftChain& frames = table.chain("frames_from_vm");
  bound_senders(table, from_vm, config.vm_mac, frames);
  // Every frame of the VM comes here: what is IP meets no rule of anything else.
  NftChain& ipv4 = table.chain("ipv4_from_vm");
  NftChain& ipv6 = table.chain("ipv6_from_vm");
  go_on_where_readable(frames, ETH_P_IP, ipv4);
  go_on_where_readable(frames, ETH_P_IPV6, ipv6);
  if (config.subnet) {
    NftChain& arp = table.chain("arp_from_vm");
    frames.rule().meta_protocol(ETH_P_ARP).go_to(arp.name());
    rule_arp(table, arp, config);
  }
  drop_unreadable_packets(frames);
  drop_wrapped_packets(frames);
  rule_ipv4(ipv4, config);
  rule_ipv6(ipv6, config);
  if (config.ipv6_prefix) bound_ipv6_addresses(table, ipv6, config);
  if (config.subnet && config.subnet->prefix_length < kSmallSubnet) {
    bound_ipv4_addresses(table, ipv4, config);
  }
  return table;
}

}  // namespace vmnet
