#include "linux/netlink/device_events.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <span>

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "linux/netlink/packet_filter.h"

namespace vmnet {
namespace {

Result<NetlinkSocket> watch_links(std::span<const sock_filter> program) {
  auto netlink = NetlinkSocket::open(NETLINK_ROUTE);
  if (!netlink) return netlink;
  if (attach_filter(netlink->fd(), program) != 0) {
    return fail_errno("cannot filter device events", errno);
  }
  if (auto joined = netlink->join_group(RTNLGRP_LINK); !joined) return pass(joined);
  return netlink;
}

}  // namespace

Result<DeviceEvents> DeviceEvents::watch(int index, DeviceEvent kind) {
  uint16_t type = kind == DeviceEvent::kDeleted ? RTM_DELLINK : RTM_NEWLINK;
  // AF_UNSPEC: a bridge tells with the same types of its ports that come and go.
  auto netlink = watch_links(event_filter(type, AF_UNSPEC, index));
  if (!netlink) return pass(netlink);
  return DeviceEvents(std::move(*netlink));
}

Result<DeviceEvents> DeviceEvents::watch_ends(std::string_view prefix) {
  // The name is the first attribute (rtnl_fill_ifinfo).
  constexpr uint32_t kName = sizeof(nlmsghdr) + sizeof(ifinfomsg) + sizeof(rtattr);
  const std::array program = {bpf_load(BPF_H, offsetof(nlmsghdr, nlmsg_type)),
                              bpf_skip_unless(htons(RTM_DELLINK), 5),
                              bpf_load(BPF_B, sizeof(nlmsghdr)),
                              bpf_skip_unless(AF_UNSPEC, 3),
                              bpf_load(BPF_W, kName),
                              bpf_skip_unless(bpf_text(prefix), 1),
                              bpf_answer(~0U),
                              bpf_answer(0)};
  auto netlink = watch_links(program);
  if (!netlink) return pass(netlink);
  return DeviceEvents(std::move(*netlink));
}

bool DeviceEvents::read(const std::function<void(const Link&)>& handle) {
  return netlink_.read_events([&handle](const nlmsghdr* message) { handle(parse_link(message)); });
}

}  // namespace vmnet
