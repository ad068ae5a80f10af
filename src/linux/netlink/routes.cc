#include "linux/netlink/routes.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <iterator>
#include <utility>

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "linux/netlink/neighbours.h"

namespace vmnet {
namespace {

struct Route {
  uint8_t type = RTN_UNSPEC;
  uint8_t protocol = RTPROT_UNSPEC;
  uint32_t table = RT_TABLE_UNSPEC;
  int destination_length = 0;
  Ipv4 destination;  // IPv4 routes only
  bool link_local = false;
  std::vector<int> devices;
  std::vector<Ipv4> next_hops;  // IPv4 ones, in any order
  std::vector<Ipv6> next_hops_ipv6;
};

Ipv4 ipv4_of(const nlattr* attribute) {
  if (mnl_attr_get_payload_len(attribute) != sizeof(uint32_t)) return {};
  return Ipv4{ntohl(mnl_attr_get_u32(attribute))};
}

Ipv6 ipv6_of(const nlattr* attribute) {
  Ipv6 address;
  if (mnl_attr_get_payload_len(attribute) != address.bytes.size()) return {};
  std::memcpy(address.bytes.data(), mnl_attr_get_payload(attribute), address.bytes.size());
  return address;
}

void add_next_hop(const nlattr* attribute, Route& route) {
  if (mnl_attr_get_type(attribute) != RTA_GATEWAY) return;
  if (Ipv4 hop = ipv4_of(attribute); hop.value != 0) route.next_hops.push_back(hop);
  if (Ipv6 hop = ipv6_of(attribute); !hop.is_zero()) route.next_hops_ipv6.push_back(hop);
}

// Those of a multipath route: a packed list of struct rtnexthop, each with attributes of its own.
void add_next_hops(const nlattr* attribute, Route& route) {
  const auto* bytes = static_cast<const uint8_t*>(mnl_attr_get_payload(attribute));
  size_t left = mnl_attr_get_payload_len(attribute);
  while (left >= sizeof(rtnexthop)) {
    rtnexthop hop{};
    std::memcpy(&hop, bytes, sizeof(hop));
    size_t step = RTNH_ALIGN(hop.rtnh_len);
    if (hop.rtnh_len < sizeof(hop) || step > left) return;
    route.devices.push_back(hop.rtnh_ifindex);
    const uint8_t* end = bytes + hop.rtnh_len;
    const auto* own = reinterpret_cast<const nlattr*>(bytes + sizeof(hop));
    while (mnl_attr_ok(own, static_cast<int>(end - reinterpret_cast<const uint8_t*>(own)))) {
      add_next_hop(own, route);
      own = mnl_attr_next(own);
    }
    bytes += step;
    left -= step;
  }
}

Route parse_route(const nlmsghdr* message) {
  const auto* header = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(message));
  Route route{.type = header->rtm_type,
              .protocol = header->rtm_protocol,
              .table = header->rtm_table,
              .destination_length = header->rtm_dst_len,
              .destination = {},
              .link_local = false,
              .devices = {},
              .next_hops = {},
              .next_hops_ipv6 = {}};
  for_each_attribute(message, sizeof(rtmsg), [&](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case RTA_TABLE:
        route.table = mnl_attr_get_u32(attribute);
        break;
      case RTA_DST:
        if (header->rtm_family == AF_INET) route.destination = ipv4_of(attribute);
        route.link_local = ipv6_of(attribute).is_link_local();
        break;
      case RTA_OIF:
        route.devices.push_back(static_cast<int>(mnl_attr_get_u32(attribute)));
        break;
      case RTA_MULTIPATH:
        add_next_hops(attribute, route);
        break;
      case RTA_GATEWAY:
        add_next_hop(attribute, route);
        break;
      default:
        break;
    }
  });
  return route;
}

Result<std::vector<Route>> list_routes(NetlinkSocket& netlink, uint8_t family) {
  std::vector<Route> routes;
  NetlinkMessage message(RTM_GETROUTE, NLM_F_DUMP);
  message.add_family_header<rtmsg>()->rtm_family = family;
  auto listed = netlink.query(
      message, "cannot list the host's routes",
      [&routes](const nlmsghdr* answer) { routes.push_back(parse_route(answer)); },
      [&routes] { routes.clear(); });
  // A kernel without IPv6 has no such table.
  if (!listed && listed.error().os_errno == EAFNOSUPPORT) return routes;
  if (!listed) return pass(listed);
  return routes;
}

bool leads_out(const Route& route) {
  return route.type == RTN_UNICAST && route.table != RT_TABLE_LOCAL && !route.link_local;
}

bool occupies_a_subnet(const Route& route) {
  return route.table != RT_TABLE_LOCAL && route.type != RTN_MULTICAST &&
         route.type != RTN_BROADCAST && route.type != RTN_LOCAL;
}

Status add_addresses(NetlinkSocket& netlink, std::vector<UsedSubnet>& used) {
  NetlinkMessage message(RTM_GETADDR, NLM_F_DUMP);
  message.add_family_header<ifaddrmsg>()->ifa_family = AF_INET;
  size_t before = used.size();
  return netlink.query(
      message, "cannot list the host's addresses",
      [&used](const nlmsghdr* answer) {
        const auto* header = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(answer));
        for_each_attribute(answer, sizeof(ifaddrmsg), [&](const nlattr* attribute) {
          // IFA_LOCAL is the host's own address, IFA_ADDRESS the peer's on a point-to-point link.
          uint16_t type = mnl_attr_get_type(attribute);
          if (type != IFA_LOCAL && type != IFA_ADDRESS) return;
          used.push_back({.subnet = {.address = ipv4_of(attribute), .prefix_length = 32},
                          .device = static_cast<int>(header->ifa_index)});
        });
      },
      [&used, before] { used.resize(before); });
}

