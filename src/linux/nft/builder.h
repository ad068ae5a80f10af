// nftables rules as data, built by calls that read like the rule's text:
//
//   chain.rule().iifname("vmnet-tap0").ether_saddr(mac).drop();
//
// is `iifname "vmnet-tap0" ether saddr 0e:76:6d:00:00:01 drop`. Pure: nothing here talks to the
// kernel (nft_batch does), so what a rule matches can be tested without privilege.
//
// A rule is a list of expressions on one register: load a field, mask it, compare it, decide. Each
// expression that does not match ends the rule. Protocol dependencies (a source port needs "is
// UDP" before it) are added where nft 1.0 adds them, since that is how `nft list ruleset` knows to
// print `udp sport 67` and not raw bytes. Source: linux/netfilter/nf_tables.h; `nft
// --debug=netlink`.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <linux/if_ether.h>
#include <linux/netfilter/nf_tables.h>

#include "base/ip.h"
#include "base/mac.h"

namespace vmnet {

using NftBytes = std::vector<uint8_t>;  // a value in the byte order that the kernel compares

// NFPROTO_*, as `table inet ...` says it.
enum class NftFamily : uint8_t { kInet = 1, kIpv4 = 2, kNetdev = 5, kBridge = 7, kIpv6 = 10 };

std::string_view to_string(NftFamily family);

// What can stand in a rule. Keys, bases and codes are those of nf_tables.h.
struct NftMeta {  // iifname, protocol, ... into the register
  uint32_t key = 0;
  bool operator==(const NftMeta&) const = default;
};
struct NftPayload {  // bytes of a header
  uint32_t base = 0;
  uint32_t offset = 0;
  uint32_t length = 0;
  bool operator==(const NftPayload&) const = default;
};
struct NftIpv6Header {  // a field of an IPv6 extension header
  uint8_t header = 0;
  uint32_t offset = 0;
  uint32_t length = 1;
  bool operator==(const NftIpv6Header&) const = default;
};
struct NftConntrack {
  uint32_t key = 0;
  bool operator==(const NftConntrack&) const = default;
};
struct NftMetaSet {  // the register into the packet's mark
  uint32_t key = 0;
  bool operator==(const NftMetaSet&) const = default;
};
struct NftRoute {  // what the routing decision says (NFT_RT_*)
  uint32_t key = 0;
  bool operator==(const NftRoute&) const = default;
};
struct NftMask {  // register = (register & mask) ^ flip
  NftBytes mask;
  NftBytes flip;  // empty: nothing is flipped
  bool operator==(const NftMask&) const = default;
};
struct NftCompare {
  NftBytes value;
  bool equal = true;
  bool operator==(const NftCompare&) const = default;
};
struct NftLookup {
  std::string set;  // a set of the table; empty: the rule's own, `anonymous`
  size_t anonymous = 0;
  bool inverted = false;
  bool operator==(const NftLookup&) const = default;
};
struct NftUpdate {  // puts the register into a set; ends the rule where the set is full
  std::string set;
  bool operator==(const NftUpdate&) const = default;
};
struct NftVerdict {
  int32_t code = 0;
  std::string chain;  // of goto
  bool operator==(const NftVerdict&) const = default;
};
struct NftMasquerade {
  bool operator==(const NftMasquerade&) const = default;
};
using NftExpression =
    std::variant<NftMeta, NftMetaSet, NftPayload, NftIpv6Header, NftConntrack, NftRoute, NftMask,
                 NftCompare, NftLookup, NftUpdate, NftVerdict, NftMasquerade>;

// A field of a header, by its place: RFC 826, RFC 791, RFC 8200, RFC 4861.
struct NftField {
  uint32_t base = 0;
  uint32_t offset = 0;  // bytes
  uint32_t length = 0;
  uint16_t ether_type = 0;  // whose header it is, asked for first; 0: the rule has asked
  bool operator==(const NftField&) const = default;
};
inline constexpr NftField kEtherDestination{NFT_PAYLOAD_LL_HEADER, 0, 6};
inline constexpr NftField kEtherSource{NFT_PAYLOAD_LL_HEADER, 6, 6};
// Of a frame with a VLAN tag, which the kernel takes off: what nft sees in the Ethernet header.
inline constexpr NftField kVlanTag{NFT_PAYLOAD_LL_HEADER, 14, 2};
// Of one with another tag behind that: this tag, and the type of what follows it.
inline constexpr NftField kInnerVlanTag{NFT_PAYLOAD_NETWORK_HEADER, 0, 2};
inline constexpr NftField kInnerVlanType{NFT_PAYLOAD_NETWORK_HEADER, 2, 2};
inline constexpr NftField kArpSenderMac{NFT_PAYLOAD_NETWORK_HEADER, 8, 6, ETH_P_ARP};
inline constexpr NftField kArpSenderIp{NFT_PAYLOAD_NETWORK_HEADER, 14, 4, ETH_P_ARP};
inline constexpr NftField kIpSource{NFT_PAYLOAD_NETWORK_HEADER, 12, 4, ETH_P_IP};
inline constexpr NftField kIpDestination{NFT_PAYLOAD_NETWORK_HEADER, 16, 4, ETH_P_IP};
inline constexpr NftField kIp6Length{NFT_PAYLOAD_NETWORK_HEADER, 4, 2, ETH_P_IPV6};
inline constexpr NftField kIp6NextHeader{NFT_PAYLOAD_NETWORK_HEADER, 6, 1, ETH_P_IPV6};
inline constexpr NftField kIp6Source{NFT_PAYLOAD_NETWORK_HEADER, 8, 16, ETH_P_IPV6};
inline constexpr NftField kIp6Destination{NFT_PAYLOAD_NETWORK_HEADER, 24, 16, ETH_P_IPV6};
// In rules that have asked for the ICMPv6 type.
inline constexpr NftField kTransportType{NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1};
inline constexpr NftField kNeighborTarget{NFT_PAYLOAD_TRANSPORT_HEADER, 8, 16};

// A type of set elements: nft's own number for it (by which nft prints them) and its size.
struct NftType {
  uint32_t id;
  uint32_t length;
  bool host_order = false;  // nft prints it as a number or text of the host's byte order
  bool operator==(const NftType&) const = default;
};
inline constexpr NftType kNftNetfilterProtocol{.id = 2, .length = 1};
inline constexpr NftType kNftIpv4Address{.id = 7, .length = 4};
inline constexpr NftType kNftIpv6Address{.id = 8, .length = 16};
inline constexpr NftType kNftEtherAddress{.id = 9, .length = 6};
inline constexpr NftType kNftEtherType{.id = 10, .length = 2};
inline constexpr NftType kNftInetProtocol{.id = 12, .length = 1};
inline constexpr NftType kNftInetService{.id = 13, .length = 2};
inline constexpr NftType kNftIcmpv6Type{.id = 29, .length = 1};
inline constexpr NftType kNftRaw128{.id = 4, .length = 16};  // what nft has no name for
inline constexpr NftType kNftInterfaceName{.id = 41, .length = 16, .host_order = true};

struct NftElement {
  NftBytes key;
  bool interval_end = false;  // the first value behind an interval
  bool operator==(const NftElement&) const = default;
};

struct NftSet {
  std::string name;  // empty: anonymous, made with its rule
  NftType type{};
  // Of a set of raw values: the field that they are compared with, which nft wants to be told.
  std::optional<NftField> raw_field;
  bool interval = false;
  uint32_t max_size = 0;  // 0: no bound
  // Not 0: rules add elements, which leave when they were not added again for so long.
  std::chrono::milliseconds timeout{0};
  std::vector<NftElement> elements;
  bool operator==(const NftSet&) const = default;
};

NftElement element(const Mac& mac);
NftElement element(const Ipv6& address);
NftElement element(std::string_view interface_name);
NftElement element_ipv6();  // of kNftNetfilterProtocol

struct Ipv6Prefix {
  Ipv6 address;
  int length = 64;  // 1 to 128
  bool operator==(const Ipv6Prefix&) const = default;
};

class NftRule {
 public:
  explicit NftRule(NftFamily family) : family_(family) {}

