// What exists of ours in a network namespace, read from the kernel, and the removal of what nobody
// holds any more. Everything here runs under the network's lock.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "linux/host/network_plan.h"
#include "linux/host/network_record.h"
#include "linux/netlink/links.h"
#include "linux/netlink/netlink.h"
#include "linux/rules/network_rules.h"

namespace vmnet {

struct NetworkState {
  std::vector<Link> links;                // all of the host's
  std::vector<ExistingNetwork> networks;  // our bridges

  // The devices of that bridge's VMs, isolated ones too.
  std::vector<const Link*> vms_of(int bridge) const;
  bool has_vm(int bridge) const { return !vms_of(bridge).empty(); }

  // Those to be joined: a bridge without a VM only remembers settings.
  std::vector<ExistingNetwork> networks_with_vms() const;

  // The record of that VM; nullopt where it does not run.
  std::optional<VmRecord> find_vm(const VmIdentity& vm) const;

  // In how many networks VMs of that user's are.
  size_t networks_of(uid_t user) const;

  // The addresses that the VMs of that bridge's network hold.
  std::vector<Ipv4> addresses_on(int bridge) const;

  // The device of the VM of that bridge's network that was given `address`; nullptr: of none.
  const Link* vm_with(int bridge, Ipv4 address) const;

  // Is that /64 a network's of ours, or an isolated VM's?
  bool has_prefix(const Ipv6& prefix) const;
};

Result<NetworkState> read_network_state(NetlinkSocket& netlink);

// Removes what a helper left that was killed: devices of VMs whose keeper is gone (no socket owns a
// table of theirs: the kernel sees to that), held by the VM or not, rules without owner, and
// bridges without a VM, whose old settings are restored or handed on. Returns the state after that.
Result<NetworkState> sweep_leftovers(NetlinkSocket& netlink, NetlinkSocket& netfilter);

// Whether there is such a device. Without the lock: one that is being made may be taken for it.
bool has_leftover_devices(NetlinkSocket& netlink, NetlinkSocket& netfilter);

// The first name "PREFIX<n>" that neither a device nor a living helper's table has: a helper that
// is ending has lost its device before its rules.
Result<std::string> choose_device_name(const NetworkState& state, NetlinkSocket& netfilter,
                                       std::string_view prefix);

// Removes a bridge of ours that has no VM. What it remembers of the host's settings is restored, or
// handed to another network that still needs them changed. Where that fails the bridge stays, down,
// with the record of what is left to do, and a WARN line says so: no error. What is tracked of its
// addresses goes.
Status remove_network(NetlinkSocket& netlink, NetlinkSocket& netfilter, const NetworkState& state,
                      const Link& bridge);

// The names of those devices that others than we have made, but the loopback device.
std::vector<std::string> names_of(const std::vector<int>& devices, const std::vector<Link>& links);

// The forwarding that some network of ours has switched on, and that is for VMs alone: once the
// host's administrator, or Docker, has switched it on for all, it is no more.
GuardedForwarding guarded_forwarding(const NetworkState& state);

}  // namespace vmnet
