// Bridged mode: the VM on a network that is not ours, as a port of the user's bridge or, on a plain
// NIC, through a macvtap.

#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "linux/device/tap.h"
#include "linux/host/host_network.h"
#include "linux/host/network_record.h"
#include "linux/host/network_state.h"
#include "linux/host/vm_device.h"
#include "linux/netlink/links.h"
#include "wire/split.h"

namespace vmnet {
namespace {

bool has_ports_of_others(const Link& bridge, const NetworkState& state) {
  return std::ranges::any_of(state.links, [&bridge](const Link& link) {
    return link.master == bridge.index && !is_own_vm_device(link);
  });
}

// A bridge whose MAC was not set by hand takes the lowest of its ports', and with the last port
// none. Ours is among the highest; but where it would be the lowest all the same the bridge is told
// to keep the MAC that it has.
Status keep_bridge_mac(NetlinkSocket& netlink, const Link& bridge, const NetworkState& state) {
  if (has_ports_of_others(bridge, state)) return {};
  // ROOT: the MAC that the bridge has.
  return set_link_mac(netlink, bridge.index, bridge.mac);
}

// A bridge whose MTU was not set by hand takes the least of its ports': never ours, unless there is
// no other.
uint32_t port_mtu(const Link& bridge, const NetworkState& state) {
  return has_ports_of_others(bridge, state) ? kMaxTapMtu : std::min(bridge.mtu, kMaxTapMtu);
}

}  // namespace

Status HostNetwork::attach_to_shared_interface(const NetworkState& state) {
  const Link* link = find_link(state.links, config_.shared_interface);
  if (link == nullptr) {
    return fail(fmt::format(
        "--shared-interface '{}': no such device; --list-shared-interfaces lists what there is",
        config_.shared_interface));
  }
  if (link->name.starts_with(kOwnPrefix)) {
    return fail(fmt::format("--shared-interface '{}': it is vmnet-helper's own; use shared mode",
                            link->name));
  }
  if (link->kind == "bridge") {
    bridge_ = link->index;
    bridge_name_ = link->name;
    facts_.mtu = link->mtu;
    if (auto kept = keep_bridge_mac(netlink_, *link, state); !kept) return kept;
    port_mtu_ = port_mtu(*link, state);
    return attach_tap(state);
  }
  if (!link->ethernet || link->name == "lo") {
    return fail(fmt::format("--shared-interface '{}': not an Ethernet device", link->name));
  }
  if (const Link* master = find_link(state.links, link->master)) {
    return fail(
        fmt::format("--shared-interface '{0}': it is a port of {1}; use "
                    "--shared-interface {1}",
                    link->name, master->name));
  }
  return attach_macvtap(state, *link);
}

Status HostNetwork::attach_macvtap(const NetworkState& state, const Link& lower) {
  remove_stale_macvtap_nodes();
  auto uevents = open_uevents();
  if (!uevents) return pass(uevents);
  auto name = choose_device_name(state, *netfilter_, kMacvtapPrefix);
  if (!name) return pass(name);
  auto index = create_macvtap(netlink_, *name, lower.index, facts_.vm_mac);
  if (!index) return pass(index);
  device_ = *index;
  facts_.device_index = device_;
  name->copy(facts_.device.data(), facts_.device.size() - 1);
  facts_.is_macvtap = true;
  facts_.mtu = lower.mtu;  // which a macvtap inherits
  if (auto set = forbid_automatic_address(netlink_, device_); !set) return set;
  if (auto set = limit_segments(netlink_, device_, kMaxSegments); !set) return set;
  if (auto set = set_alias(netlink_, device_, to_alias(vm_record())); !set) return set;
  // A macvtap has no bridge to guard; its table tells the next life that its keeper lives.
  if (auto installed = install_vm_rules(); !installed) return installed;
  auto fd = open_macvtap(*uevents, device_, offload_of(config_));
  if (!fd) return pass(fd);
  device_fd_ = std::move(*fd);
  return set_link_up(netlink_, device_);
}

}  // namespace vmnet
