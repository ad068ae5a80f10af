// The part of NftRule that looks into a frame's headers.
#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "linux/nft/builder.h"
#include "linux/nft/values.h"

namespace vmnet {
namespace {

constexpr uint8_t kUdp = 17;
constexpr uint8_t kIcmpv6 = 58;
constexpr uint8_t kFragmentHeader = 44;

// The first `bits` bits of `size` bytes set.
NftBytes prefix_mask(size_t size, int bits) {
  NftBytes mask(size);
  for (int i = 0; i < bits; i++) {
    mask[static_cast<size_t>(i) / 8] |= static_cast<uint8_t>(0x80 >> (i % 8));
  }
  return mask;
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

NftRule& NftRule::load(const NftField& field) {
  if (field.base == NFT_PAYLOAD_LL_HEADER) need_ethernet();
  if (field.ether_type != 0) need_protocol(field.ether_type);
  return add(NftPayload{.base = field.base, .offset = field.offset, .length = field.length});
}

NftRule& NftRule::in(const NftField& field, std::string_view set) {
  return load(field).add(NftLookup{.set = std::string(set)});
}

NftRule& NftRule::not_in(const NftField& field, std::string_view set) {
  return load(field).add(NftLookup{.set = std::string(set), .inverted = true});
}

NftRule& NftRule::update(const NftField& field, std::string_view set) {
  return load(field).add(NftUpdate{.set = std::string(set)});
}

NftRule& NftRule::is(const NftField& field, NftBytes value) {
  return load(field).compare(std::move(value));
}

NftRule& NftRule::is_not(const NftField& field, NftBytes value) {
  return load(field).compare(std::move(value), false);
}

NftRule& NftRule::is_masked(const NftField& field, NftBytes mask, NftBytes value) {
  return load(field).add(NftMask{.mask = std::move(mask)}).compare(std::move(value));
}

NftRule& NftRule::one_of(const NftField& field, NftType type, std::span<const uint8_t> values) {
  return load(field).lookup(anonymous_set(type, values));
}

NftRule& NftRule::ether_saddr(const Mac& mac) { return is(kEtherSource, bytes_of(mac.bytes)); }

NftRule& NftRule::ether_saddr_not(const Mac& mac) {
  return is_not(kEtherSource, bytes_of(mac.bytes));
}

NftRule& NftRule::ether_daddr(const Mac& mac) { return is(kEtherDestination, bytes_of(mac.bytes)); }

NftRule& NftRule::ether_daddr_masked(const Mac& mask, const Mac& value) {
  return is_masked(kEtherDestination, bytes_of(mask.bytes), bytes_of(value.bytes));
}

NftRule& NftRule::arp_saddr_ip(const Ipv4Subnet& subnet) {
  return address(kArpSenderIp, big_endian(subnet.address), subnet.prefix_length, true);
}

NftRule& NftRule::arp_saddr_ip_not(Ipv4 address) {
  return is_not(kArpSenderIp, bytes_of(big_endian(address)));
}

NftRule& NftRule::address(const NftField& field, std::span<const uint8_t> value, int prefix_length,
                          bool equal) {
  if (prefix_length % 8 == 0) {  // whole bytes: compare only those, as nft does
    NftField part = field;
    part.length = static_cast<uint32_t>(prefix_length / 8);
    return load(part).compare(bytes_of(value.first(part.length)), equal);
  }
  load(field).add(NftMask{.mask = prefix_mask(value.size(), prefix_length)});
  return compare(bytes_of(value), equal);
}

NftRule& NftRule::ip_saddr(const Ipv4Subnet& subnet) {
  return address(kIpSource, big_endian(subnet.address), subnet.prefix_length, true);
}

NftRule& NftRule::ip_saddr_not(const Ipv4Subnet& subnet) {
  return address(kIpSource, big_endian(subnet.address), subnet.prefix_length, false);
}

NftRule& NftRule::ip_daddr(const Ipv4Subnet& subnet) {
  return address(kIpDestination, big_endian(subnet.address), subnet.prefix_length, true);
}

NftRule& NftRule::ip6_saddr(const Ipv6Prefix& prefix) {
  return address(kIp6Source, prefix.address.bytes, prefix.length, true);
}

NftRule& NftRule::ip6_daddr(const Ipv6Prefix& prefix) {
  return address(kIp6Destination, prefix.address.bytes, prefix.length, true);
}

NftRule& NftRule::ip6_saddr_not(const Ipv6Prefix& prefix) {
  return address(kIp6Source, prefix.address.bytes, prefix.length, false);
}

NftRule& NftRule::ip6_saddr_not_in(std::span<const Ipv6Prefix> prefixes) {
  load(kIp6Source);
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

NftRule& NftRule::frag_nexthdr_in(std::span<const uint8_t> protocols) {
  need_protocol(ETH_P_IPV6);
  add(NftIpv6Header{.header = kFragmentHeader});
  return lookup(anonymous_set(kNftInetProtocol, protocols));
}

NftRule& NftRule::udp_sport_in(std::span<const uint16_t> ports) {
  return need_transport(kUdp)
      .load({.base = NFT_PAYLOAD_TRANSPORT_HEADER, .offset = 0, .length = 2})
      .lookup(anonymous_set(kNftInetService, ports));
}

NftRule& NftRule::udp_dport_in(std::span<const uint16_t> ports) {
  return need_transport(kUdp)
      .load({.base = NFT_PAYLOAD_TRANSPORT_HEADER, .offset = 2, .length = 2})
      .lookup(anonymous_set(kNftInetService, ports));
}

NftRule& NftRule::icmpv6_type(uint8_t type) {
  return need_protocol(ETH_P_IPV6).need_transport(kIcmpv6).is(kTransportType, {type});
}

NftRule& NftRule::icmpv6_type_in(std::span<const uint8_t> types) {
  return need_protocol(ETH_P_IPV6)
      .need_transport(kIcmpv6)
      .one_of(kTransportType, kNftIcmpv6Type, types);
}

NftRule& NftRule::network_bytes(uint32_t offset, NftBytes value) {
  const auto length = static_cast<uint32_t>(value.size());
  return is({.base = NFT_PAYLOAD_NETWORK_HEADER, .offset = offset, .length = length},
            std::move(value));
}

}  // namespace vmnet
