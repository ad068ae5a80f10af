// The host's network devices, through rtnetlink: listing, creating, changing, deleting.
//
// Sources: rtnetlink(7), linux/if_link.h. Every change is a privileged call: names and indexes come
// from the kernel or from our own constants, never from a guest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/mac.h"
#include "base/result.h"
#include "linux/netlink/netlink.h"

namespace vmnet {

struct Link {
  int index = 0;
  std::string name;
  std::string kind;   // "bridge", "tun", "macvtap", ...; empty for a hardware device
  std::string alias;  // as set by `ip link set alias`, empty where none
  std::vector<std::string> alternative_names;
  Mac mac;
  uint32_t mtu = 0;
  int master = 0;         // index of the bridge that this device is a port of, else 0
  uint32_t group = 0;     // IFLA_GROUP
  bool ethernet = false;  // ARPHRD_ETHER
  bool up = false;
  bool operational = false;  // IF_OPER_UP: its carrier is there and the kernel has acted on it
};

// What an RTM_NEWLINK message, an answer or an event, says.
Link parse_link(const nlmsghdr* message);

// All devices of the network namespace. Needs no privilege.
Result<std::vector<Link>> list_links(NetlinkSocket& netlink);

// The device with that name or index; nullptr where `links` has none.
const Link* find_link(const std::vector<Link>& links, std::string_view name);
const Link* find_link(const std::vector<Link>& links, int index);

// The device with that index, as it is now.
Result<Link> find_link(NetlinkSocket& netlink, int index);

// The index of the device with that name.
Result<int> find_index(NetlinkSocket& netlink, const std::string& name);

// Creates a bridge with that MAC, without spanning tree and multicast snooping, down. Fails with
// EEXIST where the name is taken. Returns its index.
Result<int> create_bridge(NetlinkSocket& netlink, const std::string& name, const Mac& mac);

// Creates a macvtap in bridge mode on `lower`, with that MAC, down.
Result<int> create_macvtap(NetlinkSocket& netlink, const std::string& name, int lower,
                           const Mac& mac);

// The alias of a device: at most 255 bytes.
Status set_alias(NetlinkSocket& netlink, int index, const std::string& alias);

// A further name of a device (Linux 5.5): one no device of the namespace has (EEXIST), less than
// 128 bytes, without white space and slashes, as ip(8) has them.
Status add_alternative_name(NetlinkSocket& netlink, int index, const std::string& name);
Status remove_alternative_name(NetlinkSocket& netlink, int index, const std::string& name);

// No automatic link-local address on a device: IPv6 addresses of a network are the bridge's, and
// ours to give. Before it is set up.
Status forbid_automatic_address(NetlinkSocket& netlink, int index);

// Makes the kernel cut what is sent to a device into frames of at most so many segments.
Status limit_segments(NetlinkSocket& netlink, int index, uint32_t segments);

Status set_link_mac(NetlinkSocket& netlink, int index, const Mac& mac);
Status set_link_mtu(NetlinkSocket& netlink, int index, uint32_t mtu);

Status set_link_up(NetlinkSocket& netlink, int index);
Status set_link_down(NetlinkSocket& netlink, int index);

// Waits until the bridge passes frames: the kernel acts on the carrier that its first port brings
// from a work queue, which a busy host delays; until then what the host sends there is lost. Gives
// up after a second, silently.
void wait_until_operational(NetlinkSocket& netlink, int bridge);

// The device groups (IFLA_GROUP) of a network of ours, by which rules tell its devices from others:
// those of the VMs' ports of a bridge (nftables' `meta ibrname` needs a module that not every
// kernel has), and of its links, the bridge and its isolated VMs' devices. Far from the numbers
// that people give.
constexpr uint32_t port_group(int bridge) { return 0x40000000U + static_cast<uint32_t>(bridge); }
constexpr uint32_t links_group(int bridge) { return 0x20000000U + static_cast<uint32_t>(bridge); }
Status set_group(NetlinkSocket& netlink, int index, uint32_t group);

// Makes `index` a port of `bridge` and sets it up.
Status attach_port(NetlinkSocket& netlink, int index, int bridge);

// Tells a bridge that `mac` is behind `port`, without waiting for its first frame.
Status add_forwarding_entry(NetlinkSocket& netlink, int port, const Mac& mac);

// Deletes a device. One that is gone already is no error.
Status delete_link(NetlinkSocket& netlink, int index);

// Adds an address with its connected route, usable at once (no duplicate address detection). False
// where the device has it.
Result<bool> add_address(NetlinkSocket& netlink, int index, Ipv4 address, const Ipv4Subnet& subnet);
Result<bool> add_address(NetlinkSocket& netlink, int index, const Ipv6& address, int prefix_length);

// Adds an address with a route to the one neighbour that the link has. False where it is there.
Result<bool> add_peer_address(NetlinkSocket& netlink, int index, Ipv4 address, Ipv4 peer);

}  // namespace vmnet
