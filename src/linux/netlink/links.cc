#include "linux/netlink/links.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

namespace vmnet {
namespace {

std::string kind_of(const nlattr* link_info) {
  std::string kind;
  for_each_nested(link_info, [&kind](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND) kind = attribute_text(attribute);
  });
  return kind;
}

// IFLA_BR_FDB_MAX_LEARNED (Linux 6.7; older kernels ignore it, and Debian 12's headers lack it).
constexpr uint16_t kBridgeMaxLearned = 49;

// A guest that invents MACs must not fill the host's memory. The VMs' own need no learning.
constexpr uint32_t kMaxLearnedMacs = 1024;

Mac mac_of(const nlattr* attribute) {
  Mac mac;
  if (mnl_attr_get_payload_len(attribute) == mac.bytes.size()) {
    const auto* bytes = static_cast<const uint8_t*>(mnl_attr_get_payload(attribute));
    std::copy_n(bytes, mac.bytes.size(), mac.bytes.begin());
  }
  return mac;
}

// `peer`: the address itself, or that of the other end.
Result<bool> put_address(NetlinkSocket& netlink, int index, uint8_t family, const void* address,
                         const void* peer, size_t size, int prefix_length,
                         const std::string& text) {
  NetlinkMessage message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
  auto* header = message.add_family_header<ifaddrmsg>();
  header->ifa_family = family;
  header->ifa_prefixlen = static_cast<uint8_t>(prefix_length);
  header->ifa_index = static_cast<uint32_t>(index);
  // NODAD: duplicate address detection would hold the gateway's address back for 1.5 s.
  if (family == AF_INET6) header->ifa_flags = IFA_F_NODAD;
  message.put_bytes(IFA_LOCAL, address, size);
  message.put_bytes(IFA_ADDRESS, peer, size);
  auto added =
      netlink.request(message, fmt::format("cannot add address {}/{}", text, prefix_length));
  if (!added && added.error().os_errno == EEXIST) return false;
  if (!added) return pass(added);
  return true;
}

// `type` RTM_NEWLINKPROP or RTM_DELLINKPROP.
Status change_alternative_name(NetlinkSocket& netlink, uint16_t type, int index,
                               const std::string& name, const std::string& what) {
  NetlinkMessage message(type, 0);
  message.add_family_header<ifinfomsg>()->ifi_index = index;
  nlattr* properties = message.begin_nest(IFLA_PROP_LIST);
  message.put_string(IFLA_ALT_IFNAME, name);
  message.end_nest(properties);
  return netlink.request(message, fmt::format("cannot {} device {}", what, index));
}

}  // namespace

Link parse_link(const nlmsghdr* message) {
  const auto* info = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(message));
  Link link;
  link.index = info->ifi_index;
  link.ethernet = info->ifi_type == ARPHRD_ETHER;
  link.up = (info->ifi_flags & IFF_UP) != 0;
  for_each_attribute(message, sizeof(ifinfomsg), [&link](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case IFLA_IFNAME:
        link.name = attribute_text(attribute);
        break;
      case IFLA_IFALIAS:
        link.alias = attribute_text(attribute);
        break;
      case IFLA_PROP_LIST:
        for_each_nested(attribute, [&link](const nlattr* property) {
          if (mnl_attr_get_type(property) != IFLA_ALT_IFNAME) return;
          link.alternative_names.push_back(attribute_text(property));
        });
        break;
      case IFLA_MASTER:
        link.master = static_cast<int>(mnl_attr_get_u32(attribute));
        break;
      case IFLA_GROUP:
        link.group = mnl_attr_get_u32(attribute);
        break;
      case IFLA_ADDRESS:
        link.mac = mac_of(attribute);
        break;
      case IFLA_MTU:
        link.mtu = mnl_attr_get_u32(attribute);
        break;
      case IFLA_OPERSTATE:
        link.operational = mnl_attr_get_u8(attribute) == IF_OPER_UP;
        break;
      case IFLA_LINKINFO:
        link.kind = kind_of(attribute);
        break;
      default:
        break;
    }
  });
  return link;
}

Result<std::vector<Link>> list_links(NetlinkSocket& netlink) {
  std::vector<Link> links;
  NetlinkMessage message(RTM_GETLINK, NLM_F_DUMP);
  message.add_family_header<ifinfomsg>();
  // Without statistics: half the answer, which we do not read.
  message.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  auto listed = netlink.query(
      message, "cannot list network devices",
      [&links](const nlmsghdr* answer) { links.push_back(parse_link(answer)); },
      [&links] { links.clear(); });
  if (!listed) return pass(listed);
  return links;
}

const Link* find_link(const std::vector<Link>& links, std::string_view name) {
  auto found = std::ranges::find(links, name, &Link::name);
  return found == links.end() ? nullptr : &*found;
}

const Link* find_link(const std::vector<Link>& links, int index) {
  auto found = std::ranges::find(links, index, &Link::index);
  return found == links.end() ? nullptr : &*found;
}

