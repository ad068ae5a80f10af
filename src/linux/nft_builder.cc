#include "linux/nft_builder.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

namespace vmnet {
namespace {

// Fields by their offset in the header: RFC 791, RFC 8200, RFC 826, RFC 768, RFC 4443.
constexpr uint32_t kIpv4Source = 12;
constexpr uint32_t kIpv4Destination = 16;
constexpr uint32_t kIpv6Source = 8;
constexpr uint32_t kIpv6Destination = 24;
constexpr uint32_t kArpSenderIp = 14;
constexpr uint32_t kUdpSource = 0;
constexpr uint32_t kUdpDestination = 2;
constexpr uint8_t kUdp = 17;
constexpr uint8_t kIcmpv6 = 58;
constexpr uint8_t kFragmentHeader = 44;

NftBytes big_endian(uint16_t value) {
  return {static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)};
}

std::array<uint8_t, 4> big_endian(Ipv4 address) {
  uint32_t v = address.value;
  return {static_cast<uint8_t>(v >> 24), static_cast<uint8_t>(v >> 16),
          static_cast<uint8_t>(v >> 8), static_cast<uint8_t>(v)};
}

NftBytes host_order(uint32_t value) {
  NftBytes bytes(sizeof(value));
  std::memcpy(bytes.data(), &value, sizeof(value));
  return bytes;
}

NftBytes bytes_of(std::span<const uint8_t> data) { return {data.begin(), data.end()}; }

// The first `bits` bits of `size` bytes set.
NftBytes prefix_mask(size_t size, int bits) {
  NftBytes mask(size);
  for (int i = 0; i < bits; i++) {
    mask[static_cast<size_t>(i) / 8] |= static_cast<uint8_t>(0x80 >> (i % 8));
  }
  return mask;
}

// A name as the kernel holds it: 16 bytes, zero-filled. Of a pattern only what is before the *.
NftBytes interface_bytes(std::string_view pattern) {
  if (pattern.ends_with('*')) return {pattern.begin(), pattern.end() - 1};
  NftBytes bytes(pattern.begin(), pattern.end());
  bytes.resize(kNftInterfaceName.length);
  return bytes;
}

NftSet anonymous_set(NftType type, std::span<const uint16_t> values) {
  NftSet set{.type = type};
  for (uint16_t value : values) set.elements.push_back({.key = big_endian(value)});
  return set;
}

NftSet anonymous_set(NftType type, std::span<const uint8_t> values) {
  NftSet set{.type = type};
  for (uint8_t value : values) set.elements.push_back({.key = {value}});
  return set;
}

// The first address behind a prefix; nothing where the prefix ends with the address space.
std::optional<NftBytes> end_of(const Ipv6Prefix& prefix) {
  NftBytes end = bytes_of(prefix.address.bytes);
  int carry_bit = prefix.length - 1;
  unsigned add = 0x80U >> (carry_bit % 8);
  for (int i = carry_bit / 8; i >= 0; i--) {
    unsigned sum = end[static_cast<size_t>(i)] + add;
    end[static_cast<size_t>(i)] = static_cast<uint8_t>(sum);
    if (sum <= 0xff) return end;
    add = 1;
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(NftFamily family) {
  switch (family) {
    case NftFamily::kInet:
      return "inet";
    case NftFamily::kIpv4:
      return "ip";
    case NftFamily::kNetdev:
      return "netdev";
    case NftFamily::kBridge:
      return "bridge";
    case NftFamily::kIpv6:
      return "ip6";
  }
  return "unknown";
}

NftElement element(const Mac& mac) { return {.key = bytes_of(mac.bytes)}; }

NftElement element(std::string_view interface_name) {
  return {.key = interface_bytes(interface_name)};
}

NftElement element_ipv6() { return {.key = {NFPROTO_IPV6}}; }

NftRule& NftRule::add(NftExpression expression) {
  expressions_.push_back(std::move(expression));
  return *this;
}

NftRule& NftRule::load(uint32_t base, uint32_t offset, uint32_t length) {
  return add(NftPayload{.base = base, .offset = offset, .length = length});
}

NftRule& NftRule::compare(NftBytes value, bool equal) {
  return add(NftCompare{.value = std::move(value), .equal = equal});
}

NftRule& NftRule::lookup(NftSet set, bool inverted) {
  anonymous_sets_.push_back(std::move(set));
  return add(NftLookup{.set = {}, .anonymous = anonymous_sets_.size() - 1, .inverted = inverted});
}

NftRule& NftRule::interface(bool incoming, std::string_view pattern, bool equal) {
  add(NftMeta{.key = incoming ? uint32_t{NFT_META_IIFNAME} : uint32_t{NFT_META_OIFNAME}});
  return compare(interface_bytes(pattern), equal);
}

NftRule& NftRule::iifname_in(std::string_view set) {
  add(NftMeta{.key = NFT_META_IIFNAME});
  return add(NftLookup{.set = std::string(set)});
}

NftRule& NftRule::iifgroup(uint32_t group) {
  add(NftMeta{.key = NFT_META_IIFGROUP});
  return compare(host_order(group));
}

NftRule& NftRule::need_ethernet() {
  // The bridge family has Ethernet frames only; elsewhere the device's type is asked first.
  if (family_ == NftFamily::kBridge) return *this;
  add(NftMeta{.key = NFT_META_IIFTYPE});
  uint16_t type = ARPHRD_ETHER;
  NftBytes value(sizeof(type));
  std::memcpy(value.data(), &type, sizeof(type));
  return compare(std::move(value));
}

NftRule& NftRule::need_protocol(uint16_t ether_type) {
  if (protocol_ == ether_type) return *this;
  protocol_ = ether_type;
  if (family_ == NftFamily::kInet) {
    add(NftMeta{.key = NFT_META_NFPROTO});
    return compare({static_cast<uint8_t>(ether_type == ETH_P_IP ? NFPROTO_IPV4 : NFPROTO_IPV6)});
  }
  // In the bridge family nft asks for the type in the frame's header for ARP, which in a frame
  // with a VLAN tag is the tag's; `meta protocol` sees behind the tag and is listed alike.
  add(NftMeta{.key = NFT_META_PROTOCOL});
  return compare(big_endian(ether_type));
}

NftRule& NftRule::need_transport(uint8_t protocol) {
  if (transport_ == protocol) return *this;
  transport_ = protocol;
  add(NftMeta{.key = NFT_META_L4PROTO});
  return compare({protocol});
}

NftRule& NftRule::ether_saddr(const Mac& mac) {
  return need_ethernet().load(NFT_PAYLOAD_LL_HEADER, 6, 6).compare(bytes_of(mac.bytes));
}

NftRule& NftRule::ether_saddr_in(std::string_view set) {
  need_ethernet().load(NFT_PAYLOAD_LL_HEADER, 6, 6);
  return add(NftLookup{.set = std::string(set)});
}

NftRule& NftRule::ether_daddr(const Mac& mac) {
  return need_ethernet().load(NFT_PAYLOAD_LL_HEADER, 0, 6).compare(bytes_of(mac.bytes));
}

NftRule& NftRule::ether_daddr_masked(const Mac& mask, const Mac& value) {
  need_ethernet().load(NFT_PAYLOAD_LL_HEADER, 0, 6);
  return add(NftMask{.mask = bytes_of(mask.bytes)}).compare(bytes_of(value.bytes));
}

NftRule& NftRule::meta_protocol(uint16_t ether_type) {
  add(NftMeta{.key = NFT_META_PROTOCOL});
  return compare(big_endian(ether_type));
}

NftRule& NftRule::meta_protocol_in(std::span<const uint16_t> ether_types) {
  add(NftMeta{.key = NFT_META_PROTOCOL});
  return lookup(anonymous_set(kNftEtherType, ether_types));
}

NftRule& NftRule::meta_l4proto_not(uint8_t protocol) {
  return add(NftMeta{.key = NFT_META_L4PROTO}).compare({protocol}, false);
}

NftRule& NftRule::meta_pkttype_host() {
  return add(NftMeta{.key = NFT_META_PKTTYPE}).compare({PACKET_HOST}, true);
}

NftRule& NftRule::meta_pkttype_not_other() {
  return add(NftMeta{.key = NFT_META_PKTTYPE}).compare({PACKET_OTHERHOST}, false);
}

NftRule& NftRule::meta_nfproto_ipv4() { return need_protocol(ETH_P_IP); }

NftRule& NftRule::meta_nfproto_ipv6() { return need_protocol(ETH_P_IPV6); }

NftRule& NftRule::meta_nfproto_in(std::string_view set) {
  add(NftMeta{.key = NFT_META_NFPROTO});
  return add(NftLookup{.set = std::string(set)});
}

NftRule& NftRule::arp_saddr_ip(Ipv4 address) {
  need_protocol(ETH_P_ARP).load(NFT_PAYLOAD_NETWORK_HEADER, kArpSenderIp, 4);
  return compare(bytes_of(big_endian(address)));
}

NftRule& NftRule::address(uint32_t offset, std::span<const uint8_t> value, int prefix_length,
                          bool equal) {
  if (prefix_length % 8 == 0) {  // whole bytes: compare only those, as nft does
    auto size = static_cast<uint32_t>(prefix_length / 8);
    load(NFT_PAYLOAD_NETWORK_HEADER, offset, size);
    return compare(bytes_of(value.first(size)), equal);
  }
  load(NFT_PAYLOAD_NETWORK_HEADER, offset, static_cast<uint32_t>(value.size()));
  add(NftMask{.mask = prefix_mask(value.size(), prefix_length)});
  return compare(bytes_of(value), equal);
}

NftRule& NftRule::ip_saddr(const Ipv4Subnet& subnet) {
  return need_protocol(ETH_P_IP).address(kIpv4Source, big_endian(subnet.address),
                                         subnet.prefix_length, true);
}

NftRule& NftRule::ip_saddr_not(const Ipv4Subnet& subnet) {
  return need_protocol(ETH_P_IP).address(kIpv4Source, big_endian(subnet.address),
                                         subnet.prefix_length, false);
}

NftRule& NftRule::ip_daddr(const Ipv4Subnet& subnet) {
  return need_protocol(ETH_P_IP).address(kIpv4Destination, big_endian(subnet.address),
                                         subnet.prefix_length, true);
}

NftRule& NftRule::ip6_saddr(const Ipv6Prefix& prefix) {
  return need_protocol(ETH_P_IPV6).address(kIpv6Source, prefix.address.bytes, prefix.length, true);
}

NftRule& NftRule::ip6_daddr(const Ipv6Prefix& prefix) {
  return need_protocol(ETH_P_IPV6)
      .address(kIpv6Destination, prefix.address.bytes, prefix.length, true);
}

NftRule& NftRule::ip6_saddr_not(const Ipv6Prefix& prefix) {
  return need_protocol(ETH_P_IPV6).address(kIpv6Source, prefix.address.bytes, prefix.length, false);
}

NftRule& NftRule::ip6_saddr_not_in(std::span<const Ipv6Prefix> prefixes) {
  need_protocol(ETH_P_IPV6).load(NFT_PAYLOAD_NETWORK_HEADER, kIpv6Source, 16);
  NftSet set{.type = kNftIpv6Address, .interval = true};
  for (const Ipv6Prefix& prefix : prefixes) {
    set.elements.push_back({.key = bytes_of(prefix.address.bytes)});
    if (auto end = end_of(prefix)) {
      set.elements.push_back({.key = std::move(*end), .interval_end = true});
    }
  }
  std::ranges::sort(set.elements, {}, &NftElement::key);
  return lookup(std::move(set), true);
}

NftRule& NftRule::update(uint16_t ether_type, uint32_t offset, uint32_t length,
                         std::string_view set) {
  return need_protocol(ether_type)
      .load(NFT_PAYLOAD_NETWORK_HEADER, offset, length)
      .add(NftUpdate{.set = std::string(set)});
}

NftRule& NftRule::update_ether_saddr(std::string_view set) {
  return need_ethernet().load(NFT_PAYLOAD_LL_HEADER, 6, 6).add(NftUpdate{.set = std::string(set)});
}

NftRule& NftRule::update_arp_saddr_ip(std::string_view set) {
  return update(ETH_P_ARP, kArpSenderIp, 4, set);
}

NftRule& NftRule::update_ip_saddr(std::string_view set) {
  return update(ETH_P_IP, kIpv4Source, 4, set);
}

NftRule& NftRule::update_ip_daddr(std::string_view set) {
  return update(ETH_P_IP, kIpv4Destination, 4, set);
}

NftRule& NftRule::update_ip6_saddr(std::string_view set) {
  return update(ETH_P_IPV6, kIpv6Source, 16, set);
}

NftRule& NftRule::update_ip6_daddr(std::string_view set) {
  return update(ETH_P_IPV6, kIpv6Destination, 16, set);
}

NftRule& NftRule::exthdr_frag_exists() {
  need_protocol(ETH_P_IPV6);
  add(NftIpv6Header{.header = kFragmentHeader, .presence = true});
  return compare({1});
}

NftRule& NftRule::frag_nexthdr_in(std::span<const uint8_t> protocols) {
  need_protocol(ETH_P_IPV6);
  add(NftIpv6Header{.header = kFragmentHeader});
  return lookup(anonymous_set(kNftInetProtocol, protocols));
}

NftRule& NftRule::udp_sport_in(std::span<const uint16_t> ports) {
  return need_transport(kUdp)
      .load(NFT_PAYLOAD_TRANSPORT_HEADER, kUdpSource, 2)
      .lookup(anonymous_set(kNftInetService, ports));
}

NftRule& NftRule::udp_dport_in(std::span<const uint16_t> ports) {
  return need_transport(kUdp)
      .load(NFT_PAYLOAD_TRANSPORT_HEADER, kUdpDestination, 2)
      .lookup(anonymous_set(kNftInetService, ports));
}

NftRule& NftRule::icmpv6_type(uint8_t type) {
  return need_protocol(ETH_P_IPV6)
      .need_transport(kIcmpv6)
      .load(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1)
      .compare({type});
}

NftRule& NftRule::icmpv6_type_in(std::span<const uint8_t> types) {
  return need_protocol(ETH_P_IPV6)
      .need_transport(kIcmpv6)
      .load(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1)
      .lookup(anonymous_set(kNftIcmpv6Type, types));
}

NftRule& NftRule::network_bytes(uint32_t offset, NftBytes value) {
  return load(NFT_PAYLOAD_NETWORK_HEADER, offset, static_cast<uint32_t>(value.size()))
      .compare(std::move(value));
}

NftRule& NftRule::transport_bytes(uint32_t offset, NftBytes value) {
  return load(NFT_PAYLOAD_TRANSPORT_HEADER, offset, static_cast<uint32_t>(value.size()))
      .compare(std::move(value));
}

NftRule& NftRule::conntrack_bits(uint32_t key, uint32_t bits) {
  add(NftConntrack{.key = key});
  return add(NftMask{.mask = host_order(bits)}).compare(host_order(0), false);
}

NftRule& NftRule::ct_state(uint32_t bits) { return conntrack_bits(NFT_CT_STATE, bits); }

NftRule& NftRule::ct_status(uint32_t bits) { return conntrack_bits(NFT_CT_STATUS, bits); }

void NftRule::accept() { add(NftVerdict{.code = NF_ACCEPT}); }

void NftRule::drop() { add(NftVerdict{.code = NF_DROP}); }

void NftRule::go_to(std::string_view chain) {
  add(NftVerdict{.code = NFT_GOTO, .chain = std::string(chain)});
}

void NftRule::masquerade() { add(NftMasquerade{}); }

}  // namespace vmnet
