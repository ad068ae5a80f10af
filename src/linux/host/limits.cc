#include "linux/host/limits.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/dns_label.h"
#include "base/parse.h"

namespace vmnet {
namespace {

constexpr std::string_view kBlanks = " \t";
constexpr uid_t kRoot = 0;

std::string_view trimmed(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

std::vector<std::string_view> values_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    size_t end = std::min(text.find_first_of(kBlanks), text.size());
    words.push_back(text.substr(0, end));
    text = trimmed(text.substr(end));
  }
  return words;
}

// What a line holds is told as it is where that is safe to print.
std::string shown(std::string_view text) {
  constexpr size_t kLongest = 64;
  std::string out;
  for (char c : text.substr(0, kLongest)) out += c >= 0x20 && c < 0x7f ? c : '?';
  return "'" + out + "'";
}

Result<unsigned> parse_number(std::string_view text, unsigned least, unsigned most) {
  auto number = parse_unsigned<unsigned>(text);
  if (!number || *number < least || *number > most) {
    return fail(fmt::format("{}: not a number from {} to {}", shown(text), least, most));
  }
  return *number;
}

// "10.20.0.0/16": private, with no bit behind the prefix.
Result<Ipv4Subnet> parse_subnet(std::string_view text) {
  size_t slash = std::min(text.find('/'), text.size());
  auto address = parse_ipv4(text.substr(0, slash));
  auto length =
      slash == text.size() ? std::nullopt : parse_unsigned<uint8_t>(text.substr(slash + 1));
  if (!address || !length || *length > 32) {
    return fail(shown(text) + ": not a subnet such as 10.20.0.0/16");
  }
  Ipv4Subnet subnet = subnet_of(*address, *length);
  if (subnet.address != *address) {
    return fail(fmt::format("{}: write {}", shown(text), to_string(subnet)));
  }
  if (!is_private(subnet.address) || !is_private(subnet.broadcast())) {
    return fail(shown(text) + ": not all private (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16)");
  }
  return subnet;
}

Result<Uuid> parse_network_id(std::string_view text) {
  auto id = parse_uuid(text);
  if (!id) return fail(shown(text) + ": not a UUID");
  return *id;
}

Result<std::string> parse_network_name(std::string_view text) {
  auto name = parse_dns_label(text);
  if (!name) return fail(shown(text) + ": not one DNS label");
  return *name;
}

// The name of a device (dev_valid_name of the kernel).
Result<std::string> parse_device(std::string_view text) {
  constexpr size_t kLongestName = 15;
  if (text.size() > kLongestName || text.find('/') != text.npos || text.find(':') != text.npos ||
      text == "." || text == "..") {
    return fail(shown(text) + ": not the name of a network interface");
  }
  return std::string(text);
}

template <typename T>
Result<std::vector<T>> parse_list(std::string_view value, Result<T> (*parse)(std::string_view)) {
  std::vector<T> list;
  for (std::string_view word : values_of(value)) {
    auto item = parse(word);
    if (!item) return pass(item);
    list.push_back(std::move(*item));
  }
  return list;
}

template <typename T, typename U>
Status store(Result<T> value, U& place) {
  if (!value) return pass(value);
  place = static_cast<U>(std::move(*value));
  return {};
}

struct Setting {
  std::string_view name;
  Status (*set)(std::string_view value, Limits& limits);
};

constexpr std::array<Setting, 6> kKeys = {{
    {"largest-subnet",
     [](std::string_view value, Limits& limits) {
       return store(parse_number(value, 8, 30), limits.largest_subnet);
     }},
    {"subnets",
     [](std::string_view value, Limits& limits) {
       return store(parse_list(value, parse_subnet), limits.subnets);
     }},
    {"shared-interfaces",
     [](std::string_view value, Limits& limits) {
       return store(parse_list(value, parse_device), limits.shared_interfaces);
     }},
    {"networks-per-user",
     [](std::string_view value, Limits& limits) {
       return store(parse_number(value, 0, 1000), limits.networks_per_user);
     }},
    {"shared-network-ids",
     [](std::string_view value, Limits& limits) {
       return store(parse_list(value, parse_network_id), limits.shared_network_ids);
     }},
    {"shared-networks",
     [](std::string_view value, Limits& limits) {
       return store(parse_list(value, parse_network_name), limits.shared_networks);
     }},
}};

Status parse_line(std::string_view line, Limits& limits, std::vector<std::string_view>& seen) {
  // Not letters of other alphabets, in comments.
  auto is_control = [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; };
  if (std::ranges::any_of(line, is_control)) {
    return fail("holds a control character");
  }
  line = trimmed(line);
  if (line.empty() || line.front() == '#') return {};
  size_t equals = line.find('=');
  if (equals == line.npos) return fail(shown(line) + ": not of the form key = value");
  const std::string_view name = trimmed(line.substr(0, equals));
  auto key = std::ranges::find(kKeys, name, &Setting::name);
  if (key == kKeys.end()) return fail(shown(name) + ": no such key");
  if (std::ranges::find(seen, name) != seen.end()) {
    return fail(fmt::format("{} is given twice", name));
  }
  seen.push_back(name);
  auto set = key->set(trimmed(line.substr(equals + 1)), limits);
  if (!set) return fail(fmt::format("{} {}", name, set.error().message));
  return {};
}

std::string list_of(const std::vector<Ipv4Subnet>& subnets) {
  std::vector<std::string> texts;
  for (const Ipv4Subnet& subnet : subnets) texts.push_back(to_string(subnet));
  return texts.empty() ? "none" : fmt::format("{}", fmt::join(texts, ", "));
}

bool contains(const Ipv4Subnet& outer, const Ipv4Subnet& inner) {
  return outer.prefix_length <= inner.prefix_length && outer.contains(inner.address);
}

Status check_subnet(const Ipv4Subnet& subnet, uid_t user, const Limits& limits) {
  if (subnet.prefix_length < limits.largest_subnet) {
    const Ipv4Subnet largest{.prefix_length = limits.largest_subnet};
    return fail(fmt::format(
        "subnet {} is larger than users of this host may have: use the mask {} or a longer one, or "
        "have the administrator allow it ('largest-subnet' in {})",
        to_string(subnet), to_string(largest.mask()), kLimitsFile));
  }
  if (!may_use_subnet(user, subnet, limits)) {
    return fail(fmt::format(
        "subnet {} is none that users of this host may have; these are: {} ('subnets' in {})",
        to_string(subnet), list_of(*limits.subnets), kLimitsFile));
  }
  return {};
}

Status check_shared_interface(const std::string& name, const Limits& limits) {
  const auto& allowed = limits.shared_interfaces;
  if (!allowed || std::ranges::find(*allowed, name) != allowed->end()) return {};
  return fail(fmt::format(
      "--shared-interface '{}': none that users of this host may share; these are: {} "
      "('shared-interfaces' in {})",
      name, allowed->empty() ? "none" : fmt::format("{}", fmt::join(*allowed, ", ")), kLimitsFile));
}

template <typename Name>
std::optional<uid_t> owner(uid_t user, const Name& name, const std::vector<Name>& everybodys) {
  if (std::ranges::find(everybodys, name) != everybodys.end()) return std::nullopt;
  return user;
}

}  // namespace