  // Interface names: exact, or with a trailing * any name that begins so. Sets are named ones.
  NftRule& iifname(std::string_view pattern) { return interface(true, pattern, true); }
  NftRule& iifname_not(std::string_view pattern) { return interface(true, pattern, false); }
  NftRule& iifname_in(std::string_view set);
  NftRule& iifgroup(uint32_t group);  // the device's group (IFLA_GROUP)
  NftRule& oifname(std::string_view pattern) { return interface(false, pattern, true); }
  NftRule& oifname_not(std::string_view pattern) { return interface(false, pattern, false); }

  // Any field against a named set of the table, or a value. update() puts what stands there into a
  // set with a timeout, or keeps it there; where the set is full the rule ends.
  NftRule& in(const NftField& field, std::string_view set);
  NftRule& not_in(const NftField& field, std::string_view set);
  NftRule& update(const NftField& field, std::string_view set);
  NftRule& is(const NftField& field, NftBytes value);
  NftRule& is_not(const NftField& field, NftBytes value);
  NftRule& is_masked(const NftField& field, NftBytes mask, NftBytes value);
  NftRule& one_of(const NftField& field, NftType type, std::span<const uint8_t> values);

  NftRule& ether_saddr(const Mac& mac);
  NftRule& ether_saddr_not(const Mac& mac);
  NftRule& ether_daddr(const Mac& mac);
  NftRule& ether_daddr_masked(const Mac& mask, const Mac& value);

