// nftables rules as data, built by calls that read like the rule's text:
//
//   chain.rule().is(kIifName, "vmnet-tap0").is(kEtherSource, mac).drop();
//
// is `iifname "vmnet-tap0" ether saddr 0e:76:6d:00:00:01 drop`. Pure: nothing here talks to the
// kernel (batch.h does), so what a rule matches can be tested without privilege.
//
// A rule is a list of expressions on one register: load a field, mask it, compare it, decide. Each
// expression that does not match ends the rule. Protocol dependencies (a source port needs "is
// UDP" before it) are added where nft 1.0 adds them, since that is how `nft list ruleset` knows to
// print `udp sport 67` and not raw bytes. Source: linux/netfilter/nf_tables.h; `nft
// --debug=netlink`.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "linux/nft/fields.h"

namespace vmnet {

// NFPROTO_*, as `table inet ...` says it.
enum class NftFamily : uint8_t { kInet = 1, kIpv4 = 2, kNetdev = 5, kBridge = 7, kIpv6 = 10 };

std::string_view to_string(NftFamily family);

// What can stand in a rule. Codes are those of nf_tables.h.
struct NftLoad {  // a field into the register
  NftField field;
  bool operator==(const NftLoad&) const = default;
};
struct NftMetaSet {  // the register into the packet's mark
  uint32_t key = 0;
  bool operator==(const NftMetaSet&) const = default;
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
// A token bucket: so many packets (or bytes) a second, and so many at once. Where they are spent
// the rule ends, or, with `over`, where they are not.
struct NftLimit {
  uint32_t rate = 0;
  uint32_t burst = 0;
  bool bytes = false;
  bool over = false;
  bool operator==(const NftLimit&) const = default;
};
// Puts the register into a set for so long; ends the rule where it is full. An element may hold a
// bucket and a count of connections of its own, of which both must have room.
struct NftUpdate {
  std::string set;
  std::chrono::milliseconds timeout{0};  // 0: until it counts no connection
  bool refresh = true;                   // one that is there already lives on for that long
  std::optional<NftLimit> limit;
  uint32_t connections = 0;  // 0: not counted
  bool operator==(const NftUpdate&) const = default;
};
struct NftVerdict {
  int32_t code = 0;
  std::string chain;  // of goto and jump
  bool operator==(const NftVerdict&) const = default;
};
struct NftPorts {  // both included
  uint16_t first = 0;
  uint16_t last = 0;
  bool operator==(const NftPorts&) const = default;
};
struct NftMasquerade {
  std::optional<NftPorts> ports;  // of the host's, ICMP's ids too
  bool operator==(const NftMasquerade&) const = default;
};
using NftExpression = std::variant<NftLoad, NftMetaSet, NftMask, NftCompare, NftLookup, NftUpdate,
                                   NftLimit, NftVerdict, NftMasquerade>;

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
  bool dynamic = false;   // rules add elements
  bool lasting = false;   // those have no timeout
  std::vector<NftElement> elements;
  bool operator==(const NftSet&) const = default;
};

// A set of values.
NftSet nft_set(std::string_view name, const NftType& type, const std::vector<NftValue>& values);

// A set that rules fill: an element leaves it when it was not put there again for so long; where it
// is full the rule that would add one ends. With a limit, or connections counted, an element also
// bounds what the rule lets pass of the packets that have it.
struct NftBoundedSet {
  std::string_view name;
  NftType type;
  uint32_t max_size = 0;
  std::chrono::milliseconds timeout{0};
  std::optional<NftLimit> limit = {};
  uint32_t connections = 0;  // instead of a timeout
};

class NftRule {
 public:
  explicit NftRule(NftFamily family) : family_(family) {}

  // A field against a value, values, or a named set of the table.
  NftRule& is(const NftField& field, const NftValue& value) { return match(field, value, true); }
  NftRule& is_not(const NftField& field, const NftValue& value) {
    return match(field, value, false);
  }
  NftRule& one_of(const NftField& field, const std::vector<NftValue>& values);
  NftRule& none_of(const NftField& field, const std::vector<NftValue>& values);
  NftRule& in(const NftField& field, std::string_view set);
  NftRule& not_in(const NftField& field, std::string_view set);

  // Of a field's bits: those of the mask are the value's; all of them set; none; some.
  NftRule& is_masked(const NftField& field, const NftValue& mask, const NftValue& value);
  NftRule& has_all(const NftField& field, uint32_t bits) { return is_masked(field, bits, bits); }
  NftRule& has_none(const NftField& field, uint32_t bits) {
    return is_masked(field, bits, uint32_t{0});
  }
  NftRule& has_some(const NftField& field, uint32_t bits);

  // Puts what stands there into the set; add() leaves what is there already as old as it is.
  NftRule& update(const NftField& field, const NftBoundedSet& set);
  NftRule& add(const NftField& field, const NftBoundedSet& set);

  // Ends the rule unless there is more than the limit allows.
  NftRule& over(NftLimit limit);

  // Changes the packet's mark in place.
  NftRule& set_mark_bits(uint32_t bits);
  NftRule& clear_mark_bits(uint32_t bits);

  // Asks for the protocol, by itself.
  NftRule& ip() { return need_protocol(ETH_P_IP); }
  NftRule& ip6() { return need_protocol(ETH_P_IPV6); }

  // Verdicts: the last call of a rule.
  void accept();
  void drop();
  void go_to(std::string_view chain);
  void jump(std::string_view chain);
  void leave();  // "return"
  void masquerade(const std::optional<NftPorts>& ports = {});

  const std::vector<NftExpression>& expressions() const { return expressions_; }
  const std::vector<NftSet>& anonymous_sets() const { return anonymous_sets_; }

 private:
  NftRule& add(NftExpression expression);
  NftRule& load(const NftField& field);
  NftRule& match(const NftField& field, const NftValue& value, bool equal);
  NftRule& match_prefix(const NftField& field, const NftBytes& value, int length, bool equal);
  NftRule& match_any(const NftField& field, const std::vector<NftValue>& values, bool equal);
  // The dependencies, each once a rule.
  void need_ethernet();
  NftRule& need_protocol(uint16_t ether_type);
  void need_transport(uint8_t protocol);

  NftFamily family_;
  bool ethernet_ = false;
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
  NftChain(NftFamily family, std::string_view name) : family_(family), name_(name) {}
  NftChain(NftFamily family, std::string_view name, NftHook hook)
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
  NftChain& chain(std::string_view name) { return chains_.emplace_back(family_, name); }
  void set(NftSet set) { sets_.push_back(std::move(set)); }
  void bounded_set(const NftBoundedSet& set) {
    sets_.push_back({.name = std::string(set.name),
                     .type = set.type,
                     .max_size = set.max_size,
                     .dynamic = true,
                     .lasting = set.timeout.count() == 0});
  }

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
