#include "linux/nft/builder.h"

#include <utility>

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "linux/nft/values.h"

namespace vmnet {
namespace {

// A name as the kernel holds it: 16 bytes, zero-filled. Of a pattern only what is before the *.
NftBytes interface_bytes(std::string_view pattern) {
  if (pattern.ends_with('*')) return {pattern.begin(), pattern.end() - 1};
  NftBytes bytes(pattern.begin(), pattern.end());
  bytes.resize(kNftInterfaceName.length);
  return bytes;
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

NftElement element(const Ipv6& address) { return {.key = bytes_of(address.bytes)}; }

NftElement element(std::string_view interface_name) {
  return {.key = interface_bytes(interface_name)};
}

NftElement element_ipv6() { return {.key = {NFPROTO_IPV6}}; }

NftRule& NftRule::add(NftExpression expression) {
  expressions_.push_back(std::move(expression));
  return *this;
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

NftRule& NftRule::mark_has(uint32_t bits) {
  add(NftMeta{.key = NFT_META_MARK});
  return add(NftMask{.mask = host_order(bits)}).compare(host_order(bits));
}

NftRule& NftRule::mark_lacks(uint32_t bits) {
  add(NftMeta{.key = NFT_META_MARK});
  return add(NftMask{.mask = host_order(bits)}).compare(host_order(0));
}

NftRule& NftRule::set_mark_bits(uint32_t bits) {
  add(NftMeta{.key = NFT_META_MARK});
  add(NftMask{.mask = host_order(~bits), .flip = host_order(bits)});
  return add(NftMetaSet{.key = NFT_META_MARK});
}

NftRule& NftRule::clear_mark_bits(uint32_t bits) {
  add(NftMeta{.key = NFT_META_MARK});
  add(NftMask{.mask = host_order(~bits)});
  return add(NftMetaSet{.key = NFT_META_MARK});
}

NftRule& NftRule::conntrack_bits(uint32_t key, uint32_t bits) {
  add(NftConntrack{.key = key});
  return add(NftMask{.mask = host_order(bits)}).compare(host_order(0), false);
}

NftRule& NftRule::ct_state(uint32_t bits) { return conntrack_bits(NFT_CT_STATE, bits); }

NftRule& NftRule::ct_status(uint32_t bits) { return conntrack_bits(NFT_CT_STATUS, bits); }

NftRule& NftRule::update_ip_nexthop(std::string_view set) {
  need_protocol(ETH_P_IP).add(NftRoute{.key = NFT_RT_NEXTHOP4});
  return add(NftUpdate{.set = std::string(set)});
}

NftRule& NftRule::update_ip6_nexthop(std::string_view set) {
  need_protocol(ETH_P_IPV6).add(NftRoute{.key = NFT_RT_NEXTHOP6});
  return add(NftUpdate{.set = std::string(set)});
}

void NftRule::accept() { add(NftVerdict{.code = NF_ACCEPT}); }

void NftRule::drop() { add(NftVerdict{.code = NF_DROP}); }

void NftRule::go_to(std::string_view chain) {
  add(NftVerdict{.code = NFT_GOTO, .chain = std::string(chain)});
}

void NftRule::masquerade() { add(NftMasquerade{}); }

}  // namespace vmnet
