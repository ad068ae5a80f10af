#include "linux/host/network_tables.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "linux/host/forwarding.h"
#include "linux/host/network_lock.h"
#include "linux/host/sysctl.h"
#include "linux/netlink/routes.h"
#include "linux/nft/batch.h"
#include "linux/nft/tables.h"
#include "linux/rules/network_rules.h"

namespace vmnet {
namespace {

NetworkRules rules_of(const NetworkState& state, const Link& bridge, Mode mode) {
  NetworkRules rules{.mode = mode,
                     .bridge = bridge.name,
                     .port_group = port_group(bridge.index),
                     .links_group = links_group(bridge.index)};
  for (const Link* vm : state.vms_of(bridge.index)) {
    auto record = parse_vm_alias(vm->alias);
    if (record) rules.vms.push_back({.mac = record->mac, .ipv4 = record->address});
  }
  return rules;
}

// As the host's settings are when a table is made. What cannot be read is as the kernel has it by
// itself.
SharedBounds read_bounds() {
  constexpr std::pair kOwnPorts{32768, 60999};
  constexpr int kTracked = 262144;
  auto own = read_sysctl_range("ipv4/ip_local_port_range").value_or(kOwnPorts);
  auto tracked = read_sysctl("netfilter/nf_conntrack_max").value_or(kTracked);
  return shared_bounds({static_cast<uint16_t>(own.first), static_cast<uint16_t>(own.second)},
                       static_cast<uint32_t>(tracked));
}

std::vector<NetworkRules> rules_of_own_networks(const NetworkState& state, const Routers& routers) {
  std::vector<NetworkRules> all;
  const SharedBounds bounds = read_bounds();
  const GuardedForwarding guarded = guarded_forwarding(state);
  const bool one_ipv6_switch = !kernel_has_force_forwarding();
  for (const ExistingNetwork& network : state.networks) {
    const Link* bridge = find_link(state.links, network.bridge);
    const bool shared = network.record.kind == NetworkKind::kShared;
    NetworkRules rules = rules_of(state, *bridge, shared ? Mode::kShared : Mode::kHost);
    if (network.record.addresses) rules.subnet = network.record.addresses->subnet();
    rules.ipv6_prefix = network.record.ipv6_prefix;
    rules.guarded = guarded;
    rules.routers = routers;
    rules.bounds = bounds;
    rules.one_ipv6_switch = one_ipv6_switch;
    all.push_back(std::move(rules));
  }
  return all;
}

std::vector<NetworkTable> wanted_tables(const NetworkState& state, const Routers& routers = {}) {
  std::vector<NetworkTable> wanted;
  auto add = [&wanted](const NetworkRules& rules) {
    for (NetworkTable& table : network_tables(rules)) wanted.push_back(std::move(table));
  };
  for (const NetworkRules& rules : rules_of_own_networks(state, routers)) add(rules);
  for (const Link& bridge : state.links) {
    const bool users = bridge.kind == "bridge" && !is_own_bridge(bridge);
    if (users && state.has_vm(bridge.index)) add(rules_of(state, bridge, Mode::kBridged));
  }
  return wanted;
}

std::vector<NftElement> without(const std::vector<NftElement>& from,
                                const std::vector<NftElement>& elements) {
  std::vector<NftElement> left;
  std::ranges::copy_if(from, std::back_inserter(left), [&elements](const NftElement& element) {
    return std::ranges::find(elements, element) == elements.end();
  });
  return left;
}

// Only what differs: every element that changes is an event to all who listen.
Status update_sets(NetlinkSocket& netfilter, const NftTable& wanted, NftBatch& batch) {
  for (const NftSet& set : wanted.sets()) {
    if (set.dynamic) continue;  // filled by the rules
    auto elements = list_elements(netfilter, wanted, set.name);
    if (!elements) return pass(elements);
    batch.remove_elements(wanted, set.name, without(*elements, set.elements));
    batch.add_elements(wanted, set.name, without(set.elements, *elements));
  }
  return {};
}

TableLife life_of(const NetworkTable& table) {
  return table.owned ? TableLife::kSocket : TableLife::kUntilRemoved;
}

void update_table(NetlinkSocket& netfilter, const NetworkTable& wanted,
                  const ExistingTable& existing, NftBatch& batch) {
  if (existing.owned && existing.owner != netfilter.port_id()) return;
  NftBatch changes = batch;
  if (existing.owned == wanted.owned && update_sets(netfilter, wanted.table, changes)) {
    batch = std::move(changes);
    return;
  }
  // Somebody has changed more of it than its elements.
  batch.remove_table(wanted.table.family(), wanted.table.name());
  batch.create(wanted.table, life_of(wanted));
}

bool is_network_table(const ExistingTable& table, const NetlinkSocket& netfilter) {
  const bool ours_to_remove = !table.owned || table.owner == netfilter.port_id();
  return ours_to_remove && !is_vm_device_name(table.name) && !is_lock_name(table.name);
}

constexpr std::chrono::milliseconds kReleaseWait{1000};
constexpr std::chrono::milliseconds kReleasePause{5};

}  // namespace

Status remove_stale_tables(NetlinkSocket& netfilter, const NetworkState& state) {
  auto tables = list_tables(netfilter, kOwnPrefix);
  if (!tables) return pass(tables);
  std::set<std::string> names;
  for (const NetworkTable& wanted : wanted_tables(state)) names.insert(wanted.table.name());
  NftBatch batch;
  for (const ExistingTable& table : *tables) {
    if (table.owned || is_vm_device_name(table.name) || names.contains(table.name)) continue;
    batch.remove_table(table.family, table.name);
  }
  // ROOT: tables of our names that no socket owns, under the network's lock.
  return batch.empty() ? Status{} : batch.commit(netfilter);
}

Status release_guards(NetlinkSocket& netfilter) {
  auto tables = list_tables(netfilter, kOwnPrefix);
  if (!tables) return pass(tables);
  NftBatch batch;
  for (const ExistingTable& table : *tables) {
    const bool own = table.owned && table.owner == netfilter.port_id();
    if (own && is_guard_name(table.name)) batch.remove_table(table.family, table.name);
  }
  return batch.empty() ? Status{} : batch.commit(netfilter);
}

void wait_until_guard_is_free(NetlinkSocket& netfilter, std::string_view bridge) {
  const auto give_up = std::chrono::steady_clock::now() + kReleaseWait;
  while (std::chrono::steady_clock::now() < give_up) {
    auto seen = look_at_tables(netfilter, Mode::kShared, bridge);
    if (!seen || !seen->guard) return;
    std::this_thread::sleep_for(kReleasePause);
  }
}

void warn_of_shared_ports() {
  if (read_bounds().nat_ports) return;
  log_warn("network",
           "net.ipv4.ip_local_port_range leaves VMs no ports of their own: they share the host's, "
           "and may take from each other and from the host all there are towards a server; make "
           "it smaller (32768 60999 is usual)");
}

Status update_network_tables(NetlinkSocket& netlink, NetlinkSocket& netfilter,
                             const NetworkState& state, Guards guards) {
  if (auto checked = check_uplinks(guarded_forwarding(state)); !checked) return checked;
  auto tables = list_tables(netfilter, kOwnPrefix);
  if (!tables) return pass(tables);
  auto routers = list_routers(netlink);
  if (!routers) return pass(routers);
  NftBatch batch;
  std::set<std::pair<NftFamily, std::string>> names;
  for (const NetworkTable& wanted : wanted_tables(state, *routers)) {
    if (wanted.owned && guards == Guards::kLeave) continue;
    names.emplace(wanted.table.family(), wanted.table.name());
    const auto* existing = find_table(*tables, wanted.table.family(), wanted.table.name());
    if (existing != nullptr) {
      update_table(netfilter, wanted, *existing, batch);
    } else {
      batch.create(wanted.table, life_of(wanted));
    }
  }
  for (const ExistingTable& table : *tables) {
    if (!is_network_table(table, netfilter) || names.contains({table.family, table.name})) continue;
    batch.remove_table(table.family, table.name);
  }
  // ROOT: what the aliases of our devices say, which root alone can write.
  return batch.empty() ? Status{} : batch.commit(netfilter);
}

Result<TablesSeen> look_at_tables(NetlinkSocket& netfilter, Mode mode, std::string_view bridge) {
  TablesSeen seen{.network = true, .guard = true};
  for (const NetworkTable& wanted : empty_network_tables(mode, bridge)) {
    auto existing = find_table(netfilter, wanted.table.family(), wanted.table.name());
    if (!existing) return pass(existing);
    if (!*existing) (wanted.owned ? seen.guard : seen.network) = false;
    if (*existing && wanted.owned) seen.own_guard = (*existing)->owner == netfilter.port_id();
  }
  return seen;
}

}  // namespace vmnet
