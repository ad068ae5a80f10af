// The MACs that a VM uses, as the bridge learns them: events of its forwarding table, of one port.
#pragma once

#include <functional>

#include "base/mac.h"
#include "base/result.h"
#include "linux/netlink/netlink.h"

namespace vmnet {

class MacEvents {
 public:
  // Of the bridge port with that interface index.
  static Result<MacEvents> watch(int port);

  int fd() const { return netlink_.fd(); }

  // Calls `learned` for each MAC that has come since. Does not wait. Events lost are no matter: the
  // bridge tells again when the MAC comes back after ageing.
  void read(const std::function<void(const Mac&)>& learned);

 private:
  explicit MacEvents(NetlinkSocket netlink) : netlink_(std::move(netlink)) {}

  NetlinkSocket netlink_;
};

}  // namespace vmnet
