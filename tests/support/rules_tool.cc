// Drives src/linux's nftables modules from the integration tests, one line a command, so that the
// rules can be tested without a helper around them. In a private network namespace, as root.
//
//   rules_tool rules KEY=VALUE...   installs, prints "installed MICROSECONDS", then obeys standard
//                                   input (mac MAC | uplinks NAME... | remove | quit)
//   rules_tool weakened OMIT KEY=VALUE...
//                                   the same without the rules that OMIT names:
//                                   FAMILY/CHAIN/NUMBER, numbered from 0, separated by commas;
//                                   obeys nothing
//   rules_tool lock MILLISECONDS    takes the lock, prints "locked MICROSECONDS", holds it until
//                                   standard input ends, releases it, prints "released
//                                   MICROSECONDS"
//   rules_tool firewall             prints what check_firewall() says
#include <chrono>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "base/parse.h"
#include "linux/host/firewall_check.h"
#include "linux/host/network_lock.h"
#include "linux/nft/batch.h"
#include "linux/rules/bridge_rules.h"
#include "linux/rules/helper_rules.h"
#include "linux/rules/ingress_rules.h"
#include "linux/rules/routing_rules.h"

namespace {

using vmnet::HelperRules;
using vmnet::NftTable;
using vmnet::RuleConfig;

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

void set_mode(RuleConfig& config, std::string_view mode) {
  config.mode = mode == "shared"    ? vmnet::Mode::kShared
                : mode == "bridged" ? vmnet::Mode::kBridged
                                    : vmnet::Mode::kHost;
}

bool set_key(RuleConfig& config, std::string_view key, std::string_view value) {
  if (key == "mode")
    set_mode(config, value);
  else if (key == "tap")
    config.tap = value;
  else if (key == "bridge")
    config.bridge = value;
  else if (key == "port_group")
    config.port_group = vmnet::parse_unsigned<uint32_t>(value).value();
  else if (key == "gateway_mac")
    config.gateway_mac = vmnet::parse_mac(value).value();
  else if (key == "vm_mac")
    config.vm_mac = vmnet::parse_mac(value).value();
  else if (key == "vm_ipv4")
    config.vm_ipv4 = vmnet::parse_ipv4(value).value();
  else if (key == "subnet")
    config.subnet = subnet(value);
  else if (key == "gateway")
    config.gateway_ipv4 = vmnet::parse_ipv4(value).value();
  else if (key == "gateway_ll")
    config.gateway_link_local = vmnet::parse_ipv6(value).value();
  else if (key == "gateway_ula")
    config.gateway_ula = vmnet::parse_ipv6(value).value();
  else if (key == "prefix")
    config.ipv6_prefix = vmnet::parse_ipv6(value).value();
  else if (key == "isolation")
    config.isolation = value == "1";
  else if (key == "uplink")
    guard(config.guarded, value);
  else
    return false;
  return true;
}

// One command of standard input; false: the end.
bool obey(HelperRules& rules, const std::string& line) {
  std::istringstream words(line);
  std::string command;
  std::string word;
  words >> command;
  Stopwatch watch;
  vmnet::Status done;
  if (command == "mac") {
    words >> word;
    auto added = rules.add_vm_mac(vmnet::parse_mac(word).value());
    say(!added ? added.error().message : *added ? "ok" : "full");
    return true;
  }
  if (command == "uplinks") {
    vmnet::GuardedForwarding uplinks;
    while (words >> word) guard(uplinks, word);
    done = rules.set_guarded(uplinks);
  } else if (command == "remove") {
    done = rules.remove();
  } else {
    return false;
  }
  say(done ? fmt::format("ok {}", watch.microseconds()) : done.error().message);
  return true;
}

std::optional<RuleConfig> parse_config(int count, char** pairs) {
  RuleConfig config;
  for (int i = 0; i < count; i++) {
    std::string_view pair = pairs[i];
    size_t equals = pair.find('=');
    if (equals == std::string_view::npos ||
        !set_key(config, pair.substr(0, equals), pair.substr(equals + 1))) {
      fail(fmt::format("what is {}?", pair));
      return std::nullopt;
    }
  }
  return config;
}

NftTable without(const NftTable& table, std::string_view omitted) {
  NftTable left(table.family(), table.name());
  for (const auto& set : table.sets()) left.set(set);
  for (const auto& chain : table.chains()) {
    auto& copy = chain.hook() ? left.chain(chain.name(), *chain.hook()) : left.chain(chain.name());
    for (size_t i = 0; i < chain.rules().size(); i++) {
      auto name = fmt::format(",{}/{}/{},", to_string(table.family()), chain.name(), i);
      if (omitted.find(name) == std::string_view::npos) copy.rule() = chain.rules()[i];
    }
  }
  return left;
}

int run_weakened(std::string_view omitted, int count, char** pairs) {
  auto config = parse_config(count, pairs);
  if (!config) return 1;
  auto netfilter = vmnet::NetlinkSocket::open(NETLINK_NETFILTER);
  if (!netfilter) return fail(netfilter.error().message);
  const auto separated = fmt::format(",{},", omitted);
  vmnet::NftBatch batch;
  for (const auto& table :
       {ingress_table(*config), bridge_table(*config), routing_table(*config)}) {
    batch.create(without(table, separated), vmnet::TableLife::kSocket);
  }
  if (auto done = batch.commit(*netfilter); !done) return fail(done.error().message);
  say("installed");
  std::string line;
  while (std::getline(std::cin, line)) {
  }
  return 0;
}

int run_rules(int count, char** pairs) {
  auto config = parse_config(count, pairs);
  if (!config) return 1;
  auto netfilter = vmnet::NetlinkSocket::open(NETLINK_NETFILTER);
  if (!netfilter) return fail(netfilter.error().message);
  Stopwatch watch;
  auto rules = HelperRules::install(*netfilter, *config);
  if (!rules) return fail(rules.error().message);
  say(fmt::format("installed {}", watch.microseconds()));
  std::string line;
  while (std::getline(std::cin, line) && obey(*rules, line)) {
  }
  return 0;
}

int run_lock(int milliseconds) {
  auto netfilter = vmnet::NetlinkSocket::open(NETLINK_NETFILTER);
  if (!netfilter) return fail(netfilter.error().message);
  Stopwatch taking;
  {
    auto lock =
        vmnet::NetworkLock::acquire(*netfilter, -1, std::chrono::milliseconds(milliseconds));
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
  for (const auto& line : vmnet::check_firewall(*netfilter, "vmnet-shared0", true)) say(line);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "rules") return run_rules(argc - 2, argv + 2);
  if (command == "weakened" && argc > 3) return run_weakened(argv[2], argc - 3, argv + 3);
  if (command == "lock" && argc == 3) {
    return run_lock(vmnet::parse_unsigned<uint16_t>(argv[2]).value());
  }
  if (command == "firewall") return run_firewall();
  return fail(
      "usage: rules_tool rules KEY=VALUE... | weakened OMIT KEY=VALUE... | lock MILLISECONDS | "
      "firewall");
}
