#include "linux/host/network_plan.h"

#include <algorithm>

#include <fmt/format.h>
#include <net/if.h>

#include "linux/host/network_lock.h"
#include "linux/rules/network_rules.h"

namespace vmnet {
namespace {

constexpr int kAutomaticPrefixLength = 24;
constexpr uint32_t kAutomaticSubnets = 64;  // of each mode
constexpr int kMaxBridges = 1000;           // three digits behind "vmnet-shared" fill a name

// Of the bridges whose network's name a device cannot have.
constexpr std::string_view kNumberedNamedPrefix = "vmnet-net";

// Devices and tables of ours go by their names: this must be no other's.
bool can_be_named_bridge(std::string_view name) {
  return name.size() < IFNAMSIZ && !is_vm_device_name(name) && !has_bridge_name_prefix(name) &&
         !is_guard_name(name) && !is_lock_name(name);
}

NetworkKind kind_of(const NetworkConfig& config) {
  if (config.private_network) return NetworkKind::kPrivate;
  return config.mode == Mode::kHost ? NetworkKind::kHost : NetworkKind::kShared;
}

AddressRange automatic_range(NetworkKind kind, uint32_t number) {
  uint32_t first = kind == NetworkKind::kShared ? 0xc0a84000 : 0xc0a88000;  // 192.168.64.0, .128.0
  uint32_t subnet = first + (number << 8);
  return {.start = Ipv4{subnet + 1},
          .end = Ipv4{subnet + 254},
          .prefix_length = kAutomaticPrefixLength};
}

const ExistingNetwork* find_network(std::span<const ExistingNetwork> existing, NetworkKind kind,
                                    const AddressRange& range) {
  auto found = std::ranges::find_if(existing, [&](const ExistingNetwork& network) {
    return network.record.kind == kind && network.record.name.empty() &&
           network.record.addresses == range;
  });
  return found == existing.end() ? nullptr : &*found;
}

// What a subnet collides with, in words; empty where it is free.
std::string conflict_of(const Ipv4Subnet& subnet, std::span<const ExistingNetwork> existing,
                        std::span<const UsedSubnet> used, std::span<const Link> links) {
  for (const ExistingNetwork& network : existing) {
    const auto& range = network.record.addresses;
    if (range && range->subnet().overlaps(subnet)) {
      return fmt::format("network {} ({} to {}, {})", network.name, to_string(range->start),
                         to_string(range->end), to_string(range->subnet()));
    }
  }
  for (const UsedSubnet& other : used) {
    // The kernel takes the longest prefix: behind a shorter one our subnet is reached all the same.
    if (other.subnet.prefix_length < subnet.prefix_length || !other.subnet.overlaps(subnet))
      continue;
    return text_of(other, links);
  }
  return {};
}

Result<NetworkPlan> plan_explicit(NetworkKind kind, const AddressRange& range,
                                  std::span<const ExistingNetwork> existing,
                                  std::span<const UsedSubnet> used, std::span<const Link> links) {
  if (const auto* network = find_network(existing, kind, range)) {
    return NetworkPlan{.join = network, .record = network->record};
  }
  if (auto conflict = conflict_of(range.subnet(), existing, used, links); !conflict.empty()) {
    return fail(fmt::format("subnet {} overlaps {}; choose another one", to_string(range.subnet()),
                            conflict));
  }
  return NetworkPlan{.record = {.kind = kind, .addresses = range}};
}

Result<NetworkPlan> plan_automatic(NetworkKind kind, uid_t user, const Limits& limits,
                                   std::span<const ExistingNetwork> existing,
                                   std::span<const UsedSubnet> used, std::span<const Link> links) {
  std::vector<AddressRange> ranges;
  for (uint32_t number = 0; number < kAutomaticSubnets; number++) {
    AddressRange range = automatic_range(kind, number);
    if (may_use_subnet(user, range.subnet(), limits)) ranges.push_back(range);
  }
  for (const AddressRange& range : ranges) {
    if (const auto* network = find_network(existing, kind, range)) {
      return NetworkPlan{.join = network, .record = network->record};
    }
  }
  for (const AddressRange& range : ranges) {
    if (conflict_of(range.subnet(), existing, used, links).empty()) {
      return NetworkPlan{.record = {.kind = kind, .addresses = range}};
    }
  }
  return fail(fmt::format(
      "no free subnet: each of {} to {} overlaps what the host or another network has, or is none "
      "that users of this host may have; give one with --start-address, --end-address and "
      "--subnet-mask",
      to_string(automatic_range(kind, 0).subnet()),
      to_string(automatic_range(kind, kAutomaticSubnets - 1).subnet())));
}

Result<NetworkPlan> plan_named(const std::string& name, uid_t user, const Limits& limits,
                               std::span<const ExistingNetwork> existing,
                               std::span<const UsedSubnet> used, std::span<const Link> links) {
  const auto owner = owner_of_network(user, name, limits);
  for (const ExistingNetwork& network : existing) {
    if (network.record.name == name && network.record.user == owner) {
      return NetworkPlan{.join = &network, .record = network.record};
    }
  }
  NetworkRecord record{.kind = NetworkKind::kShared, .name = name, .user = owner};
  constexpr uint32_t kOthers = kAutomaticSubnets - 1;  // but the first
  const uint32_t preferred = preferred_subnet_index(canonical_name(record), kOthers);
  for (uint32_t step = 0; step < kAutomaticSubnets; step++) {
    const uint32_t number = step < kOthers ? 1 + (preferred + step) % kOthers : 0;
    record.addresses = automatic_range(record.kind, number);
    if (!may_use_subnet(user, record.addresses->subnet(), limits)) continue;
    if (conflict_of(record.addresses->subnet(), existing, used, links).empty()) {
      return NetworkPlan{.record = std::move(record)};
    }
  }
  return fail(fmt::format(
      "no free subnet for --network '{}': each of {} to {} overlaps what the host or another "
      "network has, or is none that users of this host may have; end one of the networks",
      name, to_string(automatic_range(record.kind, 0).subnet()),
      to_string(automatic_range(record.kind, kAutomaticSubnets - 1).subnet())));
}

std::string host_address_text(const std::optional<AddressRange>& range) {
  if (!range) return "without a host address";
  return fmt::format("with host address {}/{}", to_string(range->start), range->prefix_length);
}

Result<NetworkPlan> plan_private(const PrivateNetwork& wanted, std::optional<uid_t> owner,
                                 std::span<const ExistingNetwork> existing,
                                 std::span<const UsedSubnet> used, std::span<const Link> links) {
  for (const ExistingNetwork& network : existing) {
    const NetworkRecord& record = network.record;
    if (record.kind != NetworkKind::kPrivate || record.id != wanted.id || record.user != owner)
      continue;
    if (network.record.addresses == wanted.addresses) {
      return NetworkPlan{.join = &network, .record = network.record};
    }
    return fail(
        fmt::format("network {} exists as {} {}, not {}; use the same host address, or none",
                    to_string(wanted.id), network.name, host_address_text(network.record.addresses),
                    host_address_text(wanted.addresses)));
  }
  NetworkRecord record{.kind = NetworkKind::kPrivate, .id = wanted.id, .user = owner};
  if (!wanted.addresses) return NetworkPlan{.record = std::move(record)};
  auto subnet = wanted.addresses->subnet();
  if (auto conflict = conflict_of(subnet, existing, used, links); !conflict.empty()) {
    return fail(
        fmt::format("subnet {} overlaps {}; choose another one", to_string(subnet), conflict));
  }
  record.addresses = wanted.addresses;
  return NetworkPlan{.record = std::move(record)};
}

}  // namespace

Result<NetworkPlan> plan_network(const NetworkConfig& config, uid_t user, const Limits& limits,
                                 std::span<const ExistingNetwork> existing,
                                 std::span<const UsedSubnet> used, std::span<const Link> links) {
  if (const std::string& name = config.network_name; !name.empty()) {
    return plan_named(name, user, limits, existing, used, links);
  }
  if (const auto& wanted = config.private_network) {
    return plan_private(*wanted, owner_of_network(user, wanted->id, limits), existing, used, links);
  }
  if (config.addresses) {
    return plan_explicit(kind_of(config), *config.addresses, existing, used, links);
  }
  return plan_automatic(kind_of(config), user, limits, existing, used, links);
}

std::string text_of(const UsedSubnet& used, std::span<const Link> links) {
  auto device = std::ranges::find(links, used.device, &Link::index);
  const std::string on = device == links.end() ? "" : " on " + device->name;
  if (!used.needed_as.empty()) {
    return fmt::format("{} ({}{})", to_string(used.subnet.address), used.needed_as, on);
  }
  if (on.empty()) return fmt::format("the host's route to {}", to_string(used.subnet));
  return to_string(used.subnet) + on;
}

Result<Ipv4> choose_address(const AddressRange& range, const VmIdentity* lasting,
                            std::span<const Ipv4> taken) {
  uint32_t size = range.end.value - range.start.value;  // the pool is start+1 to end
  uint32_t low_end = (size + 1) / 2;
  uint32_t preferred = lasting ? preferred_address_index(*lasting, low_end) : 0;
  for (uint32_t step = 0; step < size; step++) {
    // First around the low end, which clients with static addresses leave alone, then upwards.
    uint32_t index = step < low_end ? (preferred + step) % low_end : step;
    Ipv4 address{range.start.value + 1 + index};
    if (std::ranges::find(taken, address) == taken.end()) return address;
  }
  return fail(fmt::format("no free address: all {} of {} to {} are taken by other VMs", size,
                          to_string(Ipv4{range.start.value + 1}), to_string(range.end)));
}

Status check_vm_address(const AddressRange& range, Ipv4 address) {
  const Ipv4Subnet subnet = range.subnet();
  if (address == range.start) {
    return fail(fmt::format("--ip-address '{}': the gateway has it", to_string(address)));
  }
  if (!subnet.contains(address) || address == subnet.address || address == subnet.broadcast()) {
    return fail(fmt::format("--ip-address '{}': not a host's address of the VM's network, {}",
                            to_string(address), to_string(subnet)));
  }
  return {};
}

Result<std::string> choose_bridge_name(const NetworkRecord& record, std::span<const Link> links) {
  auto is_free = [links](const std::string& name) {
    return std::ranges::none_of(links, [&name](const Link& link) {
      const auto& others = link.alternative_names;
      return link.name == name || std::ranges::find(others, name) != others.end();
    });
  };
  const bool named = !record.name.empty();
  if (std::string name = fmt::format("{}{}", kOwnPrefix, record.name);
      named && can_be_named_bridge(name) && is_free(name)) {
    return name;
  }
  const std::string_view prefix = named ? kNumberedNamedPrefix : bridge_name_prefix(record.kind);
  for (int number = 0; number < kMaxBridges; number++) {
    std::string name = fmt::format("{}{}", prefix, number);
    if (is_free(name)) return name;
  }
  return fail(
      fmt::format("no free bridge name: {}0 to {}{} exist", prefix, prefix, kMaxBridges - 1));
}

std::string canonical_name(const NetworkRecord& record) {
  std::string name(bridge_name_prefix(record.kind));
  if (record.user) name += fmt::format(" {}", *record.user);
  // With its name it keeps the rest, whatever subnet is free.
  if (!record.name.empty()) return name + " " + record.name;
  if (record.id) name += " " + to_string(*record.id);
  if (record.addresses) name += " " + to_string(record.addresses->subnet());
  return name;
}

}  // namespace vmnet
