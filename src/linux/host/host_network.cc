#include "linux/host/host_network.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/rtnetlink.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/log.h"
#include "linux/device/identity.h"
#include "linux/device/tap.h"
#include "linux/host/connections.h"
#include "linux/host/forwarding.h"
#include "linux/host/vm_device.h"
#include "wire/split.h"

namespace vmnet {
namespace {

// A helper that was just ended needs about 0.1 s to remove its VM's device.
constexpr std::chrono::seconds kInterfaceIdWait{3};
constexpr std::chrono::milliseconds kInterfaceIdPoll{20};

Result<Uuid> random_uuid() {
  std::array<uint8_t, 16> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return fail_errno("cannot draw a random interface id", errno);
  }
  return uuid_v4(bytes);
}

// No error of its own: where a start failed, its cause is told, once.
void warn_of_leftover(const Error& error) {
  log_warn("network", "cannot clean up: {}; the next helper does", error.message);
}

// The lock, taken when no VM of the user's has that interface id.
struct LockedState {
  NetworkLock lock;
  NetworkState state;
};

Result<LockedState> lock_and_sweep(NetlinkSocket& netlink, NetlinkSocket& netfilter,
                                   const VmIdentity& vm, int cancel_fd) {
  auto give_up = std::chrono::steady_clock::now() + kInterfaceIdWait;
  while (true) {
    auto lock = NetworkLock::acquire(netfilter, vm.user, cancel_fd);
    if (!lock) return pass(lock);
    auto state = sweep_leftovers(netlink, netfilter);
    if (!state) return pass(state);
    if (auto removed = remove_stale_tables(netfilter, *state); !removed) return pass(removed);
    if (!state->find_vm(vm)) {
      return LockedState{.lock = std::move(*lock), .state = std::move(*state)};
    }
    if (std::chrono::steady_clock::now() > give_up) {
      return fail(fmt::format(
          "--interface-id {}: a running VM has it (see `ip -d link`); give each VM its own",
          to_string(vm.interface_id)));
    }
    {
      auto released = std::move(*lock);
    }
    std::this_thread::sleep_for(kInterfaceIdPoll);
  }
}

}  // namespace

HostNetwork::HostNetwork(NetlinkSocket netlink, NetlinkSocket netfilter, NetworkConfig config,
                         uid_t user, Limits limits)
    : netlink_(std::move(netlink)),
      netfilter_(std::make_unique<NetlinkSocket>(std::move(netfilter))),
      config_(std::move(config)),
      user_(user),
      limits_(std::move(limits)) {}

Result<HostNetwork> HostNetwork::set_up(const NetworkConfig& config, uid_t user,
                                        const Limits& limits, int cancel_fd) {
  if (auto may = check_request(config, user, limits); !may) return pass(may);
  auto netlink = NetlinkSocket::open(NETLINK_ROUTE);
  if (!netlink) return pass(netlink);
  auto netfilter = NetlinkSocket::open(NETLINK_NETFILTER);
  if (!netfilter) return pass(netfilter);
  auto id = config.interface_id ? Result<Uuid>(*config.interface_id) : random_uuid();
  if (!id) return pass(id);

  HostNetwork network(std::move(*netlink), std::move(*netfilter), config, user, limits);
  network.facts_.interface_id = *id;
  network.facts_.vm_mac = vm_mac(network.identity());
  auto locked =
      lock_and_sweep(network.netlink_, *network.netfilter_, network.identity(), cancel_fd);
  if (!locked) return pass(locked);
  if (auto made = network.make(locked->state); !made) {
    network.remove_all();
    return pass(made);
  }
  return network;
}

Status HostNetwork::make(const NetworkState& state) {
  auto attached = config_.mode == Mode::kBridged ? attach_to_shared_interface(state)
                                                 : attach_to_own_network(state);
  if (!attached) return attached;
  return watch();
}

