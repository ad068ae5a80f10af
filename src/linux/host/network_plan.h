// Which network a helper joins or makes, and which address its VM gets: decided here, from what was
// read of the kernel under the network's lock. Pure.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/result.h"
#include "linux/device/identity.h"
#include "linux/host/limits.h"
#include "linux/host/network_record.h"
#include "linux/netlink/routes.h"
#include "platform/config.h"

namespace vmnet {

struct ExistingNetwork {
  int bridge = 0;  // interface index
  std::string name;
  NetworkRecord record;
};

struct NetworkPlan {
  const ExistingNetwork* join = nullptr;  // into the caller's list; nullptr: create
  NetworkRecord record;                   // of the network joined or to be created
};

// `used` are the host's own addresses and routes, without those of `existing`. An address in it, or
// a route that is at least as long as its prefix, makes a subnet taken; a shorter one (a VPN's
// 10.0.0.0/8) does not.
// A named network is joined by its name, which is `user`'s own; it is made in an automatic shared
// /24 that follows from both, or in the next free one: the first is the automatic network's, as
// long as there are others. An explicit subnet joins the network of the same mode with just those
// addresses, or must be free; an automatic one joins the first existing automatic network of its
// mode, or takes the first free /24: from 192.168.64.0 for shared, from 192.168.128.0 for host
// mode. An error names the conflict. A network with an id is `user`'s too. `limits` may make named
// ones and those with an id everybody's; an automatic subnet is one that they leave to the user.
Result<NetworkPlan> plan_network(const NetworkConfig& config, uid_t user, const Limits& limits,
                                 std::span<const ExistingNetwork> existing,
                                 std::span<const UsedSubnet> used, std::span<const Link> links);

// What that is of the host, in words: "192.0.2.0/24 on eth0", "10.0.0.53 (the host's DNS server)".
std::string text_of(const UsedSubnet& used, std::span<const Link> links);

// The address that DHCP gives the VM, of the pool start+1 to end: for one whose id was given, the
// one that it prefers in the lower half, so that it is the same next time, or the next free one;
// for a drawn id (nullptr), the lowest free one. An error when all are taken.
Result<Ipv4> choose_address(const AddressRange& range, const VmIdentity* lasting,
                            std::span<const Ipv4> taken);

// May a VM have `address`, which its user chose, in a network of those addresses? Any of the subnet
// but the gateway's, of the pool or not. The error says why not.
Status check_vm_address(const AddressRange& range, Ipv4 address);

// A name that no device has: of a named network "vmnet-NAME" where it fits, could be no other
// kind's and is free; else the first "PREFIX<n>".
Result<std::string> choose_bridge_name(const NetworkRecord& record, std::span<const Link> links);

// The network's canonical name, the input of its MAC and IPv6 prefix.
std::string canonical_name(const NetworkRecord& record);

}  // namespace vmnet
