#include "linux/rules/vm_rules.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netfilter.h>

namespace vmnet {
namespace {

// IEEE 802.1D's sixteen link-local groups: spanning tree, pause, LACP, 802.1X, LLDP.
constexpr Mac kLinkLocalGroups{{0x01, 0x80, 0xc2, 0x00, 0x00, 0x00}};
constexpr Mac kLinkLocalGroupsMask{{0xff, 0xff, 0xff, 0xff, 0xff, 0xf0}};

// ICMPv6 types (RFC 4861).
constexpr uint32_t kRouterSolicit = 133;
constexpr uint32_t kRouterAdvert = 134;
constexpr uint32_t kNeighborSolicit = 135;
constexpr uint32_t kNeighborAdvert = 136;
constexpr uint32_t kRedirect = 137;
constexpr uint32_t kIcmpv6 = 58;
constexpr uint32_t kHopByHop = 0;

constexpr Ipv6 kLinkLocalPrefix{{0xfe, 0x80}};
constexpr Ipv4Subnet kLoopback{.address = {0x7f000000}, .prefix_length = 8};

// The bridge learns MACs up to a number for all its ports (create_bridge). A VM that used it up
// would have the frames for others, whose MAC is their own choice, sent to every port, its own too.
// As long as the bridge remembers a MAC (its ageing time), it counts.
constexpr const char* kVmSendersSet = "vm_senders";
constexpr uint32_t kMaxVmSenders = 64;
constexpr std::chrono::minutes kVmSenderTimeout{5};

// The host remembers its neighbours in one table for all networks, a thousand and full: whoever
// speaks from many addresses, or has the gateway look for many, could fill it, and the host would
// reach nobody new. So a VM has so many at a time in what reaches the host; frames for others pass.
constexpr const char* kVmIpv4Set = "vm_ipv4";
constexpr const char* kVmIpv6Set = "vm_ipv6";
constexpr uint32_t kMaxVmAddresses = 64;
constexpr std::chrono::minutes kVmAddressTimeout{1};
constexpr int kSmallSubnet = 24;  // has few addresses that a packet could make the host look for

NftSet address_set(const char* name, NftType type) {
  return {.name = name, .type = type, .max_size = kMaxVmAddresses, .dynamic = true};
}

// Whose MAC it is the network's rules know; how many there are is bounded here.
void rule_other_macs(NftTable& table, NftChain& chain, const Mac& vm_mac) {
  table.set({.name = kVmSendersSet,
             .type = kNftEtherAddress,
             .max_size = kMaxVmSenders,
             .dynamic = true});
  chain.rule()
      .is_not(kEtherSource, vm_mac)
      .set_mark_bits(kOtherMacMark)
      .update(kEtherSource, kVmSendersSet, kVmSenderTimeout);
  chain.rule().is_not(kEtherSource, vm_mac).not_in(kEtherSource, kVmSendersSet).drop();
}

// IP whose header says another version, or a length that cannot be, carries nothing for nftables:
// no rule for UDP or ICMPv6 sees it. A receiver's kernel drops it, but not before its packet
// sockets, where DHCP clients listen that look less closely (ISC dhclient 4.4). So only what has a
// protocol goes on.
constexpr uint32_t kReserved = 255;  // no packet's (IANA)

NftRule& readable(NftChain& chain) { return chain.rule().is_not(kL4Protocol, kReserved); }

NftRule& readable(NftChain& chain, uint32_t ether_type) {
  NftRule& rule = ether_type == ETH_P_IP ? chain.rule().ip() : chain.rule().ip6();
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
  chain.rule().one_of(kIcmpv6Type, {kRouterSolicit, kRouterAdvert, kRedirect}).drop();
  // Hop-by-hop, routing, fragment, destination options: behind a fragment header they hide what
  // the packet is until it is whole again (RFC 7112).
  chain.rule().one_of(kFragmentNextHeader, {0U, 43U, 44U, 60U}).drop();
  // Nothing sends it behind another header, where the rules would not find its target.
  chain.rule()
      .one_of(kIcmpv6Type, {kNeighborSolicit, kNeighborAdvert})
      .is_not(kIp6NextHeader, kIcmpv6)
      .drop();
}

// Where the host takes IPv6 from: the network's prefix, link-local addresses and, since a tentative
// one is asked about so, none.
std::vector<NftValue> ipv6_sources(const VmRules& rules) {
  std::vector<NftValue> sources{Ipv6Prefix{.address = kLinkLocalPrefix, .length = 10},
                                Ipv6Prefix{.address = {}, .length = 128}};
  if (rules.ipv6_prefix) sources.emplace_back(Ipv6Prefix{.address = *rules.ipv6_prefix});
  return sources;
}

// Of what the host takes, for its own MAC or for many, an address is bounded by a set that has room
// for so many: where it comes from and, in the link's own networks, where it is to go.
void bound_addresses(NftTable& table, NftChain& chain, uint32_t ether_type, const VmRules& rules) {
  const bool ipv6 = ether_type == ETH_P_IPV6;
  const char* set = ipv6 ? kVmIpv6Set : kVmIpv4Set;
  const NftField& source = ipv6 ? kIp6Source : kIpSource;
  const NftField& target = ipv6 ? kIp6Destination : kIpDestination;
  std::vector<NftValue> neighbours;
  if (ipv6) {
    table.set(address_set(kVmIpv6Set, kNftIpv6Address));
    neighbours = {Ipv6Prefix{.address = kLinkLocalPrefix},
                  Ipv6Prefix{.address = *rules.ipv6_prefix}};
  } else {
    neighbours = {*rules.subnet};  // its set is there for ARP
  }
  if (!rules.isolated) {
    readable(chain, ether_type)
        .is_not(kEtherDestination, rules.gateway_mac)
        .is(kPacketType, uint32_t{PACKET_OTHERHOST})
        .accept();
  }
  readable(chain).none_of(target, neighbours).update(source, set, kVmAddressTimeout).accept();
  readable(chain)
      .update(target, set, kVmAddressTimeout)
      .update(source, set, kVmAddressTimeout)
      .accept();
}

// What is wrong with a packet the host says before it asks the rules for IP: too many hops, no
// route, an option that it does not know, this last one to a group too. The packet's sender, to
// whom it says so with the packet in it, must not be a VM of another network.
void rule_ipv4(NftTable& table, NftChain& chain, const VmRules& rules) {
  chain.rule().is(kIpDestination, kLoopback).drop();
  if (rules.isolated) {
    readable(chain).is(kIpSource, *rules.vm_ipv4).accept();
    return;
  }
  if (!rules.subnet) {
    readable(chain, ETH_P_IP).accept();
    return;
  }
  // To the subnet's broadcast address Linux answers everybody (without rp_filter, seen on 6.18).
  chain.rule().one_of(kIpSource, {*rules.gateway_ipv4, rules.subnet->broadcast()}).drop();
  chain.rule().is_not(kIpSource, *rules.subnet).is(kEtherDestination, rules.gateway_mac).drop();
  chain.rule().is_not(kIpSource, *rules.vm_ipv4).set_mark_bits(kOtherAddressMark);
  if (rules.subnet->prefix_length < kSmallSubnet) {
    bound_addresses(table, chain, ETH_P_IP, rules);
  } else {
    readable(chain, ETH_P_IP).accept();
  }
}

std::vector<NftValue> own_ipv6(const VmRules& rules) {
  std::vector<NftValue> own{address_from_mac(kLinkLocalPrefix, rules.vm_mac)};
  if (rules.ipv6_prefix) own.emplace_back(address_from_mac(*rules.ipv6_prefix, rules.vm_mac));
  return own;
}

void drop_foreign_ipv6(NftChain& chain, const VmRules& rules) {
  if (!rules.subnet) return;
  const auto sources = ipv6_sources(rules);
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
    chain.rule().is(kIcmpv6Type, kNeighborAdvert).one_of(kNeighborTarget, gateway).drop();
  }
  drop_rogue_neighbour_discovery(chain);
  drop_foreign_ipv6(chain, rules);
  if (!rules.isolated) {
    const auto own = own_ipv6(rules);
    chain.rule().none_of(kIp6Source, own).set_mark_bits(kOtherAddressMark);
    chain.rule()
        .one_of(kIcmpv6Type, {kNeighborSolicit, kNeighborAdvert})
        .none_of(kNeighborTarget, own)
        .set_mark_bits(kOtherNamedMark);
  }
  if (rules.ipv6_prefix) {
    bound_addresses(table, chain, ETH_P_IPV6, rules);
  } else {
    readable(chain, ETH_P_IPV6).accept();
  }
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
  table.set(address_set(kVmIpv4Set, kNftIpv4Address));
  chain.rule().is(kArpSenderIp, *rules.gateway_ipv4).drop();
  chain.rule().is_not(kArpSenderIp, *rules.vm_ipv4).set_mark_bits(kOtherAddressMark);
  chain.rule().update(kArpSenderIp, kVmIpv4Set, kVmAddressTimeout).accept();
}

// What is IPv4 meets no rule of IPv6.
void rule_packets(NftTable& table, NftChain& from_vm, const VmRules& rules) {
  drop_dhcp(from_vm);
  rule_ipv4(table, from_vm, rules);
  rule_ipv6(table, from_vm, rules);
  rule_arp(table, from_vm, rules);
  drop_the_rest(from_vm);
}

NftTable marker_table(const std::string& device) { return {NftFamily::kIpv4, device}; }

// How long a table of the same name may still be there: its helper has lost the device already and
// its socket closes a moment later.
constexpr std::chrono::milliseconds kTakenWait{1000};
constexpr std::chrono::milliseconds kTakenPause{5};

}  // namespace

