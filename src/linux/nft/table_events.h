// Tables that are removed, as nftables tells it (NFNLGRP_NFTABLES). It tells of every element of
// every set too, to all who listen, so the kernel leaves out for us what is no matter.
//
// The end of a socket that owns a table is told nobody (Linux 6.18).
#pragma once

#include <string_view>
#include <utility>

#include "base/result.h"
#include "linux/netlink/netlink.h"

namespace vmnet {

class TableEvents {
 public:
  // Of tables whose name begins with the same eight letters as `name`, or with a shorter one. Needs
  // CAP_NET_ADMIN.
  static Result<TableEvents> watch(std::string_view name);

  int fd() const { return netlink_.fd(); }

  // Drains what has come, without waiting. True: the caller must look at what is there. It may be
  // an event of another table, or of one that is back already, or events were lost.
  bool read();

 private:
  explicit TableEvents(NetlinkSocket netlink) : netlink_(std::move(netlink)) {}

  NetlinkSocket netlink_;
};

}  // namespace vmnet
