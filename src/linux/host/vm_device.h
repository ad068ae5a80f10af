// What the devices of a VM and of its network have in common.
#pragma once

#include <string_view>

#include "base/result.h"
#include "linux/device/tap.h"
#include "linux/host/network_state.h"
#include "linux/netlink/netlink.h"
#include "platform/config.h"

namespace vmnet {

// Whoever takes the device over says what it can do; until then the kernel leaves nothing
// unfinished.
inline TapOffload offload_of(const NetworkConfig& config) {
  return config.hand_over_device ? TapOffload::kOff : TapOffload::kOn;
}

// The unique local /64 that follows from the host and from `name`; another one where it is taken.
Ipv6 choose_prefix(const NetworkState& state, std::string_view name);

}  // namespace vmnet
