// Drives src/linux's nftables modules from the integration tests, one line a command, so that the
// rules can be tested without a helper around them. In a private network namespace, as root.
//
//   rules_tool network OMIT KEY=VALUE...
//   rules_tool vm OMIT KEY=VALUE...  installs the rules of a network, or of one of its VMs, without
//                                    those that OMIT names: FAMILY/TABLE/CHAIN/NUMBER, numbered
//                                    from 0, separated by commas; prints "installed", and removes
//                                    them when standard input ends
//   rules_tool lock MILLISECONDS [UID]
//                                   takes the lock, prints "locked MICROSECONDS", holds it until
//                                   standard input ends, releases it, prints "released
//                                   MICROSECONDS"
//   rules_tool firewall             prints what check_firewall() says
#include <chrono>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/parse.h"
#include "linux/host/firewall_check.h"
#include "linux/host/network_lock.h"
#include "linux/nft/batch.h"
#include "linux/rules/network_rules.h"
#include "linux/rules/vm_rules.h"

namespace {

using vmnet::NetworkRules;
using vmnet::NftTable;
using vmnet::VmRules;

class Stopwatch {
 public:
  int64_t microseconds() const {
    auto elapsed = std::chrono::steady_clock::now() - start_;
    return std::chrono::duration_cast<std::chrono::microseconds>(elapsed).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

void say(std::string_view line) { std::cout << line << '\n' << std::flush; }

int fail(std::string_view line) {
  std::cerr << line << '\n' << std::flush;
  return 1;
}

vmnet::Ipv4Subnet subnet(std::string_view text) {
  size_t slash = text.find('/');
  return {.address = vmnet::parse_ipv4(text.substr(0, slash)).value(),
          .prefix_length = vmnet::parse_unsigned<uint8_t>(text.substr(slash + 1)).value()};
}

// "eth0": for both families, "ipv4/eth0" and "ipv6/eth0": for one.
void guard(vmnet::GuardedForwarding& uplinks, std::string_view word) {
  bool only_ipv4 = word.starts_with("ipv4/");
  bool only_ipv6 = word.starts_with("ipv6/");
  if (only_ipv4 || only_ipv6) word.remove_prefix(5);
  if (!only_ipv6) uplinks.ipv4.emplace_back(word);
  if (!only_ipv4) uplinks.ipv6.emplace_back(word);
}

vmnet::Mode mode_of(std::string_view mode) {
  return mode == "shared"    ? vmnet::Mode::kShared
         : mode == "bridged" ? vmnet::Mode::kBridged
                             : vmnet::Mode::kHost;
}

// "MAC" or "MAC/IPV4"
vmnet::GivenAddresses given(std::string_view text) {
  size_t slash = text.find('/');
  vmnet::GivenAddresses vm{.mac = vmnet::parse_mac(text.substr(0, slash)).value(), .ipv4 = {}};
  if (slash != std::string_view::npos) vm.ipv4 = vmnet::parse_ipv4(text.substr(slash + 1)).value();
  return vm;
}

constexpr uint32_t kTracked = 262144;

// "32768-60999"
vmnet::NftPorts ports(std::string_view text) {
  size_t dash = text.find('-');
  return {.first = vmnet::parse_unsigned<uint16_t>(text.substr(0, dash)).value(),
          .last = vmnet::parse_unsigned<uint16_t>(text.substr(dash + 1)).value()};
}

bool set_key(NetworkRules& rules, std::string_view key, std::string_view value) {
  if (key == "mode")
    rules.mode = mode_of(value);
  else if (key == "bridge")
    rules.bridge = value;
  else if (key == "port_group")
    rules.port_group = vmnet::parse_unsigned<uint32_t>(value).value();
  else if (key == "links_group")
    rules.links_group = vmnet::parse_unsigned<uint32_t>(value).value();
  else if (key == "subnet")
    rules.subnet = subnet(value);
  else if (key == "prefix")
    rules.ipv6_prefix = vmnet::parse_ipv6(value).value();
  else if (key == "vm")
    rules.vms.push_back(given(value));
  else if (key == "router4")
    rules.routers.ipv4.push_back(vmnet::parse_ipv4(value).value());
  else if (key == "router6")
    rules.routers.ipv6.push_back(vmnet::parse_ipv6(value).value());
  else if (key == "own_ports")
    rules.bounds = vmnet::shared_bounds(ports(value), kTracked);
  else if (key == "connections")
    rules.bounds.connections = vmnet::parse_unsigned<uint32_t>(value).value();
  else if (key == "uplink")
    guard(rules.guarded, value);
  else
    return false;
  return true;
}

bool set_key(VmRules& rules, std::string_view key, std::string_view value) {
  if (key == "mode")
    rules.mode = mode_of(value);
  else if (key == "tap")
    rules.device = value;
  else if (key == "gateway_mac")
    rules.gateway_mac = vmnet::parse_mac(value).value();
  else if (key == "vm_mac")
    rules.vm_mac = vmnet::parse_mac(value).value();
  else if (key == "vm_ipv4")
    rules.vm_ipv4 = vmnet::parse_ipv4(value).value();
  else if (key == "subnet")
    rules.subnet = subnet(value);
  else if (key == "gateway")
    rules.gateway_ipv4 = vmnet::parse_ipv4(value).value();
  else if (key == "prefix")
    rules.ipv6_prefix = vmnet::parse_ipv6(value).value();
  else if (key == "isolated")
    rules.isolated = value == "1";
  else
    return false;
  return true;
}

template <typename Rules>
std::optional<Rules> parse(int count, char** pairs) {
  Rules rules;
  for (int i = 0; i < count; i++) {
    std::string_view pair = pairs[i];
    size_t equals = pair.find('=');
    if (equals == std::string_view::npos ||
        !set_key(rules, pair.substr(0, equals), pair.substr(equals + 1))) {
      fail(fmt::format("what is {}?", pair));
      return std::nullopt;
    }
  }
  return rules;
}

NftTable without(const NftTable& table, std::string_view omitted) {
  NftTable left(table.family(), table.name());
  for (const auto& set : table.sets()) left.set(set);
  for (const auto& chain : table.chains()) {
    auto& copy = chain.hook() ? left.chain(chain.name(), *chain.hook()) : left.chain(chain.name());
    for (size_t i = 0; i < chain.rules().size(); i++) {
      auto name =
          fmt::format(",{}/{}/{}/{},", to_string(table.family()), table.name(), chain.name(), i);
      if (omitted.find(name) == std::string_view::npos) copy.rule() = chain.rules()[i];
    }
  }
  return left;
}

int run_tables(std::string_view omitted, const std::vector<vmnet::NetworkTable>& tables) {
  auto netfilter = vmnet::NetlinkSocket::open(NETLINK_NETFILTER);
  if (!netfilter) return fail(netfilter.error().message);
  const auto separated = fmt::format(",{},", omitted);
  vmnet::NftBatch made;
  vmnet::NftBatch removed;
  for (const auto& [table, owned] : tables) {
    made.create(without(table, separated),
                owned ? vmnet::TableLife::kSocket : vmnet::TableLife::kUntilRemoved);
    removed.remove_table(table.family(), table.name());
  }
  if (auto done = made.commit(*netfilter); !done) return fail(done.error().message);
  say("installed");
  std::string line;
  while (std::getline(std::cin, line)) {
  }
  auto done = removed.commit(*netfilter);
  return done ? 0 : fail(done.error().message);
}

int run_network(std::string_view omitted, int count, char** pairs) {
  auto rules = parse<NetworkRules>(count, pairs);
  return rules ? run_tables(omitted, network_tables(*rules)) : 1;
}

int run_vm(std::string_view omitted, int count, char** pairs) {
  auto rules = parse<VmRules>(count, pairs);
  return rules ? run_tables(omitted, {{.table = vm_table(*rules), .owned = true}}) : 1;
}

int run_lock(int milliseconds, uid_t user) {
  auto netfilter = vmnet::NetlinkSocket::open(NETLINK_NETFILTER);
  if (!netfilter) return fail(netfilter.error().message);
  Stopwatch taking;
  {
    auto lock =
        vmnet::NetworkLock::acquire(*netfilter, user, -1, std::chrono::milliseconds(milliseconds));
    if (!lock) return fail(lock.error().message);
    say(fmt::format("locked {}", taking.microseconds()));
    std::string line;
    while (std::getline(std::cin, line)) {
    }
    taking = {};
  }
  say(fmt::format("released {}", taking.microseconds()));
  return 0;
}

int run_firewall() {
  auto netfilter = vmnet::NetlinkSocket::open(NETLINK_NETFILTER);
  if (!netfilter) return fail(netfilter.error().message);
  vmnet::ForwardingNeeds needs{.device = "vmnet-shared0",
                               .routed = true,
                               .ipv6 = true,
                               .uplinks_ipv4 = {"uplink0"},
                               .uplinks_ipv6 = {"uplink0"}};
  for (const auto& line : vmnet::check_firewall(*netfilter, needs)) say(line);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "network" && argc > 3) return run_network(argv[2], argc - 3, argv + 3);
  if (command == "vm" && argc > 3) return run_vm(argv[2], argc - 3, argv + 3);
  if (command == "lock" && (argc == 3 || argc == 4)) {
    return run_lock(vmnet::parse_unsigned<uint16_t>(argv[2]).value(),
                    argc == 4 ? vmnet::parse_unsigned<uid_t>(argv[3]).value() : 0);
  }
  if (command == "firewall") return run_firewall();
  return fail(
      "usage: rules_tool network OMIT KEY=VALUE... | vm OMIT KEY=VALUE... | lock MILLISECONDS "
      "[UID] | "
      "firewall");
}