Ipv6 gateway_of(const Ipv6& prefix) {
  Ipv6 gateway = prefix;
  gateway.bytes[15] = 1;
  return gateway;
}

Ipv6 address_from_mac(const Ipv6& prefix, const Mac& mac) {
  constexpr uint8_t kUniversalBit = 0x02;
  Ipv6 address = prefix;
  const auto& from = mac.bytes;
  const auto first = static_cast<uint8_t>(from[0] ^ kUniversalBit);
  const std::array<uint8_t, 8> identifier{first, from[1], from[2], 0xff,
                                          0xfe,  from[3], from[4], from[5]};
  std::ranges::copy(identifier, address.bytes.begin() + 8);
  return address;
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
  if (bridged) {
    if (!rules.isolated)
      from_vm.rule().is_not(kEtherSource, rules.vm_mac).set_mark_bits(kOtherMacMark);
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

InstalledVmRules::InstalledVmRules(NetlinkSocket& socket, std::string device, TableLife life)
    : socket_(&socket), device_(std::move(device)), life_(life) {}

Result<InstalledVmRules> InstalledVmRules::install(NetlinkSocket& socket, const VmRules& rules) {
  TableLife life = rules.outlive_keeper ? TableLife::kOrphanedBySocket : TableLife::kSocket;
  auto deadline = std::chrono::steady_clock::now() + kTakenWait;
  while (true) {
    NftBatch batch;
    batch.create(vm_table(rules), life);
    if (life == TableLife::kUntilRemoved) {
      batch.create(marker_table(rules.device), TableLife::kSocket);
    }
    auto installed = batch.commit(socket);
    if (installed) return InstalledVmRules(socket, rules.device, life);
    if (life == TableLife::kOrphanedBySocket && installed.error().os_errno == EOPNOTSUPP) {
      life = TableLife::kUntilRemoved;  // Linux before 6.9
      continue;
    }
    bool taken = installed.error().os_errno == EEXIST;
    if (!taken || std::chrono::steady_clock::now() > deadline) return pass(installed);
    std::this_thread::sleep_for(kTakenPause);
  }
}

Status InstalledVmRules::remove() {
  NftBatch batch;
  batch.remove_table(NftFamily::kNetdev, device_);
  if (life_ == TableLife::kUntilRemoved) batch.remove_table(NftFamily::kIpv4, device_);
  return batch.commit(*socket_);
}

}  // namespace vmnet