Status HostNetwork::attach_to_own_network(const NetworkState& state) {
  auto used = list_used_by_host(netlink_, state.links);
  if (!used) return pass(used);
  auto networks = state.networks_with_vms();
  auto plan = plan_network(config_, user_, limits_, networks, *used, state.links);
  if (!plan) return pass(plan);
  if (auto possible = check_given_address(state, *plan); !possible) return possible;
  if (plan->join != nullptr) {
    record_ = plan->record;
    bridge_ = plan->join->bridge;
    bridge_name_ = plan->join->name;
  } else if (auto created = create_network(state, std::move(plan->record)); !created) {
    return created;
  }

  facts_.addresses = record_.addresses;
  facts_.ipv6_prefix = record_.ipv6_prefix;
  facts_.gateway_mac = bridge_mac(canonical_name(record_));
  if (auto chosen = choose_vm_addresses(state); !chosen) return chosen;
  auto forgotten = forget_connections(*netfilter_, addresses_of(vm_record(), record_.ipv6_prefix));
  if (!forgotten) return forgotten;
  if (auto attached = attach_tap(state); !attached) return attached;
  if (record_.kind != NetworkKind::kShared) return {};
  auto noted = enable_uplinks();
  if (!noted) return pass(noted);
  return *noted ? update_tables(Guards::kTake) : Status{};
}

// --ip-address, before anything is made.
Status HostNetwork::check_given_address(const NetworkState& state, const NetworkPlan& plan) const {
  if (!config_.vm_address || !plan.record.addresses) return {};
  const Ipv4 address = *config_.vm_address;
  if (auto possible = check_vm_address(*plan.record.addresses, address); !possible) return possible;
  if (plan.join == nullptr) return {};
  const Link* other = state.vm_with(plan.join->bridge, address);
  if (other == nullptr) return {};
  return fail(fmt::format("--ip-address '{}': the running VM of {} has it; choose another one",
                          to_string(address), other->name));
}

// The alias comes first: settings of the host that are changed next are noted in it. A start that
// is killed leaves a bridge without a VM, which nobody joins.
Status HostNetwork::create_network(const NetworkState& state, NetworkRecord record) {
  if (auto may = check_network_count(user_, state.networks_of(user_), limits_); !may) return may;
  record_ = std::move(record);
  auto name = choose_bridge_name(record_, state.links);
  if (!name) return pass(name);
  bridge_name_ = *name;
  bool shared = record_.kind == NetworkKind::kShared;
  bool ipv6 = shared && host_has_ipv6();
  std::string canonical = canonical_name(record_);
  if (ipv6) record_.ipv6_prefix = choose_prefix(state, canonical);

  wait_until_guard_is_free(*netfilter_, bridge_name_);
  auto bridge = create_bridge(netlink_, bridge_name_, bridge_mac(canonical));
  if (!bridge) return pass(bridge);
  bridge_ = *bridge;
  if (auto set = set_alias(netlink_, bridge_, to_alias(record_)); !set) return set;
  SettingNotes notes(netlink_, bridge_, bridge_name_, record_);
  if (auto set = forbid_automatic_address(netlink_, bridge_); !set) return set;
  if (auto set = set_group(netlink_, bridge_, links_group(bridge_)); !set) return set;
  if (auto set = limit_segments(netlink_, bridge_, kMaxSegments); !set) return set;
  auto has_ipv6 = configure_link(bridge_name_, shared, ipv6, notes);
  if (!has_ipv6) return pass(has_ipv6);
  if (!*has_ipv6 && ipv6) {
    record_.ipv6_prefix.reset();
    if (auto set = set_alias(netlink_, bridge_, to_alias(record_)); !set) return set;
  }
  if (auto up = set_link_up(netlink_, bridge_); !up) return up;
  if (shared) warn_of_shared_ports();
  if (auto added = add_gateway(bridge_); !added) return pass(added);
  return {};
}

