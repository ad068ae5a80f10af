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

// What an address (a /32) or a route of the host occupies.
struct UsedSubnet {
  Ipv4Subnet subnet;
  int device = 0;  // its interface index; 0 where a route leads to none (blackhole)
};

// The host's addresses, and its routes of all tables but the local one.
Result<std::vector<UsedSubnet>> list_used_subnets(NetlinkSocket& netlink);

// The devices that the host itself would send by: those of every unicast route, of any table and
// whoever made it, but those to link-local destinations. Those of default routes come first.
struct Uplinks {
  std::vector<int> ipv4;
  std::vector<int> ipv6;
};
Result<Uplinks> list_uplinks(NetlinkSocket& netlink);

// Those of the default routes alone, also where a VPN program has laid two halves over one.
Result<Uplinks> list_default_uplinks(NetlinkSocket& netlink);

// The devices of a route that such an event is of (RTM_NEWROUTE); none where it leads nowhere out.
std::vector<int> uplinks_of_route(const nlmsghdr* event);

// The devices of the default routes that the kernel or a daemon learned of router advertisements.
Result<std::set<int>> list_advertised_uplinks(NetlinkSocket& netlink);

}  // namespace vmnet
