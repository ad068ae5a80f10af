// A VM's device: a port of the network's bridge or, isolated, a link of its own.

#include "linux/host/vm_device.h"

#include <algorithm>
#include <array>
#include <string>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "base/log.h"
#include "linux/device/identity.h"
#include "linux/host/forwarding.h"
#include "linux/host/host_network.h"
#include "linux/netlink/neighbours.h"
#include "wire/split.h"

namespace vmnet {
namespace {

// The host's identity, an input to the hash of its IPv6 prefix; empty where there is none.
std::string machine_id() {
  UniqueFd file(open("/etc/machine-id", O_RDONLY | O_CLOEXEC | O_NOCTTY));
  std::array<char, 64> text{};
  ssize_t size = file.valid() ? read(file.get(), text.data(), text.size()) : 0;
  return {text.data(), static_cast<size_t>(std::max<ssize_t>(size, 0))};
}

}  // namespace

Ipv6 choose_prefix(const NetworkState& state, std::string_view name) {
  const std::string host = machine_id();
  Ipv6 prefix = unique_local_prefix(host, name);
  // 65,536 names have a prefix of their own; there are fewer devices.
  for (int attempt = 1; state.has_prefix(prefix); attempt++) {
    prefix = unique_local_prefix(host, fmt::format("{} {}", name, attempt));
  }
  return prefix;
}

Result<bool> HostNetwork::add_gateway(int device) {
  bool lacked = false;
  Status failed;
  auto account = [&](Result<bool> added) {
    if (!added && failed) failed = pass(added);
    lacked = lacked || (added && *added);
  };
  const bool is_link = device == device_;
  const auto& range = record_.addresses;
  if (is_link && facts_.vm_address) {
    account(add_peer_address(netlink_, device, range->start, *facts_.vm_address));
  } else if (!is_link && range) {
    account(add_address(netlink_, device, range->start, range->subnet()));
  }
  if (const auto& prefix = is_link ? facts_.ipv6_prefix : record_.ipv6_prefix) {
    account(add_address(netlink_, device, kGatewayLinkLocal, 64));
    account(add_address(netlink_, device, gateway_of(*prefix), 64));
  }
  if (!failed) return pass(failed);
  return lacked;
}

Status HostNetwork::choose_vm_addresses(const NetworkState& state) {
  if (is_isolated() && record_.ipv6_prefix) {
    auto now = read_network_state(netlink_);  // with a bridge that was just made
    if (!now) return pass(now);
    facts_.ipv6_prefix = choose_prefix(*now, canonical_name(record_) + " " + to_string(identity()));
  }
  if (!record_.addresses) return {};
  const std::vector<Ipv4> given = state.addresses_on(bridge_);
  auto in_use = addresses_in_use(netlink_, bridge_);
  if (!in_use) return pass(in_use);
  std::vector<Ipv4> taken = given;
  taken.insert(taken.end(), in_use->begin(), in_use->end());
  if (config_.vm_address) {
    if (std::ranges::find(*in_use, *config_.vm_address) != in_use->end()) {
      log_warn("network", "another VM uses {} without having been given it, and loses it",
               to_string(*config_.vm_address));
    }
    facts_.vm_address = config_.vm_address;
    return {};
  }
  const VmIdentity own = identity();
  const VmIdentity* lasting = config_.interface_id ? &own : nullptr;
  auto address = choose_address(*record_.addresses, lasting, taken);
  // What is in use is what VMs say: one that says it of all must not keep the others out.
  if (!address) address = choose_address(*record_.addresses, lasting, given);
  if (!address) return pass(address);
  facts_.vm_address = *address;
  return {};
}

// An isolated VM's link has the gateway's.
Mac HostNetwork::device_mac() const {
  return is_isolated() ? facts_.gateway_mac : port_mac(identity());
}

// The rules are there before the first frame can be.
Status HostNetwork::attach_tap(const NetworkState& state) {
  if (auto made = make_tap(state); !made) return made;
  if (auto installed = install_vm_rules(); !installed) return installed;
  // Watched first: another keeper's guard may be released at any moment.
  if (auto watched = watch_tables(); !watched) return watched;
  if (auto updated = update_tables(Guards::kTake); !updated) return updated;
  return is_isolated() ? make_link() : join_bridge();
}

Status HostNetwork::make_tap(const NetworkState& state) {
  auto name = choose_device_name(state, *netfilter_, kTapPrefix);
  if (!name) return pass(name);
  auto tap = create_tap(*name, device_mac(), offload_of(config_));
  if (!tap) return pass(tap);
  auto index = find_index(netlink_, *name);
  if (!index) return pass(index);
  device_ = *index;
  device_fd_ = std::move(*tap);
  if (config_.hand_over_device) {
    auto sign = create_sign_of_life();
    if (!sign) return pass(sign);
    sign_of_life_ = std::move(*sign);
    if (auto set = set_tap_owner(device_fd_.get(), user_); !set) return set;
  }
  facts_.device_index = device_;
  name->copy(facts_.device.data(), facts_.device.size() - 1);
  if (auto set = forbid_automatic_address(netlink_, device_); !set) return set;
  if (auto set = limit_segments(netlink_, device_, kMaxSegments); !set) return set;
  // Also where it is the usual one: udev's files may give every new device another.
  if (auto set = set_link_mtu(netlink_, device_, port_mtu_); !set) return set;
  const uint32_t group = is_isolated() ? links_group(bridge_) : port_group(bridge_);
  if (auto set = set_group(netlink_, device_, group); !set) return set;
  return set_alias(netlink_, device_, to_alias(vm_record()));
}

VmRecord HostNetwork::vm_record() const {
  VmRecord vm{.interface_id = facts_.interface_id,
              .mac = facts_.vm_mac,
              .address = facts_.vm_address,
              .uid = user_};
  if (is_isolated()) vm.ipv6_prefix = facts_.ipv6_prefix;
  return vm;
}

// The host still knows whoever had the addresses last, under another MAC, and takes no newer answer
// within a second (neigh/DEVICE/locktime).
Status HostNetwork::forget_earlier_owners() {
  std::vector<std::vector<uint8_t>> addresses;
  for (const auto& prefix : {std::optional(kLinkLocalPrefix), record_.ipv6_prefix}) {
    if (!prefix) continue;
    const Ipv6 own = address_from_mac(*prefix, facts_.vm_mac);
    addresses.emplace_back(own.bytes.begin(), own.bytes.end());
  }
  if (facts_.vm_address) addresses.push_back(nft_bytes(kNftIpv4Address, *facts_.vm_address));
  return forget_neighbours(netlink_, bridge_, facts_.vm_mac, addresses);
}

Status HostNetwork::join_bridge() {
  if (config_.mode == Mode::kBridged) return attach_port(netlink_, device_, bridge_);
  if (auto forgot = forget_earlier_owners(); !forgot) return forgot;
  if (auto attached = attach_port(netlink_, device_, bridge_); !attached) return attached;
  wait_until_operational(netlink_, bridge_);
  return add_forwarding_entry(netlink_, device_, facts_.vm_mac);
}

// To the VM it is the network: the gateway's MAC and addresses, and a route to the VM's.
Status HostNetwork::make_link() {
  SettingNotes notes(netlink_, bridge_, bridge_name_, record_);
  const std::string name = facts_.device.data();
  const bool shared = record_.kind == NetworkKind::kShared;
  auto configured = configure_link(name, shared, facts_.ipv6_prefix.has_value(), notes);
  if (!configured) return pass(configured);
  if (!*configured) facts_.ipv6_prefix.reset();
  if (auto up = set_link_up(netlink_, device_); !up) return up;
  if (auto added = add_gateway(device_); !added) return pass(added);
  return {};
}

Status HostNetwork::install_vm_rules() {
  VmRules rules{.mode = config_.mode,
                .device = facts_.device.data(),
                .gateway_mac = facts_.gateway_mac,
                .vm_mac = facts_.vm_mac,
                .vm_ipv4 = facts_.vm_address,
                .ipv6_prefix = facts_.ipv6_prefix,
                .isolated = is_isolated() || facts_.is_macvtap};
  if (facts_.addresses) {
    rules.subnet = facts_.addresses->subnet();
    rules.gateway_ipv4 = facts_.addresses->start;
  }
  auto installed =
      InstalledVmRules::install(*netfilter_, vm_table(rules), config_.hand_over_device);
  if (!installed) return pass(installed);
  rules_.emplace(std::move(*installed));
  return {};
}

Status HostNetwork::update_tables(Guards guards) {
  auto state = read_network_state(netlink_);
  if (!state) return pass(state);
  return update_network_tables(netlink_, *netfilter_, *state, guards);
}

}  // namespace vmnet
