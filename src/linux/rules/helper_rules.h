// The nftables rules of one helper: what its VM may say, what others may say in its name, and how
// its network reaches the world. docs/linux.md shows them as `nft list ruleset` prints them.
//
// A helper has a table named after its TAP in up to three families: netdev (what comes from the
// VM), bridge (what other ports send), inet (what is routed). They belong to the keeper's netlink
// socket: the kernel removes them when it closes, whatever ends the process, and neither
// `nft flush ruleset` nor a firewall's reload touches them. Those of a VM that holds its device
// itself stay when the keeper dies, without an owner, until the next helper's sweep; on kernels
// before 6.9 they never have one, and a marker, an empty table of family ip, tells that the keeper
// lives. Other tables' rules work beside them: an accept here ends this chain only, a drop anywhere
// is final.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/mac.h"
#include "base/result.h"
#include "linux/netlink/netlink.h"
#include "linux/nft/batch.h"
#include "platform/config.h"

namespace vmnet {

// Forwarding that was switched on for our VMs, and must serve nobody else. By protocol: a host that
// routes the other one by itself goes on doing so.
struct GuardedForwarding {
  std::vector<std::string> ipv4;  // interfaces
  std::vector<std::string> ipv6;
  bool all_ipv6 = false;  // the one IPv6 switch of kernels without force_forwarding is on
};

struct RuleConfig {
  Mode mode = Mode::kShared;
  std::string tap;          // also the tables' name
  std::string bridge;       // ours, or in bridged mode the user's
  uint32_t port_group = 0;  // of the VMs' ports of that bridge: port_group() in links.h
  Mac gateway_mac;          // the bridge's; unused in bridged mode
  Mac vm_mac;
  std::optional<Ipv4> vm_ipv4;       // what DHCP gives this VM
  std::optional<Ipv4Subnet> subnet;  // none: the host has no address in this network
  std::optional<Ipv4> gateway_ipv4;
  std::optional<Ipv6> gateway_link_local;
  std::optional<Ipv6> gateway_ula;
  std::optional<Ipv6> ipv6_prefix;  // of the /64
  bool isolation = false;
  // The VM holds its device itself (--tap), and may hold it when the keeper is gone.
  bool outlive_keeper = false;
  GuardedForwarding guarded;
  // The kernel has no force_forwarding: the rules can guard all IPv6 forwarding.
  bool one_ipv6_switch = false;
};

// MACs that a VM can hold at a time beyond its own; a guest cannot fill the kernel's memory.
inline constexpr size_t kMaxVmMacs = 16;
inline constexpr size_t kMaxGuardedUplinks = 64;

// One thread. Moved freely. The tables live until remove(), or the end of the socket.
class HelperRules {
 public:
  // Makes all tables in one transaction: an error leaves none. The devices must exist. A table of
  // an ending helper whose TAP had the same name is waited for, up to a second. The tables belong
  // to `socket` (NETLINK_NETFILTER), which must outlive the object.
  static Result<HelperRules> install(NetlinkSocket& socket, const RuleConfig& config);

  // A MAC that the VM uses beside its own (seen in the bridge's forwarding table): others may not
  // use it any more, unless it is a MAC made for some VM (kVmMacPrefix), which is that VM's alone
  // to hold, or a virtual router's, which moves. False in the result: there are kMaxVmMacs already,
  // the VM's problem alone.
  Result<bool> add_vm_mac(const Mac& mac);

  // Replaces what is guarded; shared mode only (ignored otherwise).
  Status set_guarded(const GuardedForwarding& guarded);

  // Removes the tables now, in one transaction. Nothing may be called after it.
  Status remove();

 private:
  HelperRules(NetlinkSocket& socket, RuleConfig config, TableLife life);

  NetlinkSocket* socket_;
  RuleConfig config_;
  TableLife life_;
  std::vector<Mac> vm_macs_;
};

}  // namespace vmnet
