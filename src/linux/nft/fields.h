// What a rule can look at, and the values that it compares: each field with where it is, how long,
// and what has to be asked before it. Sources: linux/netfilter/nf_tables.h; RFC 826, RFC 791, RFC
// 8200, RFC 4861.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include <linux/if_ether.h>
#include <linux/netfilter/nf_tables.h>

#include "base/ip.h"
#include "base/mac.h"

namespace vmnet {

using NftBytes = std::vector<uint8_t>;  // a value in the byte order that the kernel compares

// A type of values: nft's own number for it, by which it prints the elements of sets, and its size.
struct NftType {
  uint32_t id = 0;
  uint32_t length = 0;      // bytes
  bool host_order = false;  // what the kernel itself counts: marks, groups, names of devices
  bool operator==(const NftType&) const = default;
};
inline constexpr NftType kNftNetfilterProtocol{.id = 2, .length = 1};
inline constexpr NftType kNftRaw16{.id = 4, .length = 2};  // what nft has no name for
inline constexpr NftType kNftRaw128{.id = 4, .length = 16};
inline constexpr NftType kNftIpv4Address{.id = 7, .length = 4};
inline constexpr NftType kNftIpv6Address{.id = 8, .length = 16};
inline constexpr NftType kNftEtherAddress{.id = 9, .length = 6};
inline constexpr NftType kNftEtherType{.id = 10, .length = 2};
inline constexpr NftType kNftInetProtocol{.id = 12, .length = 1};
inline constexpr NftType kNftInetService{.id = 13, .length = 2};
inline constexpr NftType kNftIcmpv6Type{.id = 29, .length = 1};
inline constexpr NftType kNftInterfaceName{.id = 41, .length = 16, .host_order = true};
inline constexpr NftType kNftNumber{.length = 4, .host_order = true};  // never of a set
inline constexpr NftType kNftByte{.length = 1};
inline constexpr NftType kNftDeviceType{.length = 2, .host_order = true};  // ARPHRD_*

enum class NftSource : uint8_t { kMeta, kHeader, kIpv6Extension, kConntrack, kRoute };

struct NftField {
  NftSource source = NftSource::kMeta;
  uint32_t key = 0;  // NFT_META_*, NFT_CT_*, NFT_RT_*, NFT_PAYLOAD_*_HEADER, the extension's number
  NftType type{};
  uint32_t offset = 0;  // bytes
  // Asked first, once a rule: whose header it is. 0: nothing, or the rule has asked.
  uint16_t ether_type = 0;
  uint8_t transport = 0;
  bool operator==(const NftField&) const = default;
};

constexpr NftField nft_meta(uint32_t key, NftType type) { return {NftSource::kMeta, key, type}; }
constexpr NftField nft_ether(uint32_t offset, NftType type) {
  return {NftSource::kHeader, NFT_PAYLOAD_LL_HEADER, type, offset};
}
constexpr NftField nft_network(uint16_t ether_type, uint32_t offset, NftType type) {
  return {NftSource::kHeader, NFT_PAYLOAD_NETWORK_HEADER, type, offset, ether_type};
}
constexpr NftField nft_transport(uint8_t protocol, uint32_t offset, NftType type) {
  return {NftSource::kHeader,
          NFT_PAYLOAD_TRANSPORT_HEADER,
          type,
          offset,
          protocol == 58 ? uint16_t{ETH_P_IPV6} : uint16_t{0},
          protocol};
}

// Interface names: exact, or with a trailing * any name that begins so.
inline constexpr NftField kIifName = nft_meta(NFT_META_IIFNAME, kNftInterfaceName);
inline constexpr NftField kOifName = nft_meta(NFT_META_OIFNAME, kNftInterfaceName);
inline constexpr NftField kIifGroup = nft_meta(NFT_META_IIFGROUP, kNftNumber);  // IFLA_GROUP
inline constexpr NftField kOifGroup = nft_meta(NFT_META_OIFGROUP, kNftNumber);
inline constexpr NftField kOifType = nft_meta(NFT_META_OIFTYPE, kNftDeviceType);
// Whom a frame is for, as eth_type_trans() finds it by the device's own MAC: PACKET_HOST, ...
inline constexpr NftField kPacketType = nft_meta(NFT_META_PKTTYPE, kNftByte);
// The EtherType after the kernel took a VLAN tag off (Linux does before netdev ingress).
inline constexpr NftField kProtocol = nft_meta(NFT_META_PROTOCOL, kNftEtherType);
// The protocol that an IP packet carries. A packet whose header nft cannot follow to its end has
// none: each rule that asks for it, or for what it carries, passes it by.
inline constexpr NftField kL4Protocol = nft_meta(NFT_META_L4PROTO, kNftInetProtocol);
inline constexpr NftField kNfProtocol = nft_meta(NFT_META_NFPROTO, kNftNetfilterProtocol);
// Stays with the packet on its way through the host.
inline constexpr NftField kMark = nft_meta(NFT_META_MARK, kNftNumber);

inline constexpr NftField kCtState{NftSource::kConntrack, NFT_CT_STATE, kNftNumber};
inline constexpr NftField kCtStatus{NftSource::kConntrack, NFT_CT_STATUS, kNftNumber};
// The neighbour that a routed packet goes to next (forward hook).
inline constexpr NftField kIpNextHop{NftSource::kRoute, NFT_RT_NEXTHOP4, kNftIpv4Address, 0,
                                     ETH_P_IP};
inline constexpr NftField kIp6NextHop{NftSource::kRoute, NFT_RT_NEXTHOP6, kNftIpv6Address, 0,
                                      ETH_P_IPV6};

inline constexpr NftField kEtherDestination = nft_ether(0, kNftEtherAddress);
inline constexpr NftField kEtherSource = nft_ether(6, kNftEtherAddress);
// Of a frame with a VLAN tag, which the kernel takes off: what nft sees in the Ethernet header.
inline constexpr NftField kVlanTag = nft_ether(14, kNftRaw16);
// Of one with another tag behind that: this tag, and the type of what follows it.
inline constexpr NftField kInnerVlanTag = nft_network(0, 0, kNftRaw16);
inline constexpr NftField kInnerVlanType = nft_network(0, 2, kNftRaw16);
inline constexpr NftField kArpSenderMac = nft_network(ETH_P_ARP, 8, kNftEtherAddress);
inline constexpr NftField kArpSenderIp = nft_network(ETH_P_ARP, 14, kNftIpv4Address);
inline constexpr NftField kIpFragment = nft_network(ETH_P_IP, 6, kNftRaw16);  // flags and offset
inline constexpr NftField kIpSource = nft_network(ETH_P_IP, 12, kNftIpv4Address);
inline constexpr NftField kIpDestination = nft_network(ETH_P_IP, 16, kNftIpv4Address);
inline constexpr NftField kIp6NextHeader = nft_network(ETH_P_IPV6, 6, kNftByte);
inline constexpr NftField kIp6Source = nft_network(ETH_P_IPV6, 8, kNftIpv6Address);
inline constexpr NftField kIp6Destination = nft_network(ETH_P_IPV6, 24, kNftIpv6Address);
// What the IPv6 fragment header says follows it in the whole packet.
inline constexpr NftField kFragmentNextHeader{NftSource::kIpv6Extension, 44, kNftInetProtocol, 0,
                                              ETH_P_IPV6};
inline constexpr NftField kUdpSource = nft_transport(17, 0, kNftInetService);
inline constexpr NftField kUdpDestination = nft_transport(17, 2, kNftInetService);
inline constexpr NftField kIcmpv6Type = nft_transport(58, 0, kNftIcmpv6Type);
// In rules that have asked for the ICMPv6 type. nft 1.0.6 has no name for it: @th,64,128.
inline constexpr NftField kNeighborTarget = nft_transport(0, 8, kNftRaw128);

struct Ipv6Prefix {
  Ipv6 address;
  int length = 64;  // 1 to 128
  bool operator==(const Ipv6Prefix&) const = default;
};

// What a field is compared with. A number is brought into the field's size and byte order.
using NftValue =
    std::variant<uint32_t, Mac, Ipv4, Ipv4Subnet, Ipv6, Ipv6Prefix, std::string_view, NftBytes>;

// The value as the kernel compares it; of a prefix its address, of a name with a trailing * what is
// before that.
NftBytes nft_bytes(const NftType& type, const NftValue& value);

}  // namespace vmnet
