#include "linux/host/network_record.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/dns_label.h"
#include "base/parse.h"

namespace vmnet {
namespace {

constexpr std::string_view kMagic = "vmnet-helper";

struct KindName {
  NetworkKind kind;
  std::string_view name;
  std::string_view bridge_prefix;
};
constexpr std::array<KindName, 3> kKinds = {{
    {NetworkKind::kShared, "shared", "vmnet-shared"},
    {NetworkKind::kHost, "host", "vmnet-host"},
    {NetworkKind::kPrivate, "private", "vmnet-priv"},
}};

const KindName& names_of(NetworkKind kind) {
  return *std::ranges::find(kKinds, kind, &KindName::kind);
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    size_t end = std::min(text.find(' '), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

// The part of `word` behind "KEY=", nothing where it has another key.
std::optional<std::string_view> value_of(std::string_view word, std::string_view key) {
  if (!word.starts_with(key) || word.size() <= key.size() || word[key.size()] != '=') {
    return std::nullopt;
  }
  return word.substr(key.size() + 1);
}

// "192.168.64.1-192.168.64.254/24"
std::optional<AddressRange> parse_range(std::string_view text) {
  size_t dash = text.find('-');
  size_t slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || slash < dash) {
    return std::nullopt;
  }
  auto start = parse_ipv4(text.substr(0, dash));
  auto end = parse_ipv4(text.substr(dash + 1, slash - dash - 1));
  auto length = parse_unsigned<uint8_t>(text.substr(slash + 1));
  if (!start || !end || !length || *length > 32) return std::nullopt;
  return AddressRange{.start = *start, .end = *end, .prefix_length = *length};
}

// "vmnet-shared0:old=4:eth0:0", or "...:0,apart". No device's name has a colon.
constexpr std::string_view kOld = ":old=";
constexpr std::string_view kApart = ",apart";

std::optional<OldSetting> parse_note(std::string_view name) {
  size_t start = name.find(kOld);
  if (start == std::string_view::npos) return std::nullopt;
  std::string_view text = name.substr(start + kOld.size());
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon < 3 || text[1] != ':') return std::nullopt;
  using Key = OldSetting::Key;
  auto key = static_cast<Key>(text[0]);
  if (key != Key::kIpv4Forwarding && key != Key::kIpv6ForceForwarding &&
      key != Key::kIpv6Forwarding && key != Key::kAcceptRa) {
    return std::nullopt;
  }
  std::string_view number = text.substr(colon + 1);
  const bool apart = number.ends_with(kApart);
  if (apart) number.remove_suffix(kApart.size());
  auto value = parse_unsigned<uint16_t>(number);
  if (!value) return std::nullopt;
  return OldSetting{.key = key,
                    .device = std::string(text.substr(2, colon - 2)),
                    .value = *value,
                    .apart = apart};
}

bool parse_network_word(std::string_view word, NetworkRecord& record) {
  if (auto id = value_of(word, "id")) {
    record.id = parse_uuid(*id);
    return record.id.has_value();
  }
  if (auto name = value_of(word, "name")) {
    record.name = *name;
    return parse_dns_label(record.name) == record.name;
  }
  if (auto user = value_of(word, "uid")) {
    record.user = parse_unsigned<uid_t>(*user);
    return record.user.has_value();
  }
  if (auto prefix = value_of(word, "ipv6")) {
    record.ipv6_prefix = parse_ipv6(*prefix);
    return record.ipv6_prefix.has_value();
  }
  record.addresses = parse_range(word);
  return record.addresses.has_value();
}

std::optional<NetworkRecord> parse_network_alias(std::string_view alias) {
  auto words = words_of(alias);
  if (words.size() < 2 || words[0] != kMagic) return std::nullopt;
  auto kind = std::ranges::find(kKinds, words[1], &KindName::name);
  if (kind == kKinds.end()) return std::nullopt;
  NetworkRecord record{.kind = kind->kind};
  for (size_t i = 2; i < words.size(); i++) {
    if (!parse_network_word(words[i], record)) return std::nullopt;
  }
  const bool has_owner = record.id || !record.name.empty();
  if (record.user && !has_owner) return std::nullopt;
  return record;
}

}  // namespace

std::string to_alias(const NetworkRecord& record) {
  std::string alias = fmt::format("{} {}", kMagic, names_of(record.kind).name);
  if (const auto& range = record.addresses) {
    alias += fmt::format(" {}-{}/{}", to_string(range->start), to_string(range->end),
                         range->prefix_length);
  }
  if (record.id) alias += fmt::format(" id={}", to_string(*record.id));
  if (!record.name.empty()) alias += fmt::format(" name={}", record.name);
  if (record.user) alias += fmt::format(" uid={}", *record.user);
  if (record.ipv6_prefix) alias += fmt::format(" ipv6={}", to_string(*record.ipv6_prefix));
  return alias;
}

std::string to_note(std::string_view bridge, const OldSetting& old) {
  return fmt::format("{}{}{}:{}:{}{}", bridge, kOld, static_cast<char>(old.key), old.device,
                     old.value, old.apart ? kApart : "");
}

std::string to_alias(const VmRecord& record) {
  return fmt::format("{} vm{}{} mac={} uid={} id={}", kMagic, record.address ? " " : "",
                     record.address ? to_string(*record.address) : "", to_string(record.mac),
                     record.uid, to_string(record.interface_id)) +
         (record.ipv6_prefix ? " ipv6=" + to_string(*record.ipv6_prefix) : "");
}

std::vector<OldSetting> take_momentary_settings(NetworkRecord& record) {
  std::vector<OldSetting> momentary;
  std::erase_if(record.old_settings, [&momentary](const OldSetting& old) {
    if (old.key != OldSetting::Key::kAcceptRa) return false;
    momentary.push_back(old);
    return true;
  });
  return momentary;
}

std::optional<NetworkRecord> parse_network_record(const Link& bridge) {
  auto record = parse_network_alias(bridge.alias);
  if (!record) return std::nullopt;
  for (const std::string& name : bridge.alternative_names) {
    if (auto old = parse_note(name)) record->old_settings.push_back(*old);
  }
  return record;
}

std::optional<VmRecord> parse_vm_alias(std::string_view alias) {
  auto words = words_of(alias);
  if (words.size() < 5 || words[0] != kMagic || words[1] != "vm") return std::nullopt;
  VmRecord record;
  size_t next = 2;
  if (words[next].find('=') == std::string_view::npos) {
    record.address = parse_ipv4(words[next++]);
    if (!record.address) return std::nullopt;
  }
  const bool has_prefix = words.size() == next + 4;
  if (words.size() != next + 3 && !has_prefix) return std::nullopt;
  if (has_prefix) {
    record.ipv6_prefix = parse_ipv6(value_of(words[next + 3], "ipv6").value_or(""));
    if (!record.ipv6_prefix) return std::nullopt;
  }
  auto mac = parse_mac(value_of(words[next], "mac").value_or(""));
  auto uid = parse_unsigned<uid_t>(value_of(words[next + 1], "uid").value_or(""));
  auto id = parse_uuid(value_of(words[next + 2], "id").value_or(""));
  if (!mac || !uid || !id) return std::nullopt;
  record.mac = *mac;
  record.uid = *uid;
  record.interface_id = *id;
  return record;
}

std::string_view bridge_name_prefix(NetworkKind kind) { return names_of(kind).bridge_prefix; }

bool has_bridge_name_prefix(std::string_view name) {
  return std::ranges::any_of(
      kKinds, [name](const KindName& kind) { return name.starts_with(kind.bridge_prefix); });
}

bool is_own_bridge(const Link& link) {
  return link.kind == "bridge" && link.name.starts_with(kOwnPrefix) &&
         std::equal(kBridgeMacPrefix.begin(), kBridgeMacPrefix.end(), link.mac.bytes.begin());
}

bool is_vm_device_name(std::string_view name) {
  return name.starts_with(kTapPrefix) || name.starts_with(kMacvtapPrefix);
}

bool is_own_vm_device(const Link& link) {
  return (link.kind == "tun" && link.name.starts_with(kTapPrefix)) ||
         (link.kind == "macvtap" && link.name.starts_with(kMacvtapPrefix));
}

}  // namespace vmnet
