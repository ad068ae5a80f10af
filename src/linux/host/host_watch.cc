// What a keeper watches while its VM lives: the host's routes and forwarding, the MACs that the VM
// uses, and the MAC of a device that the VM holds itself.

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include <fmt/ranges.h>
#include <linux/if_addr.h>
#include <linux/netconf.h>
#include <linux/rtnetlink.h>

#include "base/log.h"
#include "linux/host/host_network.h"
#include "linux/netlink/links.h"
#include "linux/netlink/packet_filter.h"
#include "linux/netlink/routes.h"

namespace vmnet {
namespace {

enum class SwitchEvent { kNone, kOn, kOff };

// Whether an RTM_NEWNETCONF event (linux/netconf.h) says that something was switched off, or on for
// the whole host. It has the device and one setting, or none where the setting is
// force_forwarding (Linux 6.17): that may be either. That of a single device switched on is nothing
// to follow, and mostly our own doing.
SwitchEvent parse_switch_event(const nlmsghdr* message) {
  int device = 0;
  int value = 0;
  for_each_attribute(message, sizeof(netconfmsg), [&](const nlattr* attribute) {
    const auto number = static_cast<int>(mnl_attr_get_u32(attribute));
    if (mnl_attr_get_type(attribute) == NETCONFA_IFINDEX) {
      device = number;
    } else {
      value = number;
    }
  });
  if (value == 0) return SwitchEvent::kOff;
  return device < 0 ? SwitchEvent::kOn : SwitchEvent::kNone;
}

// What is looked at: addresses that go, new routes to machines, and single settings, with a device
// or without one. A new device tells all its settings, for each protocol, which need wake nobody.
std::array<sock_filter, 11> watched_events_filter() {
  constexpr size_t kAttribute = sizeof(nlattr) + sizeof(uint32_t);
  constexpr size_t kDeviceAlone = NLMSG_LENGTH(NLMSG_ALIGN(sizeof(netconfmsg))) + kAttribute;
  return {bpf_load(BPF_H, offsetof(nlmsghdr, nlmsg_type)),
          bpf_if_equal(htons(RTM_NEWNETCONF), 0, 3),
          bpf_load(BPF_W, offsetof(nlmsghdr, nlmsg_len)),
          bpf_if_equal(htonl(kDeviceAlone), 5, 0),
          bpf_if_equal(htonl(kDeviceAlone + kAttribute), 4, 5),
          bpf_if_equal(htons(RTM_DELADDR), 3, 0),
          bpf_skip_unless(htons(RTM_NEWROUTE), 3),
          bpf_load(BPF_B, sizeof(nlmsghdr) + offsetof(rtmsg, rtm_type)),
          bpf_skip_unless(RTN_UNICAST, 1),
          bpf_answer(~0U),
          bpf_answer(0)};
}

}  // namespace

Status HostNetwork::watch() {
  if (bridge_ == 0) return {};  // a macvtap
  if (auto watched = watch_device(); !watched) return watched;
  if (auto watched = watch_subnet(); !watched) return watched;
  if (config_.mode == Mode::kBridged) return {};
  auto events = NetlinkSocket::open(NETLINK_ROUTE);
  if (!events) return pass(events);
  if (attach_filter(events->fd(), watched_events_filter()) != 0) {
    return fail_errno("cannot filter route events", errno);
  }
  std::vector<int> groups = {RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR};
  if (record_.kind == NetworkKind::kShared) {
    groups.insert(groups.end(), {RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_NETCONF,
                                 RTNLGRP_IPV6_NETCONF});
  }
  for (int group : groups) {
    if (auto joined = events->join_group(group); !joined) return joined;
  }
  route_events_.emplace(std::move(*events));
  return {};
}

// udev may have looked at the device before create_tap() gave it its MAC, and systemd-networkd
// takes what it configures out of every bridge that its files do not name.
Status HostNetwork::ensure_device() {
  auto link = find_link(netlink_, device_);
  if (!link) return pass(link);
  if (const Mac mac = device_mac(); link->mac != mac) {
    if (auto set = set_link_mac(netlink_, device_, mac); !set) return set;
  }
  if (is_isolated() || link->master != 0) return {};
  return put_back_on_bridge();
}

Status HostNetwork::put_back_on_bridge() {
  if (!find_link(netlink_, bridge_)) return {};
  log_warn(
      "network",
      "{} was taken out of {}, which cuts its VM off (by systemd-networkd, say, which our .network "
      "file keeps from it): put back",
      facts_.device.data(), bridge_name_);
  if (auto attached = attach_port(netlink_, device_, bridge_); !attached) return attached;
  if (config_.mode == Mode::kBridged) return {};
  return add_forwarding_entry(netlink_, device_, facts_.vm_mac);
}

// Before the VM has the device.
Status HostNetwork::watch_device() {
  auto events = DeviceEvents::watch(device_, DeviceEvent::kChanged);
  if (!events) return pass(events);
  // What came until now was not the VM's doing.
  events->read([](const Link&) {});
  if (auto ensured = ensure_device(); !ensured) return ensured;
  device_events_.emplace(std::move(*events));
  return {};
}

// A MAC that a VM or a device of the host has. Where that cannot be known any may be.
bool HostNetwork::is_somebodys(const Mac& mac) {
  auto links = list_links(netlink_);
  return !links || std::ranges::any_of(*links, [&](const Link& link) {
    auto vm = parse_vm_alias(link.alias);
    return (vm && vm->mac == mac) || (link.index != device_ && link.mac == mac);
  });
}

// udev gives a device another MAC once, and may be late with it: that is undone. So is, a few
// times, what a VM does that has its device itself, unless it takes somebody's: a bridge makes the
// MAC of a port an address of its own, in place of whose it is, and no rule sees it
// (br_fdb_changeaddr, Linux 6.18).
bool HostNetwork::read_device_events() {
  constexpr int kMaxChanges = 4;
  std::set<Mac> others;
  bool off_bridge = false;
  bool complete = device_events_->read([&](const Link& link) {
    others.insert(link.mac);
    off_bridge = off_bridge || (!is_isolated() && link.master == 0);
  });
  others.erase(device_mac());
  if (complete && others.empty() && !off_bridge) return false;
  if (!others.empty()) mac_changes_++;
  const bool held_by_vm = config_.hand_over_device;
  const bool harmless =
      !held_by_vm ||
      (complete && mac_changes_ <= kMaxChanges &&
       std::ranges::none_of(others, [this](const Mac& mac) { return is_somebodys(mac); }));
  if (harmless) {
    auto undone = ensure_device();
    if (undone || undone.error().os_errno == ENODEV) return false;
    log_warn("network", "{}", undone.error().message);
  }
  if (!held_by_vm) return false;
  log_error("network", "the VM has changed the MAC address of {}, which it may not: taken away",
            facts_.device.data());
  return true;
}

bool HostNetwork::read_route_events() {
  bool due = false;
  bool complete = route_events_->read_events([&](const nlmsghdr* message) {
    if (message->nlmsg_type == RTM_DELADDR) {
      due = due || is_gateways(message);
    } else if (message->nlmsg_type == RTM_NEWNETCONF) {
      const SwitchEvent event = parse_switch_event(message);
      saw_switched_off_ = saw_switched_off_ || event == SwitchEvent::kOff;
      due = due || event != SwitchEvent::kNone;
    } else if (!due) {
      due = is_way_out(message);
    }
  });
  return due || !complete;
}

bool HostNetwork::is_of_others(int device) {
  auto link = find_link(netlink_, device);
  return link && !link->name.starts_with(kOwnPrefix);
}

bool HostNetwork::is_gateways(const nlmsghdr* address_event) const {
  const auto* header = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(address_event));
  const auto device = static_cast<int>(header->ifa_index);
  return device == bridge_ || (is_isolated() && device == device_);
}

