// What a keeper watches while its VM lives: the host's routes, the MACs that the VM uses, and the
// MAC of a device that the VM holds itself.

#include <cerrno>
#include <chrono>

#include <linux/rtnetlink.h>

#include "base/log.h"
#include "linux/host/firewall_check.h"
#include "linux/host/host_network.h"
#include "linux/netlink/links.h"

namespace vmnet {
namespace {

// What else is watched must not wait for longer.
constexpr std::chrono::milliseconds kLockTry{50};

}  // namespace

Status HostNetwork::watch() {
  if (bridge_ == 0) return {};  // a macvtap
  Status right = config_.hand_over_device ? watch_device() : ensure_device_mac();
  if (!right) return right;
  if (auto watched = watch_tables(); !watched) return watched;
  if (config_.mode == Mode::kBridged || record_.kind != NetworkKind::kShared) return {};
  auto events = NetlinkSocket::open(NETLINK_ROUTE);
  if (!events) return pass(events);
  for (int group : {RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE}) {
    if (auto joined = events->join_group(group); !joined) return joined;
  }
  route_events_.emplace(std::move(*events));
  return {};
}

// udev may have been quicker than create_tap().
Status HostNetwork::ensure_device_mac() {
  auto link = find_link(netlink_, device_);
  if (!link) return pass(link);
  const Mac mac = device_mac();
  if (link->mac == mac) return {};
  return set_link_mac(netlink_, device_, mac);
}

// Before the VM has the device.
Status HostNetwork::watch_device() {
  auto events = DeviceEvents::watch(device_, DeviceEvent::kChanged);
  if (!events) return pass(events);
  // What came until now was not the VM's doing.
  if (auto ensured = ensure_device_mac(); !ensured) return ensured;
  events->read([](const Mac&) {});
  device_events_.emplace(std::move(*events));
  return {};
}

// A bridge makes the MAC of a port an address of its own, in place of whose it is, and no rule sees
// it (br_fdb_changeaddr, Linux 6.18).
bool HostNetwork::read_device_events() {
  const Mac right = device_mac();
  bool changed = false;
  bool complete = device_events_->read(
      [&changed, right](const Mac& mac) { changed = changed || mac != right; });
  if (complete && !changed) return false;
  log_error("network", "the VM has changed the MAC address of {}, which it may not: taken away",
            facts_.device.data());
  return true;
}

bool HostNetwork::read_route_events() {
  bool changed = false;
  bool complete = route_events_->read_events([&changed](const nlmsghdr* message) {
    // Routes that the kernel makes for an address, ours among them, are no way out.
    const auto* route = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(message));
    changed = changed || route->rtm_protocol != RTPROT_KERNEL;
  });
  return changed || !complete;
}

void HostNetwork::warn_of_firewall() {
  if (!route_events_) return;  // only a shared network is routed
  for (const auto& warning :
       check_firewall(*netfilter_, bridge_name_, facts_.ipv6_prefix.has_value())) {
    log_warn("firewall", "{}", warning);
  }
}

bool HostNetwork::follow_routes(int cancel_fd) {
  auto lock = NetworkLock::acquire(*netfilter_, cancel_fd, kLockTry);
  if (!lock) {
    if (lock.error().os_errno == ECANCELED) return true;
    if (lock.error().os_errno == 0) return false;  // held by another
    log_warn("network", "cannot follow the host's routes: {}", lock.error().message);
    return true;
  }
  auto state = read_network_state(netlink_);
  // The worker has ended meanwhile, and another helper has cleaned up after it.
  if (state && find_link(state->links, bridge_) == nullptr) return true;
  if (auto enabled = enable_uplinks(); !enabled) {
    log_warn("network", "cannot follow the host's routes: {}", enabled.error().message);
  }
  return true;
}

}  // namespace vmnet