  // The EtherType after the kernel took a VLAN tag off (Linux does before netdev ingress).
  NftRule& meta_protocol(uint16_t ether_type);
  NftRule& meta_protocol_in(std::span<const uint16_t> ether_types);

  // The protocol that an IP packet carries. A packet whose header nft cannot follow to its end has
  // none: each rule that asks for it, or for what it carries, passes it by.
  NftRule& meta_l4proto_not(uint8_t protocol);

  // Whom a frame is for, as eth_type_trans() finds it by the device's own MAC.
  NftRule& meta_pkttype_host();       // the device itself
  NftRule& meta_pkttype_not_other();  // the device itself or many
  NftRule& meta_nfproto_ipv4();       // inet family
  NftRule& meta_nfproto_ipv6();
  NftRule& meta_nfproto_in(std::string_view set);

  // The packet's mark, which stays with it on its way through the host: all of the bits set, none
  // of them; and changed in place.
  NftRule& mark_has(uint32_t bits);
  NftRule& mark_lacks(uint32_t bits);
  NftRule& set_mark_bits(uint32_t bits);
  NftRule& clear_mark_bits(uint32_t bits);

  NftRule& arp_saddr_ip(Ipv4 address) {
    return arp_saddr_ip({.address = address, .prefix_length = 32});
  }
  NftRule& arp_saddr_ip(const Ipv4Subnet& subnet);
  NftRule& arp_saddr_ip_not(Ipv4 address);
  NftRule& ip_saddr(Ipv4 address) { return ip_saddr({.address = address, .prefix_length = 32}); }
  NftRule& ip_saddr(const Ipv4Subnet& subnet);
  NftRule& ip_saddr_not(Ipv4 address) {
    return ip_saddr_not({.address = address, .prefix_length = 32});
  }
  NftRule& ip_saddr_not(const Ipv4Subnet& subnet);
  NftRule& ip_daddr(const Ipv4Subnet& subnet);

  NftRule& ip6_saddr(const Ipv6& address) { return ip6_saddr({.address = address, .length = 128}); }
  NftRule& ip6_saddr(const Ipv6Prefix& prefix);
  NftRule& ip6_daddr(const Ipv6Prefix& prefix);
  NftRule& ip6_saddr_not(const Ipv6Prefix& prefix);
  NftRule& ip6_saddr_not_in(std::span<const Ipv6Prefix> prefixes);