// Whether the host sends to that address itself, not to a next hop, by that device.
bool is_on_link(const std::vector<Route>& routes, Ipv4 address, int device) {
  int longest = -1;
  bool on_link = false;
  for (const Route& route : routes) {
    if (!leads_out(route) || route.destination_length < longest ||
        !subnet_of(route.destination, route.destination_length).contains(address)) {
      continue;
    }
    if (route.destination_length > longest) on_link = false;
    longest = route.destination_length;
    on_link = on_link || (route.next_hops.empty() &&
                          std::ranges::find(route.devices, device) != route.devices.end());
  }
  return on_link;
}

Status add_neighbours(NetlinkSocket& netlink, const std::vector<Route>& routes,
                      std::vector<UsedSubnet>& used) {
  auto neighbours = list_live_neighbours(netlink);
  if (!neighbours) return pass(neighbours);
  for (const LiveNeighbour& neighbour : *neighbours) {
    if (!neighbour.confirmed && !is_on_link(routes, neighbour.address, neighbour.device)) continue;
    used.push_back({.subnet = {.address = neighbour.address, .prefix_length = 32},
                    .device = neighbour.device,
                    .needed_as = "a neighbour"});
  }
  return {};
}

constexpr int kHalfOfAll = 1;
constexpr int kLongestPrefix = 128;

// Otherwise in the kernel's order. (Not std::stable_partition, whose body in libstdc++ 12 uses what
// is deprecated since C++17.)
std::vector<Route> default_routes_first(const std::vector<Route>& routes) {
  std::vector<Route> ordered;
  auto is_default = [](const Route& route) { return route.destination_length <= kHalfOfAll; };
  std::ranges::copy_if(routes, std::back_inserter(ordered), is_default);
  std::ranges::copy_if(routes, std::back_inserter(ordered), std::not_fn(is_default));
  return ordered;
}

// The devices of all routes that lead out and have no longer prefix, those of default routes first.
Status add_uplinks(NetlinkSocket& netlink, int longest, Uplinks& uplinks) {
  for (int family : {AF_INET, AF_INET6}) {
    auto routes = list_routes(netlink, static_cast<uint8_t>(family));
    if (!routes) return pass(routes);
    std::vector<int>& devices = family == AF_INET ? uplinks.ipv4 : uplinks.ipv6;
    for (const Route& route : default_routes_first(*routes)) {
      if (!leads_out(route) || route.destination_length > longest) continue;
      for (int device : route.devices) {
        if (std::ranges::find(devices, device) == devices.end()) devices.push_back(device);
      }
    }
  }
  return {};
}

}  // namespace

Result<std::vector<UsedSubnet>> list_used_subnets(NetlinkSocket& netlink) {
  auto routes = list_routes(netlink, AF_INET);
  if (!routes) return pass(routes);
  std::vector<UsedSubnet> used;
  for (const Route& route : *routes) {
    if (!occupies_a_subnet(route)) continue;
    const int device = route.devices.empty() ? 0 : route.devices.front();
    used.push_back(
        {.subnet = subnet_of(route.destination, route.destination_length), .device = device});
    for (Ipv4 hop : route.next_hops) {
      used.push_back({.subnet = {.address = hop, .prefix_length = 32},
                      .device = device,
                      .needed_as = "the next hop of a route"});
    }
  }
  if (auto added = add_neighbours(netlink, *routes, used); !added) return pass(added);
  if (auto added = add_addresses(netlink, used); !added) return pass(added);
  return used;
}

Result<Uplinks> list_uplinks(NetlinkSocket& netlink) {
  Uplinks uplinks;
  if (auto added = add_uplinks(netlink, kLongestPrefix, uplinks); !added) return pass(added);
  return uplinks;
}

Result<Uplinks> list_default_uplinks(NetlinkSocket& netlink) {
  Uplinks uplinks;
  if (auto added = add_uplinks(netlink, kHalfOfAll, uplinks); !added) return pass(added);
  return uplinks;
}

Result<Routers> list_routers(NetlinkSocket& netlink) {
  Routers routers;
  auto add = [](const auto& more, auto& to) {
    for (const auto& router : more) {
      const bool known = std::ranges::find(to, router) != to.end();
      if (!known && to.size() < kMaxRouters) to.push_back(router);
    }
  };
  for (int family : {AF_INET, AF_INET6}) {
    auto routes = list_routes(netlink, static_cast<uint8_t>(family));
    if (!routes) return pass(routes);
    for (const Route& route : default_routes_first(*routes)) {
      if (!leads_out(route)) continue;
      add(route.next_hops, routers.ipv4);
      add(route.next_hops_ipv6, routers.ipv6);
    }
  }
  return routers;
}

std::vector<int> uplinks_of_route(const nlmsghdr* event) {
  if (event->nlmsg_type != RTM_NEWROUTE) return {};
  Route route = parse_route(event);
  if (!leads_out(route)) return {};
  return std::move(route.devices);
}

Result<std::set<int>> list_advertised_uplinks(NetlinkSocket& netlink) {
  auto routes = list_routes(netlink, AF_INET6);
  if (!routes) return pass(routes);
  std::set<int> devices;
  for (const Route& route : *routes) {
    if (route.protocol != RTPROT_RA || route.destination_length != 0) continue;
    devices.insert(route.devices.begin(), route.devices.end());
  }
  return devices;
}

}  // namespace vmnet
