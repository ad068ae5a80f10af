#include "linux/netlink/neighbours.h"

#include <algorithm>
#include <cerrno>
#include <set>

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

namespace vmnet {
namespace {

struct Neighbour {
  int device = 0;
  int master = 0;
  uint16_t state = 0;
  Mac mac;
  std::vector<uint8_t> address;  // as on the wire
};

Ipv4 ipv4(const std::vector<uint8_t>& bytes) {
  uint32_t value = 0;
  for (uint8_t byte : bytes) value = value << 8 | byte;
  return {value};
}

Neighbour parse_neighbour(const nlmsghdr* message) {
  const auto* header = static_cast<const ndmsg*>(mnl_nlmsg_get_payload(message));
  Neighbour neighbour{.device = header->ndm_ifindex, .state = header->ndm_state};
  for_each_attribute(message, sizeof(ndmsg), [&neighbour](const nlattr* attribute) {
    const auto* bytes = static_cast<const uint8_t*>(mnl_attr_get_payload(attribute));
    uint16_t size = mnl_attr_get_payload_len(attribute);
    switch (mnl_attr_get_type(attribute)) {
      case NDA_DST:
        neighbour.address.assign(bytes, bytes + size);
        break;
      case NDA_LLADDR:
        if (size == neighbour.mac.bytes.size()) {
          std::copy_n(bytes, size, neighbour.mac.bytes.begin());
        }
        break;
      case NDA_MASTER:
        neighbour.master = static_cast<int>(mnl_attr_get_u32(attribute));
        break;
      default:
        break;
    }
  });
  return neighbour;
}

constexpr int kAnywhere = 0;

// On that bridge or, with AF_BRIDGE, behind its ports. The kernel sends others as well where it is
// older than 4.20; a bridge of the user's may know a million.
Result<std::vector<Neighbour>> list_neighbours(NetlinkSocket& netlink, uint8_t family,
                                               int bridge = kAnywhere) {
  std::vector<Neighbour> neighbours;
  NetlinkMessage message(RTM_GETNEIGH, NLM_F_DUMP);
  message.add_family_header<ndmsg>()->ndm_family = family;
  if (bridge != kAnywhere) {
    message.put_u32(family == AF_BRIDGE ? NDA_MASTER : NDA_IFINDEX, static_cast<uint32_t>(bridge));
  }
  auto listed = netlink.query(
      message, "cannot list neighbours",
      [&neighbours](const nlmsghdr* answer) { neighbours.push_back(parse_neighbour(answer)); },
      [&neighbours] { neighbours.clear(); });
  if (!listed) return pass(listed);
  return neighbours;
}

}  // namespace

Result<std::vector<Ipv4>> addresses_in_use(NetlinkSocket& netlink, int bridge) {
  auto known = list_neighbours(netlink, AF_INET, bridge);
  if (!known) return pass(known);
  auto forwarding = list_neighbours(netlink, AF_BRIDGE, bridge);
  if (!forwarding) return pass(forwarding);
  std::set<Mac> present;
  for (const Neighbour& entry : *forwarding) {
    if (entry.master == bridge && (entry.state & NUD_PERMANENT) == 0) present.insert(entry.mac);
  }
  std::vector<Ipv4> addresses;
  for (const Neighbour& neighbour : *known) {
    if (neighbour.device == bridge && present.contains(neighbour.mac)) {
      addresses.push_back(ipv4(neighbour.address));
    }
  }
  return addresses;
}

Result<std::vector<LiveNeighbour>> list_live_neighbours(NetlinkSocket& netlink) {
  auto known = list_neighbours(netlink, AF_INET);
  if (!known) return pass(known);
  constexpr uint16_t kConfirmed = NUD_REACHABLE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT;
  std::vector<LiveNeighbour> live;
  for (const Neighbour& neighbour : *known) {
    if ((neighbour.state & (kConfirmed | NUD_STALE)) == 0) continue;
    live.push_back({.address = ipv4(neighbour.address),
                    .device = neighbour.device,
                    .confirmed = (neighbour.state & kConfirmed) != 0});
  }
  return live;
}

Status forget_neighbours(NetlinkSocket& netlink, int bridge, const Mac& mac,
                         const std::vector<std::vector<uint8_t>>& addresses) {
  for (auto family : {uint8_t{AF_INET}, uint8_t{AF_INET6}}) {
    auto known = list_neighbours(netlink, family, bridge);
    if (!known) return pass(known);
    for (const Neighbour& neighbour : *known) {
      if (neighbour.device != bridge || (neighbour.state & (NUD_PERMANENT | NUD_NOARP)) != 0)
        continue;
      bool meant = neighbour.mac == mac ||
                   std::ranges::find(addresses, neighbour.address) != addresses.end();
      if (!meant) continue;
      NetlinkMessage message(RTM_DELNEIGH, 0);
      auto* header = message.add_family_header<ndmsg>();
      header->ndm_family = family;
      header->ndm_ifindex = bridge;
      message.put_bytes(NDA_DST, neighbour.address.data(), neighbour.address.size());
      auto deleted = netlink.request(message, "cannot have the host forget a neighbour");
      if (!deleted && deleted.error().os_errno != ENOENT) return deleted;
    }
  }
  return {};
}

}  // namespace vmnet