Result<Link> find_link(NetlinkSocket& netlink, int index) {
  NetlinkMessage message(RTM_GETLINK, 0);
  message.add_family_header<ifinfomsg>()->ifi_index = index;
  Link link;
  auto answered = netlink.query(message, fmt::format("cannot find device {}", index),
                                [&link](const nlmsghdr* answer) { link = parse_link(answer); });
  if (!answered) return pass(answered);
  return link;
}

Result<int> find_index(NetlinkSocket& netlink, const std::string& name) {
  NetlinkMessage message(RTM_GETLINK, 0);
  message.add_family_header<ifinfomsg>();
  message.put_string(IFLA_IFNAME, name);
  int index = 0;
  auto answered =
      netlink.query(message, fmt::format("cannot find device {}", name),
                    [&index](const nlmsghdr* answer) { index = parse_link(answer).index; });
  if (!answered) return pass(answered);
  return index;
}

Result<int> create_bridge(NetlinkSocket& netlink, const std::string& name, const Mac& mac) {
  NetlinkMessage message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  message.add_family_header<ifinfomsg>();
  message.put_string(IFLA_IFNAME, name);
  // Set here, the address does not follow the ports' (and marks the bridge as ours atomically).
  message.put_bytes(IFLA_ADDRESS, mac.bytes.data(), mac.bytes.size());
  nlattr* info = message.begin_nest(IFLA_LINKINFO);
  message.put_string(IFLA_INFO_KIND, "bridge");
  nlattr* data = message.begin_nest(IFLA_INFO_DATA);
  message.put_u32(IFLA_BR_STP_STATE, 0);
  message.put_u32(IFLA_BR_FORWARD_DELAY, 0);
  message.put_u8(IFLA_BR_MCAST_SNOOPING, 0);
  message.put_u32(kBridgeMaxLearned, kMaxLearnedMacs);
  message.end_nest(data);
  message.end_nest(info);
  // ROOT: the name is ours, numbered; the MAC is computed from the network's address.
  auto created = netlink.request(message, fmt::format("cannot create bridge {}", name));
  if (!created) return pass(created);
  return find_index(netlink, name);
}

Result<int> create_macvtap(NetlinkSocket& netlink, const std::string& name, int lower,
                           const Mac& mac) {
  NetlinkMessage message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  message.add_family_header<ifinfomsg>();
  message.put_string(IFLA_IFNAME, name);
  message.put_u32(IFLA_LINK, static_cast<uint32_t>(lower));
  message.put_bytes(IFLA_ADDRESS, mac.bytes.data(), mac.bytes.size());
  nlattr* info = message.begin_nest(IFLA_LINKINFO);
  message.put_string(IFLA_INFO_KIND, "macvtap");
  nlattr* data = message.begin_nest(IFLA_INFO_DATA);
  message.put_u32(IFLA_MACVLAN_MODE, MACVLAN_MODE_BRIDGE);
  message.end_nest(data);
  message.end_nest(info);
  // ROOT: `lower` is the index of a device that the caller looked up and checked.
  auto created = netlink.request(message, fmt::format("cannot create macvtap {}", name));
  if (!created) return pass(created);
  return find_index(netlink, name);
}

Status set_alias(NetlinkSocket& netlink, int index, const std::string& alias) {
  NetlinkMessage message(RTM_NEWLINK, 0);
  message.add_family_header<ifinfomsg>()->ifi_index = index;
  message.put_bytes(IFLA_IFALIAS, alias.data(), alias.size());
  return netlink.request(message, fmt::format("cannot set the alias of device {}", index));
}

Status add_alternative_name(NetlinkSocket& netlink, int index, const std::string& name) {
  return change_alternative_name(netlink, RTM_NEWLINKPROP, index, name,
                                 fmt::format("give the name {} to", name));
}

Status remove_alternative_name(NetlinkSocket& netlink, int index, const std::string& name) {
  return change_alternative_name(netlink, RTM_DELLINKPROP, index, name,
                                 fmt::format("take the name {} from", name));
}

Status forbid_automatic_address(NetlinkSocket& netlink, int index) {
  NetlinkMessage message(RTM_NEWLINK, 0);
  message.add_family_header<ifinfomsg>()->ifi_index = index;
  // The kernel heeds this neither in the request that creates a device nor in the one that sets it
  // up: by then the address is there.
  nlattr* families = message.begin_nest(IFLA_AF_SPEC);
  nlattr* ipv6 = message.begin_nest(AF_INET6);
  message.put_u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
  message.end_nest(ipv6);
  message.end_nest(families);
  auto set = netlink.request(message, fmt::format("cannot keep device {} without IPv6", index));
  // A kernel without IPv6 gives no address either.
  if (!set && (set.error().os_errno == EAFNOSUPPORT || set.error().os_errno == EOPNOTSUPP))
    return {};
  return set;
}

Status limit_segments(NetlinkSocket& netlink, int index, uint32_t segments) {
  NetlinkMessage message(RTM_NEWLINK, 0);
  message.add_family_header<ifinfomsg>()->ifi_index = index;
  message.put_u32(IFLA_GSO_MAX_SEGS, segments);
  return netlink.request(message, fmt::format("cannot limit the segments of device {}", index));
}