  // What the IPv6 fragment header says follows it in the whole packet.
  NftRule& frag_nexthdr_in(std::span<const uint8_t> protocols);

  NftRule& udp_sport_in(std::span<const uint16_t> ports);
  NftRule& udp_dport_in(std::span<const uint16_t> ports);
  NftRule& icmpv6_type(uint8_t type);
  NftRule& icmpv6_type_in(std::span<const uint8_t> types);

  // Raw bytes of the network header (@nh), `offset` in bytes.
  NftRule& network_bytes(uint32_t offset, NftBytes value);

  // Any of the bits: NF_CT_STATE_BIT(...), IPS_*.
  NftRule& ct_state(uint32_t bits);
  NftRule& ct_status(uint32_t bits);

  // The neighbour that a routed packet goes to next (forward hook), into a set with a timeout.
  NftRule& update_ip_nexthop(std::string_view set);
  NftRule& update_ip6_nexthop(std::string_view set);

  // Verdicts: the last call of a rule.
  void accept();
  void drop();
  void go_to(std::string_view chain);
  void masquerade();

  const std::vector<NftExpression>& expressions() const { return expressions_; }
  const std::vector<NftSet>& anonymous_sets() const { return anonymous_sets_; }

 private:
  NftRule& add(NftExpression expression);
  NftRule& load(const NftField& field);
  NftRule& compare(NftBytes value, bool equal = true);
  NftRule& lookup(NftSet set, bool inverted = false);
  NftRule& interface(bool incoming, std::string_view pattern, bool equal);
  NftRule& address(const NftField& field, std::span<const uint8_t> value, int prefix_length,
                   bool equal);
  NftRule& conntrack_bits(uint32_t key, uint32_t bits);
  // The dependencies, each once a rule.
  NftRule& need_ethernet();
  NftRule& need_protocol(uint16_t ether_type);
  NftRule& need_transport(uint8_t protocol);

  NftFamily family_;
  std::optional<uint16_t> protocol_;
  std::optional<uint8_t> transport_;
  std::vector<NftExpression> expressions_;
  std::vector<NftSet> anonymous_sets_;
};

// Where a base chain is called from.
struct NftHook {
  std::string type = "filter";
  uint32_t number = 0;  // NF_INET_*, NF_BR_*, NF_NETDEV_*
  int32_t priority = 0;
  std::string device;  // netdev family only
};

class NftChain {
 public:
  NftChain(NftFamily family, std::string_view name, std::optional<NftHook> hook)
      : family_(family), name_(name), hook_(std::move(hook)) {}

  // A new last rule. The reference holds until the table is moved.
  NftRule& rule() { return rules_.emplace_back(family_); }

  const std::string& name() const { return name_; }
  const std::optional<NftHook>& hook() const { return hook_; }
  const std::deque<NftRule>& rules() const { return rules_; }

 private:
  NftFamily family_;
  std::string name_;
  std::optional<NftHook> hook_;
  std::deque<NftRule> rules_;
};

// A table with all that is in it.
class NftTable {
 public:
  NftTable(NftFamily family, std::string_view name) : family_(family), name_(name) {}

  // A base chain, policy accept.
  NftChain& chain(std::string_view name, NftHook hook) {
    return chains_.emplace_back(family_, name, std::move(hook));
  }
  // A chain for go_to. Chains exist before any rule does, so their order does not matter.
  NftChain& chain(std::string_view name) {
    return chains_.emplace_back(family_, name, std::nullopt);
  }
  void set(NftSet set) { sets_.push_back(std::move(set)); }

  NftFamily family() const { return family_; }
  const std::string& name() const { return name_; }
  const std::deque<NftChain>& chains() const { return chains_; }
  const std::vector<NftSet>& sets() const { return sets_; }

 private:
  NftFamily family_;
  std::string name_;
  std::deque<NftChain> chains_;
  std::vector<NftSet> sets_;
};

}  // namespace vmnet