// Under the lock.
Result<bool> HostNetwork::enable_uplinks() {
  auto state = read_network_state(netlink_);
  if (!state) return pass(state);
  auto own = std::ranges::find(state->networks, bridge_, &ExistingNetwork::bridge);
  if (own == state->networks.end()) return fail(fmt::format("bridge {} is gone", bridge_name_));
  record_ = own->record;  // another helper may have added to it
  auto uplinks = list_uplinks(netlink_);
  if (!uplinks) return pass(uplinks);
  UplinkNames names{.ipv4 = names_of(uplinks->ipv4, state->links),
                    .ipv6 = names_of(uplinks->ipv6, state->links)};
  SettingNotes notes(netlink_, bridge_, bridge_name_, record_);
  Status failed;
  std::vector<std::string> own_links = {bridge_name_};
  if (is_isolated()) own_links.emplace_back(facts_.device.data());
  auto switched_on =
      enable_forwarding(own_links, names, record_.ipv6_prefix.has_value(), notes, failed);
  // A host that cannot forward still is a network of its VMs and the host.
  if (!failed) log_warn("network", "VMs do not reach the uplink: {}", failed.error().message);
  warn_of_switched_off(switched_on);
  return record_ != own->record;
}

// Our own devices route since they were made, an uplink since it is one.
void HostNetwork::warn_of_switched_off(const std::vector<std::string>& switched_on) {
  const bool seen = std::exchange(saw_switched_off_, false) && !switched_on.empty();
  const bool own = std::ranges::any_of(
      switched_on, [](const std::string& name) { return name.starts_with(kOwnPrefix); });
  if (!own && !seen) return;
  log_warn("network",
           "forwarding was switched off on this host (a VPN that ended, say), which cuts VMs off: "
           "switched on again for {}",
           fmt::join(switched_on, ", "));
}

void HostNetwork::tear_down() {
  // Before the wait for the lock: what is the VM's alone needs none. The guard first: others see
  // that, and have one before the network can be gone.
  if (auto released = release_guards(*netfilter_); !released) warn_of_leftover(released.error());
  remove_device();
  constexpr int kNothingCancels = -1;
  auto lock = NetworkLock::acquire(*netfilter_, user_, kNothingCancels);
  if (!lock) {
    warn_of_leftover(lock.error());
    remove_rules();
    return;
  }
  remove_all();
}

void HostNetwork::remove_device() {
  sign_of_life_.reset();
  device_fd_.reset();
  if (device_ == 0) return;
  // The worker's end may still be closing it.
  if (auto deleted = delete_link(netlink_, device_); !deleted) warn_of_leftover(deleted.error());
  device_ = 0;
}

void HostNetwork::remove_rules() {
  if (!rules_) return;
  if (auto removed = rules_->remove(); !removed) warn_of_leftover(removed.error());
  rules_.reset();
}

// Under the lock. The rules last: as long as the network has forwarding switched on, they see to it
// that the host forwards for VMs alone.
void HostNetwork::remove_all() {
  remove_device();
  if (bridge_ != 0 && config_.mode != Mode::kBridged) {
    forget_own_connections();
    remove_unused_bridge();
  }
  remove_rules();
  if (bridge_ == 0) return;
  if (auto left = update_tables(Guards::kLeave); !left) warn_of_leftover(left.error());
}

// The device has gone before the lock was taken: another VM may have the addresses already, and has
// had forgotten what there was.
void HostNetwork::forget_own_connections() {
  auto state = read_network_state(netlink_);
  if (!state || state->find_vm(identity())) return;
  VmRecord vm = vm_record();
  const std::vector<Ipv4> given = state->addresses_on(bridge_);
  if (std::ranges::find(given, vm.address) != given.end()) vm.address.reset();
  auto forgotten = forget_connections(*netfilter_, addresses_of(vm, record_.ipv6_prefix));
  if (!forgotten) warn_of_leftover(forgotten.error());
}

void HostNetwork::remove_unused_bridge() {
  auto state = read_network_state(netlink_);
  if (!state) {
    warn_of_leftover(state.error());
    return;
  }
  const Link* bridge = find_link(state->links, bridge_);
  if (bridge == nullptr || !is_own_bridge(*bridge) || state->has_vm(bridge_)) return;
  if (auto removed = remove_network(netlink_, *netfilter_, *state, *bridge); !removed) {
    warn_of_leftover(removed.error());
  }
}

}  // namespace vmnet
