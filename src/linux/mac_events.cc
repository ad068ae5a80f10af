#include "linux/mac_events.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <optional>

#include <arpa/inet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "linux/packet_filter.h"

namespace vmnet {
namespace {

constexpr uint32_t kTypeOffset = offsetof(nlmsghdr, nlmsg_type);
constexpr uint32_t kFamilyOffset = sizeof(nlmsghdr) + offsetof(ndmsg, ndm_family);
constexpr uint32_t kIndexOffset = sizeof(nlmsghdr) + offsetof(ndmsg, ndm_ifindex);

// Only this port's: what other guests do must not wake this keeper. A filter's loads are big
// endian, the message's fields the host's.
Status filter_port(int fd, int port) {
  std::array program = {bpf_load(BPF_H, kTypeOffset),
                        bpf_skip_unless(htons(RTM_NEWNEIGH), 5),
                        bpf_load(BPF_B, kFamilyOffset),
                        bpf_skip_unless(AF_BRIDGE, 3),
                        bpf_load(BPF_W, kIndexOffset),
                        bpf_skip_unless(htonl(static_cast<uint32_t>(port)), 1),
                        bpf_answer(~0U),
                        bpf_answer(0)};
  if (attach_filter(fd, program) != 0) {
    return fail_errno("cannot filter forwarding table events", errno);
  }
  return {};
}

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
  if (auto filtered = filter_port(netlink->fd(), port); !filtered) return pass(filtered);
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
