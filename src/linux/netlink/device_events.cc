#include "linux/netlink/device_events.h"

#include <cerrno>

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "linux/netlink/links.h"
#include "linux/netlink/packet_filter.h"

namespace vmnet {
Result<DeviceEvents> DeviceEvents::watch(int index, DeviceEvent kind) {
  auto netlink = NetlinkSocket::open(NETLINK_ROUTE);
  if (!netlink) return pass(netlink);
  uint16_t type = kind == DeviceEvent::kDeleted ? RTM_DELLINK : RTM_NEWLINK;
  // AF_UNSPEC: a bridge tells with the same types of its ports that come and go.
  const auto program = event_filter(type, AF_UNSPEC, index);
  if (attach_filter(netlink->fd(), program) != 0) {
    return fail_errno("cannot filter device events", errno);
  }
  if (auto joined = netlink->join_group(RTNLGRP_LINK); !joined) return pass(joined);
  return DeviceEvents(std::move(*netlink));
}

bool DeviceEvents::read(const std::function<void(const Mac&)>& mac) {
  return netlink_.read_events([&mac](const nlmsghdr* message) {
    if (message->nlmsg_type == RTM_NEWLINK) mac(parse_link(message).mac);
  });
}

}  // namespace vmnet