Result<Limits> parse_limits(std::string_view text) {
  Limits limits;
  std::vector<std::string_view> seen;
  for (int number = 1; !text.empty(); number++) {
    size_t end = std::min(text.find('\n'), text.size());
    if (auto parsed = parse_line(text.substr(0, end), limits, seen); !parsed) {
      return fail(fmt::format("line {}: {}", number, parsed.error().message));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return limits;
}

Status check_request(const NetworkConfig& config, uid_t user, const Limits& limits) {
  if (user == kRoot) return {};
  if (config.mode == Mode::kBridged) {
    return check_shared_interface(config.shared_interface, limits);
  }
  const auto& range = config.private_network ? config.private_network->addresses : config.addresses;
  return range ? check_subnet(range->subnet(), user, limits) : Status{};
}

Status check_network_count(uid_t user, size_t networks, const Limits& limits) {
  if (user == kRoot || networks < limits.networks_per_user) return {};
  return fail(fmt::format(
      "your VMs are in {} networks already, and users of this host may make no more than {}: end "
      "some, or have VMs join a network of yours, or have the administrator allow more "
      "('networks-per-user' in {})",
      networks, limits.networks_per_user, kLimitsFile));
}

bool may_use_subnet(uid_t user, const Ipv4Subnet& subnet, const Limits& limits) {
  return user == kRoot || !limits.subnets ||
         std::ranges::any_of(*limits.subnets, [&subnet](const Ipv4Subnet& allowed) {
           return contains(allowed, subnet);
         });
}

std::optional<uid_t> owner_of_network(uid_t user, const Uuid& network_id, const Limits& limits) {
  return owner(user, network_id, limits.shared_network_ids);
}

std::optional<uid_t> owner_of_network(uid_t user, const std::string& name, const Limits& limits) {
  return owner(user, name, limits.shared_networks);
}

}  // namespace vmnet