Status set_link_mac(NetlinkSocket& netlink, int index, const Mac& mac) {
  NetlinkMessage message(RTM_NEWLINK, 0);
  message.add_family_header<ifinfomsg>()->ifi_index = index;
  message.put_bytes(IFLA_ADDRESS, mac.bytes.data(), mac.bytes.size());
  return netlink.request(message, fmt::format("cannot set the MAC address of device {}", index));
}

Status set_link_mtu(NetlinkSocket& netlink, int index, uint32_t mtu) {
  NetlinkMessage message(RTM_NEWLINK, 0);
  message.add_family_header<ifinfomsg>()->ifi_index = index;
  message.put_u32(IFLA_MTU, mtu);
  return netlink.request(message, fmt::format("cannot set the MTU of device {}", index));
}

Status set_link_up(NetlinkSocket& netlink, int index) {
  NetlinkMessage message(RTM_NEWLINK, 0);
  auto* header = message.add_family_header<ifinfomsg>();
  header->ifi_index = index;
  header->ifi_flags = IFF_UP;
  header->ifi_change = IFF_UP;
  return netlink.request(message, fmt::format("cannot set device {} up", index));
}

Status set_link_down(NetlinkSocket& netlink, int index) {
  NetlinkMessage message(RTM_NEWLINK, 0);
  auto* header = message.add_family_header<ifinfomsg>();
  header->ifi_index = index;
  header->ifi_change = IFF_UP;
  return netlink.request(message, fmt::format("cannot set device {} down", index));
}

void wait_until_operational(NetlinkSocket& netlink, int bridge) {
  constexpr std::chrono::microseconds kPoll{300};
  auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  while (std::chrono::steady_clock::now() < give_up) {
    NetlinkMessage message(RTM_GETLINK, 0);
    message.add_family_header<ifinfomsg>()->ifi_index = bridge;
    bool operational = false;
    auto asked = netlink.query(message, "cannot look at the bridge", [&](const nlmsghdr* answer) {
      operational = parse_link(answer).operational;
    });
    if (operational || !asked) return;
    std::this_thread::sleep_for(kPoll);
  }
}

Status set_group(NetlinkSocket& netlink, int index, uint32_t group) {
  NetlinkMessage message(RTM_NEWLINK, 0);
  message.add_family_header<ifinfomsg>()->ifi_index = index;
  message.put_u32(IFLA_GROUP, group);
  return netlink.request(message, fmt::format("cannot set the group of device {}", index));
}

Status attach_port(NetlinkSocket& netlink, int index, int bridge) {
  NetlinkMessage message(RTM_NEWLINK, 0);
  auto* header = message.add_family_header<ifinfomsg>();
  header->ifi_index = index;
  header->ifi_flags = IFF_UP;
  header->ifi_change = IFF_UP;
  message.put_u32(IFLA_MASTER, static_cast<uint32_t>(bridge));
  // ROOT: the port is the TAP that this process created.
  return netlink.request(message, "cannot attach the TAP to the bridge");
}

Status add_forwarding_entry(NetlinkSocket& netlink, int port, const Mac& mac) {
  NetlinkMessage message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
  auto* header = message.add_family_header<ndmsg>();
  header->ndm_family = AF_BRIDGE;
  header->ndm_ifindex = port;
  header->ndm_state = NUD_NOARP;  // static: it neither ages nor counts as learned
  header->ndm_flags = NTF_MASTER;
  message.put_bytes(NDA_LLADDR, mac.bytes.data(), mac.bytes.size());
  return netlink.request(message, "cannot enter the VM's MAC into the bridge's forwarding table");
}

Status delete_link(NetlinkSocket& netlink, int index) {
  NetlinkMessage message(RTM_DELLINK, 0);
  message.add_family_header<ifinfomsg>()->ifi_index = index;
  // ROOT: an index of a device that the caller recognised as ours, under the network's lock.
  auto deleted = netlink.request(message, fmt::format("cannot delete device {}", index));
  if (!deleted && deleted.error().os_errno == ENODEV) return {};
  return deleted;
}

Result<bool> add_address(NetlinkSocket& netlink, int index, Ipv4 address,
                         const Ipv4Subnet& subnet) {
  uint32_t bytes = htonl(address.value);
  return put_address(netlink, index, AF_INET, &bytes, &bytes, sizeof(bytes), subnet.prefix_length,
                     to_string(address));
}

Result<bool> add_address(NetlinkSocket& netlink, int index, const Ipv6& address,
                         int prefix_length) {
  return put_address(netlink, index, AF_INET6, address.bytes.data(), address.bytes.data(),
                     address.bytes.size(), prefix_length, to_string(address));
}

Result<bool> add_peer_address(NetlinkSocket& netlink, int index, Ipv4 address, Ipv4 peer) {
  constexpr int kOneAddress = 32;
  uint32_t local = htonl(address.value);
  uint32_t remote = htonl(peer.value);
  return put_address(netlink, index, AF_INET, &local, &remote, sizeof(local), kOneAddress,
                     to_string(address) + " peer " + to_string(peer));
}

}  // namespace vmnet
