// What happens to one network device, as the kernel tells it (rtnetlink(7), RTNLGRP_LINK).
#pragma once

#include <functional>
#include <string_view>

#include "base/result.h"
#include "linux/netlink/links.h"
#include "linux/netlink/netlink.h"

namespace vmnet {

enum class DeviceEvent { kChanged, kDeleted };

class DeviceEvents {
 public:
  // Events of one kind of the device with that index, from now on; the kernel leaves all others
  // out, so that fd() is readable for these alone. Needs no privilege.
  static Result<DeviceEvents> watch(int index, DeviceEvent kind);

  // The end of any device whose name begins so: four letters.
  static Result<DeviceEvents> watch_ends(std::string_view prefix);

  int fd() const { return netlink_.fd(); }

  // Reads what has come, without waiting, and calls `handle` with the device as it was at each
  // event. False: events were lost.
  bool read(const std::function<void(const Link&)>& handle);

 private:
  explicit DeviceEvents(NetlinkSocket netlink) : netlink_(std::move(netlink)) {}

  NetlinkSocket netlink_;
};

}  // namespace vmnet
