// The host's neighbours (ARP, neighbour discovery): on a bridge of ours, what VMs have told it.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ip.h"
#include "base/mac.h"
#include "base/result.h"
#include "linux/netlink/netlink.h"

namespace vmnet {

// The IPv4 addresses that the host knows a neighbour for on that bridge, whose MAC the bridge knows
// behind a port of its own: live ones, not memories of a VM that has ended.
Result<std::vector<Ipv4>> addresses_in_use(NetlinkSocket& netlink, int bridge);

// An IPv4 neighbour that can be sent to.
struct LiveNeighbour {
  Ipv4 address;
  int device = 0;          // interface index
  bool confirmed = false;  // the host has sent to it lately, or an administrator has entered it
};

// On all devices.
Result<std::vector<LiveNeighbour>> list_live_neighbours(NetlinkSocket& netlink);

// Has the host forget, on that bridge, all neighbours with that MAC and whoever has one of the
// addresses (4 or 16 bytes, as on the wire). What an administrator has entered stays.
Status forget_neighbours(NetlinkSocket& netlink, int bridge, const Mac& mac,
                         const std::vector<std::vector<uint8_t>>& addresses);

}  // namespace vmnet
