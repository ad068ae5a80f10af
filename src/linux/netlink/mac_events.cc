#include "linux/netlink/mac_events.h"

#include <algorithm>
#include <cerrno>
#include <optional>

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "linux/netlink/packet_filter.h"

namespace vmnet {
namespace {

std::optional<Mac> learned_mac(const nlmsghdr* message) {
  std::optional<Mac> mac;
  for_each_attribute(message, sizeof(ndmsg), [&mac](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) != NDA_LLADDR ||
        mnl_attr_get_payload_len(attribute) != std::tuple_size_v<decltype(Mac::bytes)>) {
      return;
    }
    mac.emplace();
    const auto* bytes = static_cast<const uint8_t*>(mnl_attr_get_payload(attribute));
    std::copy_n(bytes, mac->bytes.size(), mac->bytes.begin());
  });
  return mac;
}

}  // namespace

Result<MacEvents> MacEvents::watch(int port) {
  auto netlink = NetlinkSocket::open(NETLINK_ROUTE);
  if (!netlink) return pass(netlink);
  if (attach_filter(netlink->fd(), event_filter(RTM_NEWNEIGH, AF_BRIDGE, port)) != 0) {
    return fail_errno("cannot filter forwarding table events", errno);
  }
  if (auto joined = netlink->join_group(RTNLGRP_NEIGH); !joined) return pass(joined);
  return MacEvents(std::move(*netlink));
}

void MacEvents::read(const std::function<void(const Mac&)>& learned) {
  netlink_.read_events([&learned](const nlmsghdr* message) {
    if (message->nlmsg_type != RTM_NEWNEIGH) return;
    const auto* neighbour = static_cast<const ndmsg*>(mnl_nlmsg_get_payload(message));
    // The port's own MAC is an entry too, a permanent one.
    if ((neighbour->ndm_state & NUD_PERMANENT) != 0) return;
    if (auto mac = learned_mac(message)) learned(*mac);
  });
}

}  // namespace vmnet
