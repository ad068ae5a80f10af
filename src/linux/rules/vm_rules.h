// The rules of one VM, at its own device: what it may send at all, and how many addresses it may
// have. A table of family netdev, named after the device.
//
// It belongs to the keeper's netlink socket: the kernel removes it when that closes, whatever ends
// the process, and neither `nft flush ruleset` nor a firewall's reload touches it. That of a VM
// that holds its device itself stays when the keeper dies, without an owner, until the next
// helper's sweep; on kernels before 6.9 it never has one, and a marker, an empty table of family
// ip, tells that the keeper lives.
#pragma once

#include <optional>
#include <string>

#include "base/ip.h"
#include "base/mac.h"
#include "base/result.h"
#include "linux/netlink/netlink.h"
#include "linux/nft/batch.h"
#include "linux/nft/builder.h"
#include "platform/config.h"

namespace vmnet {

struct VmRules {
  Mode mode = Mode::kShared;
  std::string device;  // also the table's name
  Mac gateway_mac;     // the bridge's, or of an isolated VM's link; unused in bridged mode
  Mac vm_mac;
  std::optional<Ipv4> vm_ipv4;       // what DHCP gives this VM
  std::optional<Ipv4Subnet> subnet;  // none: the host has no address in this network
  std::optional<Ipv4> gateway_ipv4;
  std::optional<Ipv6> ipv6_prefix;  // of the /64; an isolated VM's own
  bool isolated = false;            // the device is a link of its own, or a macvtap: on no bridge
  // The VM holds its device itself (--tap), and may hold it when the keeper is gone.
  bool outlive_keeper = false;
};

// Marks on a frame between a VM's device and the rules of its network, where they are taken off
// again: it comes from a MAC, or an address, that was not given to this VM, or names such a MAC (in
// ARP) or such an address (in neighbour discovery). Whose it is the network's rules know.
inline constexpr uint32_t kOtherMacMark = 0x10000000;
inline constexpr uint32_t kOtherAddressMark = 0x20000000;
inline constexpr uint32_t kOtherNamedMark = 0x40000000;
inline constexpr uint32_t kAllMarks = kOtherMacMark | kOtherAddressMark | kOtherNamedMark;

// The gateway's link-local address on every link of ours that has IPv6: fe80::1.
inline constexpr Ipv6 kGatewayLinkLocal{{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

// The gateway's address in a network's /64.
Ipv6 gateway_of(const Ipv6& prefix);

// The address with that prefix (a /64) which a VM with that MAC gives itself (RFC 4291, modified
// EUI-64).
Ipv6 address_from_mac(const Ipv6& prefix, const Mac& mac);

NftTable vm_table(const VmRules& rules);

// One thread. Moved freely. The table lives until remove(), or the end of the socket.
class InstalledVmRules {
 public:
  // The device must exist. The table of an ending helper whose device had the same name is waited
  // for, up to a second. It belongs to `socket` (NETLINK_NETFILTER), which must outlive the object.
  static Result<InstalledVmRules> install(NetlinkSocket& socket, const VmRules& rules);

  // Nothing may be called after it.
  Status remove();

 private:
  InstalledVmRules(NetlinkSocket& socket, std::string device, TableLife life);

  NetlinkSocket* socket_;
  std::string device_;
  TableLife life_;
};

}  // namespace vmnet
