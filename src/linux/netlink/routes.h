// What the host's addresses and routes tell: which IPv4 subnets are taken, and through which
// devices the outside is reached.
//
// Source: rtnetlink(7), linux/rtnetlink.h. Reading needs no privilege.
#pragma once

#include <set>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "linux/netlink/netlink.h"

namespace vmnet {

// A subnet that an address or a route of the host occupies.
struct UsedSubnet {
  Ipv4Subnet subnet;
  int device = 0;  // its interface index; 0 where a route leads to none (blackhole)
};

// Of all tables but the local one. Default routes occupy nothing; neither do the two halves of the
// address space that VPN programs lay over a default route.
Result<std::vector<UsedSubnet>> list_used_subnets(NetlinkSocket& netlink);

// The devices that lead out: those of every unicast route, of any table, that the kernel did not
// make by itself for an address (a connected network is not a way out).
struct Uplinks {
  std::set<int> ipv4;
  std::set<int> ipv6;
};
Result<Uplinks> list_uplinks(NetlinkSocket& netlink);

// The devices of the default routes that the kernel or a daemon learned of router advertisements.
Result<std::set<int>> list_advertised_uplinks(NetlinkSocket& netlink);

}  // namespace vmnet
