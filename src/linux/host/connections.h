// What connection tracking remembers of an address, which outlives whoever had it: the next VM with
// that address would be sent what others still send to the VM before it.
//
// Source: linux/netfilter/nfnetlink_conntrack.h; net/netfilter/nf_conntrack_netlink.c (Linux 6.18).
// Under the network's lock, which is what keeps an address from being given meanwhile.
#pragma once

#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "linux/host/network_record.h"
#include "linux/netlink/netlink.h"
#include "linux/nft/fields.h"

namespace vmnet {

using AddressBlock = std::variant<Ipv4Subnet, Ipv6Prefix>;

// What a VM has for itself: its IPv4 address, and in IPv6 a prefix of its own, or what follows from
// its MAC in `network_prefix`.
std::vector<AddressBlock> addresses_of(const VmRecord& vm,
                                       const std::optional<Ipv6>& network_prefix);

// All that the VMs of a network may have chosen for themselves.
std::vector<AddressBlock> addresses_of(const NetworkRecord& network);

// Deletes the tracked connections that began at one of the addresses, or lead to it, by NAT: what
// the host itself sends to an address it sends whatever is tracked. Takes as long as the kernel
// needs to go through its table twice (0.1 s for 180,000 entries, seen on 6.18), where there is
// one. No error: nothing is tracked on this host, or its kernel has no way to tell
// (CONFIG_NF_CT_NETLINK).
Status forget_connections(NetlinkSocket& netfilter, std::span<const AddressBlock> blocks);

}  // namespace vmnet
