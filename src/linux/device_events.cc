#include "linux/device_events.h"

#include <array>
#include <cerrno>
#include <cstddef>

#include <arpa/inet.h>
#include <linux/rtnetlink.h>

#include "linux/links.h"
#include "linux/packet_filter.h"

namespace vmnet {
namespace {

constexpr uint32_t kTypeOffset = offsetof(nlmsghdr, nlmsg_type);
constexpr uint32_t kFamilyOffset = sizeof(nlmsghdr) + offsetof(ifinfomsg, ifi_family);
constexpr uint32_t kIndexOffset = sizeof(nlmsghdr) + offsetof(ifinfomsg, ifi_index);

}  // namespace

Result<DeviceEvents> DeviceEvents::watch(int index, DeviceEvent kind) {
  auto netlink = NetlinkSocket::open(NETLINK_ROUTE);
  if (!netlink) return pass(netlink);
  uint16_t type = kind == DeviceEvent::kDeleted ? RTM_DELLINK : RTM_NEWLINK;
  // AF_UNSPEC: a bridge tells with the same types of its ports that come and go.
  std::array program = {bpf_load(BPF_H, kTypeOffset),
                        bpf_skip_unless(htons(type), 5),
                        bpf_load(BPF_B, kFamilyOffset),
                        bpf_skip_unless(AF_UNSPEC, 3),
                        bpf_load(BPF_W, kIndexOffset),
                        bpf_skip_unless(htonl(static_cast<uint32_t>(index)), 1),
                        bpf_answer(~0U),
                        bpf_answer(0)};
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