// Under the lock. All keepers of the network see it, and one tells of it.
void HostNetwork::restore_gateway() {
  std::vector<std::string> restored;
  auto restore = [&](int device, const std::string& name) {
    auto lacked = add_gateway(device);
    if (!lacked) log_warn("network", "{}", lacked.error().message);
    if (lacked && *lacked) restored.push_back(name);
  };
  restore(bridge_, bridge_name_);
  if (is_isolated()) restore(device_, facts_.device.data());
  if (restored.empty()) return;
  log_warn(
      "network",
      "addresses of the gateway were taken from {}, which cuts VMs off (by systemd-networkd, say, "
      "which our .network file keeps from it): given again",
      fmt::join(restored, ", "));
}

// The routes that the kernel makes for addresses of our own devices are none.
bool HostNetwork::is_way_out(const nlmsghdr* route_event) {
  return std::ranges::any_of(uplinks_of_route(route_event),
                             [this](int device) { return is_of_others(device); });
}

ForwardingNeeds HostNetwork::forwarding_needs() {
  ForwardingNeeds needs{.device = is_isolated() ? facts_.device.data() : bridge_name_};
  // An isolated VM has no neighbours.
  if (!is_isolated()) look_for_bridge_netfilter(needs);
  if (config_.mode == Mode::kBridged) {
    needs.devices = bridge_name_;
    return needs;
  }
  needs.routed = record_.kind == NetworkKind::kShared;
  needs.ipv6 = record_.ipv6_prefix.has_value();
  auto uplinks = list_default_uplinks(netlink_);
  auto links = list_links(netlink_);
  if (!needs.routed || !uplinks || !links) return needs;
  needs.uplinks_ipv4 = names_of(uplinks->ipv4, *links);
  needs.uplinks_ipv6 = names_of(uplinks->ipv6, *links);
  return needs;
}

void HostNetwork::warn_of_firewall() {
  if (bridge_ == 0) return;  // a macvtap
  for (const auto& warning : check_firewall(*netfilter_, forwarding_needs())) {
    log_warn("firewall", "{}", warning);
  }
}

std::expected<NetworkLock, HostNetwork::NoLock> HostNetwork::try_lock(
    int cancel_fd, std::chrono::milliseconds patience, std::string_view failure) {
  auto lock = NetworkLock::acquire(*netfilter_, user_, cancel_fd, patience);
  if (lock) return std::move(*lock);
  if (lock.error().os_errno == 0) return std::unexpected(NoLock::kHeldByAnother);
  if (lock.error().os_errno != ECANCELED) {
    log_warn("network", "{}: {}", failure, lock.error().message);
  }
  return std::unexpected(NoLock::kNotNeeded);
}

bool HostNetwork::follow_routes(int cancel_fd) {
  auto lock = try_lock(cancel_fd, kLockTry, "cannot follow the host's routes");
  if (!lock) return lock.error() == NoLock::kNotNeeded;
  auto state = read_network_state(netlink_);
  // The worker has ended meanwhile, and another helper has cleaned up after it.
  if (state && find_link(state->links, bridge_) == nullptr) return true;
  restore_gateway();
  if (record_.kind != NetworkKind::kShared) return true;
  auto enabled = enable_uplinks();
  Status followed = enabled ? update_tables(Guards::kTake) : Status(pass(enabled));
  if (!followed) {
    log_warn("network", "cannot follow the host's routes: {}", followed.error().message);
  }
  return true;
}

}  // namespace vmnet
