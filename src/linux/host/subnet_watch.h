// What of the host comes to lie in a network's subnet while its VMs run.
#pragma once

#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "linux/netlink/links.h"
#include "linux/netlink/netlink.h"
#include "linux/netlink/routes.h"

namespace vmnet {

// What of the host's occupies subnets, our own devices' left out, and its DNS servers
// (dns_servers.h).
Result<std::vector<UsedSubnet>> list_used_by_host(NetlinkSocket& netlink,
                                                  const std::vector<Link>& links);

// Events after which another machine that the host needs may have an address of `subnet`: a new
// route, a neighbour in that subnet. Those on `own_device` are no news, which the kernel sees to:
// there VMs can make as many as they like.
class SubnetEvents {
 public:
  static Result<SubnetEvents> watch(const Ipv4Subnet& subnet, int own_device);

  int fd() const { return netlink_.fd(); }

  // Drains them. The devices that they are of; `complete` false where some were lost.
  std::vector<int> read(bool& complete);

 private:
  explicit SubnetEvents(NetlinkSocket netlink) : netlink_(std::move(netlink)) {}

  NetlinkSocket netlink_;
};

}  // namespace vmnet
