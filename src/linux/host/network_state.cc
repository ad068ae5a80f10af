#include "linux/host/network_state.h"

#include <algorithm>
#include <iterator>
#include <span>

#include <fmt/format.h>

#include "base/log.h"
#include "linux/host/connections.h"
#include "linux/host/forwarding.h"
#include "linux/nft/batch.h"
#include "linux/nft/tables.h"

namespace vmnet {
namespace {

// The devices of living helpers: some table of theirs is owned by the keeper's socket.
std::set<std::string> living_devices(const std::vector<ExistingTable>& tables) {
  std::set<std::string> names;
  for (const ExistingTable& table : tables) {
    if (table.owned && is_vm_device_name(table.name)) names.insert(table.name);
  }
  return names;
}

// Rules of a VM that held its device itself, left by a keeper that was killed. After the device.
void remove_orphaned_tables(NetlinkSocket& netfilter, const std::vector<ExistingTable>& tables,
                            const std::set<std::string>& living) {
  NftBatch batch;
  for (const ExistingTable& table : tables) {
    if (!is_vm_device_name(table.name) || living.contains(table.name)) continue;
    batch.remove_table(table.family, table.name);
  }
  if (batch.empty()) return;
  // ROOT: tables of our names that no socket owns, under the network's lock.
  if (auto removed = batch.commit(netfilter); !removed) {
    log_warn("network", "cannot remove rules that a helper left: {}", removed.error().message);
  }
}

void forget_leftover_connections(NetlinkSocket& netfilter,
                                 std::span<const AddressBlock> addresses) {
  if (auto forgotten = forget_connections(netfilter, addresses); !forgotten) {
    log_warn("network", "{}", forgotten.error().message);
  }
}

void forget_connections_of(NetlinkSocket& netfilter, const NetworkState& state, const Link& vm) {
  auto record = parse_vm_alias(vm.alias);
  if (!record) return;
  auto network = std::ranges::find_if(state.networks, [&vm](const ExistingNetwork& candidate) {
    return vm.group == port_group(candidate.bridge) || vm.group == links_group(candidate.bridge);
  });
  if (network == state.networks.end()) return;  // the VM was on a bridge of the user's
  forget_leftover_connections(netfilter, addresses_of(*record, network->record.ipv6_prefix));
}

// Gives what `record` remembers to another shared network that has VMs: the settings stay as they
// are until the last of them ends. False: there is no such network.
Result<bool> hand_over(NetlinkSocket& netlink, const NetworkState& state, int from,
                       const NetworkRecord& record) {
  Result<bool> handed = false;
  for (const ExistingNetwork& heir : state.networks) {
    if (heir.bridge == from || heir.record.kind != NetworkKind::kShared ||
        !state.has_vm(heir.bridge)) {
      continue;
    }
    NetworkRecord inherited = heir.record;
    SettingNotes notes(netlink, heir.bridge, heir.name, inherited);
    Status noted;
    for (const OldSetting& old : record.old_settings) {
      bool known = std::ranges::any_of(heir.record.old_settings, [&old](const OldSetting& other) {
        return other.is_same_setting(old);
      });
      if (!known && noted) noted = notes.add(old);
    }
    if (noted) return true;
    handed = pass(noted);
  }
  return handed;
}

// Puts back, or hands on, what the bridge's record remembers. Done before the bridge goes: whoever
// is killed in between leaves the record for the next.
Status settle_settings(NetlinkSocket& netlink, const NetworkState& state, const Link& bridge) {
  auto record = parse_network_record(bridge);
  if (!record || record->old_settings.empty()) return {};
  SettingNotes notes(netlink, bridge.index, bridge.name, *record);
  NetworkRecord lasting = *record;
  Status settled = restore_forwarding(take_momentary_settings(lasting), notes);
  auto handed = hand_over(netlink, state, bridge.index, lasting);
  if (!handed) return pass(handed);
  if (*handed) return settled;
  Status restored = restore_forwarding(lasting.old_settings, notes);
  return settled ? restored : settled;
}

// What a helper changed for a moment, in which it was killed, while other VMs are on that bridge.
// True where there was such.
bool restore_momentary_settings(NetlinkSocket& netlink, const Link& bridge) {
  auto record = parse_network_record(bridge);
  if (!record) return false;
  NetworkRecord lasting = *record;
  auto momentary = take_momentary_settings(lasting);
  SettingNotes notes(netlink, bridge.index, bridge.name, *record);
  if (auto restored = restore_forwarding(momentary, notes); !restored) {
    log_warn("network", "{}", restored.error().message);
  }
  return !momentary.empty();
}

}  // namespace

std::vector<const Link*> NetworkState::vms_of(int bridge) const {
  std::vector<const Link*> vms;
  for (const Link& link : links) {
    const bool member = link.group == port_group(bridge) || link.group == links_group(bridge);
    if (member && is_own_vm_device(link)) vms.push_back(&link);
  }
  return vms;
}

std::vector<ExistingNetwork> NetworkState::networks_with_vms() const {
  std::vector<ExistingNetwork> living;
  std::ranges::copy_if(networks, std::back_inserter(living),
                       [this](const ExistingNetwork& network) { return has_vm(network.bridge); });
  return living;
}

std::optional<VmRecord> NetworkState::find_vm(const VmIdentity& vm) const {
  for (const Link& link : links) {
    if (!is_own_vm_device(link)) continue;
    auto record = parse_vm_alias(link.alias);
    if (record && record->identity() == vm) return record;
  }
  return std::nullopt;
}

size_t NetworkState::networks_of(uid_t user) const {
  auto is_users = [user](const Link* link) {
    auto record = parse_vm_alias(link->alias);
    return record && record->uid == user;
  };
  return static_cast<size_t>(std::ranges::count_if(networks, [&](const ExistingNetwork& network) {
    return std::ranges::any_of(vms_of(network.bridge), is_users);
  }));
}

std::vector<Ipv4> NetworkState::addresses_on(int bridge) const {
  std::vector<Ipv4> addresses;
  for (const Link* link : vms_of(bridge)) {
    auto record = parse_vm_alias(link->alias);
    if (record && record->address) addresses.push_back(*record->address);
  }
  return addresses;
}

const Link* NetworkState::vm_with(int bridge, Ipv4 address) const {
  for (const Link* link : vms_of(bridge)) {
    auto record = parse_vm_alias(link->alias);
    if (record && record->address == address) return link;
  }
  return nullptr;
}

bool NetworkState::has_prefix(const Ipv6& prefix) const {
  const bool networks_own = std::ranges::any_of(networks, [&](const ExistingNetwork& network) {
    return network.record.ipv6_prefix == prefix;
  });
  return networks_own || std::ranges::any_of(links, [&](const Link& link) {
           auto record = parse_vm_alias(link.alias);
           return record && record->ipv6_prefix == prefix;
         });
}

Result<NetworkState> read_network_state(NetlinkSocket& netlink) {
  auto links = list_links(netlink);
  if (!links) return pass(links);
  NetworkState state{.links = std::move(*links)};
  for (const Link& link : state.links) {
    if (!is_own_bridge(link)) continue;
    auto record = parse_network_record(link);
    if (!record) continue;  // a start was killed before the bridge was complete
    state.networks.push_back({.bridge = link.index, .name = link.name, .record = *record});
  }
  return state;
}

Result<NetworkState> sweep_leftovers(NetlinkSocket& netlink, NetlinkSocket& netfilter) {
  auto state = read_network_state(netlink);
  if (!state) return state;
  auto tables = list_tables(netfilter, kOwnPrefix);
  if (!tables) return pass(tables);
  std::set<std::string> living = living_devices(*tables);
  bool changed = false;
  for (Link& link : state->links) {
    if (!is_own_vm_device(link) || living.contains(link.name)) continue;
    log_debug("network", "removing {}, whose helper is gone", link.name);
    if (auto deleted = delete_link(netlink, link.index); !deleted) return pass(deleted);
    forget_connections_of(netfilter, *state, link);
    link.group = 0;
    changed = true;
  }
  remove_orphaned_tables(netfilter, *tables, living);
  for (const Link& link : state->links) {
    if (!is_own_bridge(link)) continue;
    if (state->has_vm(link.index)) {
      changed = restore_momentary_settings(netlink, link) || changed;
      continue;
    }
    log_debug("network", "removing {}, which has no VM", link.name);
    if (auto removed = remove_network(netlink, netfilter, *state, link); !removed)
      return pass(removed);
    changed = true;
  }
  return changed ? read_network_state(netlink) : state;
}

bool has_leftover_devices(NetlinkSocket& netlink, NetlinkSocket& netfilter) {
  auto links = list_links(netlink);
  auto tables = list_tables(netfilter, kOwnPrefix);
  if (!links || !tables) return true;
  const std::set<std::string> living = living_devices(*tables);
  return std::ranges::any_of(*links, [&living](const Link& link) {
    return is_own_vm_device(link) && !living.contains(link.name);
  });
}

Result<std::string> choose_device_name(const NetworkState& state, NetlinkSocket& netfilter,
                                       std::string_view prefix) {
  constexpr int kMaxDevices = 10000;
  auto tables = list_tables(netfilter, kOwnPrefix);
  if (!tables) return pass(tables);
  for (int number = 0; number < kMaxDevices; number++) {
    std::string name = fmt::format("{}{}", prefix, number);
    bool has_table = std::ranges::find(*tables, name, &ExistingTable::name) != tables->end();
    if (find_link(state.links, name) == nullptr && !has_table) return name;
  }
  return fail(
      fmt::format("no free device name: {}0 to {}{} exist", prefix, prefix, kMaxDevices - 1));
}

Status remove_network(NetlinkSocket& netlink, NetlinkSocket& netfilter, const NetworkState& state,
                      const Link& bridge) {
  if (auto record = parse_network_record(bridge)) {
    forget_leftover_connections(netfilter, addresses_of(*record));
  }
  auto settled = settle_settings(netlink, state, bridge);
  if (settled) return delete_link(netlink, bridge.index);
  log_warn("network",
           "the host's settings are not all as they were: {}; {} remembers them, and the next "
           "helper tries again",
           settled.error().message, bridge.name);
  // Its subnet is free for the next network.
  return set_link_down(netlink, bridge.index);
}

std::vector<std::string> names_of(const std::vector<int>& devices, const std::vector<Link>& links) {
  std::vector<std::string> names;
  for (int device : devices) {
    const Link* link = find_link(links, device);
    if (link != nullptr && !link->name.starts_with(kOwnPrefix) && link->name != "lo") {
      names.push_back(link->name);
    }
  }
  return names;
}

GuardedForwarding guarded_forwarding(const NetworkState& state) {
  std::set<std::string> ipv4;
  std::set<std::string> ipv6;
  bool all_ipv6 = false;
  for (const ExistingNetwork& network : state.networks) {
    for (const OldSetting& old : network.record.old_settings) {
      if (host_forwards_itself(old)) continue;
      if (old.key == OldSetting::Key::kIpv4Forwarding) ipv4.insert(old.device);
      if (old.key == OldSetting::Key::kIpv6ForceForwarding) ipv6.insert(old.device);
      if (old.key == OldSetting::Key::kIpv6Forwarding) all_ipv6 = true;
    }
  }
  return {
      .ipv4 = {ipv4.begin(), ipv4.end()}, .ipv6 = {ipv6.begin(), ipv6.end()}, .all_ipv6 = all_ipv6};
}

}  // namespace vmnet
