#include "linux/nft/builder.h"

#include <algorithm>
#include <utility>

#include <linux/if_arp.h>
#include <linux/netfilter.h>

namespace vmnet {
namespace {

constexpr NftField kIifType = nft_meta(NFT_META_IIFTYPE, {.length = 2, .host_order = true});

// How many leading bits of a value count, where not all do.
std::optional<int> prefix_length_of(const NftValue& value) {
  if (const auto* subnet = std::get_if<Ipv4Subnet>(&value)) return subnet->prefix_length;
  if (const auto* prefix = std::get_if<Ipv6Prefix>(&value)) return prefix->length;
  return std::nullopt;
}

// The first `bits` bits of `size` bytes set.
NftBytes prefix_mask(size_t size, int bits) {
  NftBytes mask(size);
  for (int i = 0; i < bits; i++) {
    mask[static_cast<size_t>(i) / 8] |= static_cast<uint8_t>(0x80 >> (i % 8));
  }
  return mask;
}

// The first address behind a prefix; nothing where the prefix ends with the address space.
std::optional<NftBytes> end_of(NftBytes end, int length) {
  const int carry_bit = length - 1;
  unsigned add = 0x80U >> (carry_bit % 8);
  for (int i = carry_bit / 8; i >= 0; i--) {
    unsigned sum = end[static_cast<size_t>(i)] + add;
    end[static_cast<size_t>(i)] = static_cast<uint8_t>(sum);
    if (sum <= 0xff) return end;
    add = 1;
  }
  return std::nullopt;
}

// With a prefix among them all are intervals, as nft has it.
NftSet anonymous_set(const NftType& type, const std::vector<NftValue>& values) {
  NftSet set{.type = type};
  set.interval = std::ranges::any_of(
      values, [](const auto& value) { return prefix_length_of(value).has_value(); });
  for (const NftValue& value : values) {
    NftBytes key = nft_bytes(type, value);
    const int whole = static_cast<int>(8 * key.size());
    auto end = set.interval ? end_of(key, prefix_length_of(value).value_or(whole)) : std::nullopt;
    set.elements.push_back({.key = std::move(key)});
    if (end) set.elements.push_back({.key = std::move(*end), .interval_end = true});
  }
  if (!set.interval) return set;
  std::ranges::sort(set.elements, {}, &NftElement::key);
  NftElement zero{.key = NftBytes(type.length), .interval_end = true};  // what nft begins with
  if (set.elements.front().key != zero.key) set.elements.insert(set.elements.begin(), zero);
  return set;
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

NftSet nft_set(std::string_view name, const NftType& type, const std::vector<NftValue>& values) {
  NftSet set{.name = std::string(name), .type = type};
  for (const NftValue& value : values) set.elements.push_back({.key = nft_bytes(type, value)});
  return set;
}

NftRule& NftRule::add(NftExpression expression) {
  expressions_.push_back(std::move(expression));
  return *this;
}

void NftRule::need_ethernet() {
  // The bridge family has Ethernet frames only; elsewhere the device's type is asked first.
  if (family_ == NftFamily::kBridge || ethernet_) return;
  ethernet_ = true;
  is(kIifType, uint32_t{ARPHRD_ETHER});
}

NftRule& NftRule::need_protocol(uint16_t ether_type) {
  if (protocol_ == ether_type) return *this;
  protocol_ = ether_type;
  if (family_ == NftFamily::kInet) {
    return is(kNfProtocol, uint32_t{ether_type == ETH_P_IP ? NFPROTO_IPV4 : NFPROTO_IPV6});
  }
  // In the bridge family nft asks for the type in the frame's header for ARP, which in a frame
  // with a VLAN tag is the tag's; `meta protocol` sees behind the tag and is listed alike.
  return is(kProtocol, uint32_t{ether_type});
}

void NftRule::need_transport(uint8_t protocol) {
  if (transport_ == protocol) return;
  transport_ = protocol;
  is(kL4Protocol, uint32_t{protocol});
}

NftRule& NftRule::load(const NftField& field) {
  const bool header = field.source == NftSource::kHeader;
  if (header && field.key == NFT_PAYLOAD_LL_HEADER) need_ethernet();
  if (field.ether_type != 0) need_protocol(field.ether_type);
  if (field.transport != 0) need_transport(field.transport);
  return add(NftLoad{field});
}

NftRule& NftRule::match(const NftField& field, const NftValue& value, bool equal) {
  NftBytes bytes = nft_bytes(field.type, value);
  if (auto length = prefix_length_of(value)) return match_prefix(field, bytes, *length, equal);
  return load(field).add(NftCompare{.value = std::move(bytes), .equal = equal});
}

NftRule& NftRule::match_prefix(const NftField& field, const NftBytes& value, int length,
                               bool equal) {
  if (length % 8 != 0) {
    load(field).add(NftMask{.mask = prefix_mask(value.size(), length)});
    return add(NftCompare{.value = value, .equal = equal});
  }
  NftField part = field;  // whole bytes: compare only those, as nft does
  part.type.length = static_cast<uint32_t>(length / 8);
  return load(part).add(
      NftCompare{.value = {value.begin(), value.begin() + length / 8}, .equal = equal});
}

NftRule& NftRule::match_any(const NftField& field, const std::vector<NftValue>& values,
                            bool equal) {
  if (values.size() == 1) return match(field, values.front(), equal);  // as nft has it
  load(field);
  anonymous_sets_.push_back(anonymous_set(field.type, values));
  if (field.type.id == kNftRaw128.id) anonymous_sets_.back().raw_field = field;
  return add(NftLookup{.set = {}, .anonymous = anonymous_sets_.size() - 1, .inverted = !equal});
}

NftRule& NftRule::one_of(const NftField& field, const std::vector<NftValue>& values) {
  return match_any(field, values, true);
}

NftRule& NftRule::none_of(const NftField& field, const std::vector<NftValue>& values) {
  return match_any(field, values, false);
}

NftRule& NftRule::in(const NftField& field, std::string_view set) {
  return load(field).add(NftLookup{.set = std::string(set)});
}

NftRule& NftRule::not_in(const NftField& field, std::string_view set) {
  return load(field).add(NftLookup{.set = std::string(set), .inverted = true});
}

NftRule& NftRule::is_masked(const NftField& field, const NftValue& mask, const NftValue& value) {
  return load(field)
      .add(NftMask{.mask = nft_bytes(field.type, mask)})
      .add(NftCompare{.value = nft_bytes(field.type, value)});
}

NftRule& NftRule::has_some(const NftField& field, uint32_t bits) {
  return load(field)
      .add(NftMask{.mask = nft_bytes(field.type, bits)})
      .add(NftCompare{.value = NftBytes(field.type.length), .equal = false});
}

NftRule& NftRule::update(const NftField& field, const NftBoundedSet& set) {
  return load(field).add(NftUpdate{.set = std::string(set.name),
                                   .timeout = set.timeout,
                                   .limit = set.limit,
                                   .connections = set.connections});
}

NftRule& NftRule::add(const NftField& field, const NftBoundedSet& set) {
  return load(field).add(
      NftUpdate{.set = std::string(set.name), .timeout = set.timeout, .refresh = false});
}

NftRule& NftRule::over(NftLimit limit) {
  limit.over = true;
  return add(limit);
}

NftRule& NftRule::set_mark_bits(uint32_t bits) {
  return load(kMark)
      .add(NftMask{.mask = nft_bytes(kMark.type, ~bits), .flip = nft_bytes(kMark.type, bits)})
      .add(NftMetaSet{.key = NFT_META_MARK});
}

NftRule& NftRule::clear_mark_bits(uint32_t bits) {
  return load(kMark)
      .add(NftMask{.mask = nft_bytes(kMark.type, ~bits)})
      .add(NftMetaSet{.key = NFT_META_MARK});
}

void NftRule::accept() { add(NftVerdict{.code = NF_ACCEPT}); }

void NftRule::drop() { add(NftVerdict{.code = NF_DROP}); }

void NftRule::go_to(std::string_view chain) {
  add(NftVerdict{.code = NFT_GOTO, .chain = std::string(chain)});
}

void NftRule::jump(std::string_view chain) {
  add(NftVerdict{.code = NFT_JUMP, .chain = std::string(chain)});
}

void NftRule::leave() { add(NftVerdict{.code = NFT_RETURN}); }

void NftRule::masquerade(const std::optional<NftPorts>& ports) { add(NftMasquerade{ports}); }

}  // namespace vmnet
