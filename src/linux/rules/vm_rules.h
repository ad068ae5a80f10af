// The rules of one VM, at its own device: what it may send at all, and how many addresses it may
// have. A table of family netdev, named after the device.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/mac.h"
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
};

// Marks on a frame between a VM's device and the rules of its network, where they are taken off
// again: it comes from a MAC, or an address, that was not given to this VM, or names such a MAC (in
// ARP) or such an address (in neighbour discovery). Whose it is the network's rules know.
inline constexpr uint32_t kOtherMacMark = 0x10000000;
inline constexpr uint32_t kOtherAddressMark = 0x20000000;
inline constexpr uint32_t kOtherNamedMark = 0x40000000;
inline constexpr uint32_t kAllMarks = kOtherMacMark | kOtherAddressMark | kOtherNamedMark;

// Where the host takes IPv6 from: the network's /64, link-local addresses and, since a tentative
// one is asked about so, none.
std::vector<NftValue> ipv6_sources(const std::optional<Ipv6>& prefix);

NftTable vm_table(const VmRules& rules);

}  // namespace vmnet
