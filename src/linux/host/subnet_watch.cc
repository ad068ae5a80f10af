#include "linux/host/subnet_watch.h"

#include <algorithm>
#include <array>
#include <iterator>

#include <linux/rtnetlink.h>

#include "base/log.h"
#include "linux/host/dns_servers.h"
#include "linux/host/host_network.h"
#include "linux/host/network_plan.h"
#include "linux/netlink/packet_filter.h"

namespace vmnet {

Result<std::vector<UsedSubnet>> list_used_by_host(NetlinkSocket& netlink,
                                                  const std::vector<Link>& links) {
  auto used = list_used_subnets(netlink);
  if (!used) return used;
  std::erase_if(*used, [&links](const UsedSubnet& subnet) {
    const Link* link = find_link(links, subnet.device);
    return link != nullptr && (is_own_bridge(*link) || is_own_vm_device(*link));
  });
  for (Ipv4 server : all_dns_servers().ipv4) {
    used->push_back(
        {.subnet = {.address = server, .prefix_length = 32}, .needed_as = "the host's DNS server"});
  }
  return used;
}

Result<SubnetEvents> SubnetEvents::watch(const Ipv4Subnet& subnet, int own_device) {
  auto netlink = NetlinkSocket::open(NETLINK_ROUTE);
  if (!netlink) return pass(netlink);
  // The address is the first attribute (neigh_fill_info).
  constexpr uint32_t kAddress = sizeof(nlmsghdr) + sizeof(ndmsg) + sizeof(rtattr);
  const std::array program = {bpf_load(BPF_H, offsetof(nlmsghdr, nlmsg_type)),
                              bpf_if_equal(htons(RTM_NEWROUTE), 0, 2),
                              bpf_load(BPF_B, sizeof(nlmsghdr) + offsetof(rtmsg, rtm_type)),
                              bpf_if_equal(RTN_UNICAST, 8, 9),
                              bpf_skip_unless(htons(RTM_NEWNEIGH), 8),
                              bpf_load(BPF_B, sizeof(nlmsghdr) + offsetof(ndmsg, ndm_family)),
                              bpf_skip_unless(AF_INET, 6),
                              bpf_load(BPF_W, sizeof(nlmsghdr) + offsetof(ndmsg, ndm_ifindex)),
                              bpf_if_equal(htonl(static_cast<uint32_t>(own_device)), 4, 0),
                              bpf_load(BPF_W, kAddress),
                              bpf_and(subnet.mask().value),
                              bpf_skip_unless(subnet.address.value, 1),
                              bpf_answer(~0U),
                              bpf_answer(0)};
  if (attach_filter(netlink->fd(), program) != 0) {
    return fail_errno("cannot filter events of neighbours", errno);
  }
  for (int group : {RTNLGRP_IPV4_ROUTE, RTNLGRP_NEIGH}) {
    if (auto joined = netlink->join_group(group); !joined) return pass(joined);
  }
  return SubnetEvents(std::move(*netlink));
}

std::vector<int> SubnetEvents::read(bool& complete) {
  std::vector<int> devices;
  complete = netlink_.read_events([&devices](const nlmsghdr* message) {
    if (message->nlmsg_type == RTM_NEWNEIGH) {
      devices.push_back(static_cast<const ndmsg*>(mnl_nlmsg_get_payload(message))->ndm_ifindex);
      return;
    }
    std::ranges::copy(uplinks_of_route(message), std::back_inserter(devices));
  });
  std::ranges::sort(devices);
  devices.erase(std::ranges::unique(devices).begin(), devices.end());
  return devices;
}

Status HostNetwork::watch_subnet() {
  if (config_.mode == Mode::kBridged || !record_.addresses) return {};
  auto events = SubnetEvents::watch(record_.addresses->subnet(), is_isolated() ? device_ : bridge_);
  if (!events) return pass(events);
  subnet_events_.emplace(std::move(*events));
  return {};
}

bool HostNetwork::read_subnet_events() {
  bool complete = true;
  auto devices = subnet_events_->read(complete);
  return !complete ||
         std::ranges::any_of(devices, [this](int device) { return is_of_others(device); });
}

bool HostNetwork::dns_servers_changed() {
  std::string state = dns_server_files_state();
  if (state == dns_state_) return false;
  dns_state_ = std::move(state);
  return true;
}

bool HostNetwork::may_keep_subnet() {
  auto links = list_links(netlink_);
  auto used = links ? list_used_by_host(netlink_, *links) : pass(links);
  if (!used) {
    log_warn("network", "cannot see whether the host needs the VMs' subnet: {}",
             used.error().message);
    return true;
  }
  const Ipv4Subnet subnet = record_.addresses->subnet();
  auto needed = std::ranges::find_if(*used, [&subnet](const UsedSubnet& other) {
    return !other.needed_as.empty() && subnet.contains(other.subnet.address);
  });
  if (needed == used->end()) return true;
  log_error("network",
            "the network {} is given up: it has come to hold {}; start the VM again, with another "
            "subnet where it was given one",
            to_string(subnet), text_of(*needed, *links));
  return false;
}

}  // namespace vmnet
