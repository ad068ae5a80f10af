// What the host's addresses, routes and neighbours tell: which IPv4 subnets are taken, and through
// which devices the outside is reached.
//
// Source: rtnetlink(7), linux/rtnetlink.h. Reading needs no privilege.
#pragma once

#include <set>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "linux/netlink/netlink.h"

namespace vmnet {

// What an address (a /32) or a route of the host occupies.
struct UsedSubnet {
  Ipv4Subnet subnet;
  int device = 0;  // its interface index; 0 where a route leads to none (blackhole)
  // Of an address (a /32) that is another machine's and that the host needs: what it is to the
  // host, in words. Whoever had its subnet could answer for it.
  std::string_view needed_as = {};
};

// The host's addresses, its routes of all tables but the local one, the next hops of those, and the
// neighbours in use: those that the host has spoken to of late, those that an administrator has
// entered, and of those that have merely spoken (NUD_STALE: any machine of that link can say of any
// address that it has it) the ones that a route without a next hop leads to.
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

// The routers of every unicast route, those of default routes first, and at most kMaxRouters of
// each protocol.
inline constexpr size_t kMaxRouters = 256;
struct Routers {
  std::vector<Ipv4> ipv4;
  std::vector<Ipv6> ipv6;
};
Result<Routers> list_routers(NetlinkSocket& netlink);

// The devices of a route that such an event is of (RTM_NEWROUTE); none where it leads nowhere out.
std::vector<int> uplinks_of_route(const nlmsghdr* event);

// The devices of the default routes that the kernel or a daemon learned of router advertisements.
Result<std::set<int>> list_advertised_uplinks(NetlinkSocket& netlink);

}  // namespace vmnet
