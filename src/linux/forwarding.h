// Routing between a network's bridge and the uplinks: switched on where needed, and back as it was.
//
// IPv4: conf.DEVICE.forwarding of the bridge and of each uplink; net.ipv4.ip_forward stays alone
// (toggling it resets every device). IPv6: conf.DEVICE.force_forwarding (Linux 6.17) likewise;
// older kernels know one switch, conf.all.forwarding, and flipping it would make the uplinks stop
// accepting router advertisements, so it is flipped around that.
//
// What a device's setting was goes into a record before the setting is changed, so that whoever
// comes after a crash can restore it. All functions run under the network's lock.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "linux/network_record.h"

namespace vmnet {

// The names of the uplinks of each protocol.
struct UplinkNames {
  std::vector<std::string> ipv4;
  std::vector<std::string> ipv6;
};

// Is IPv6 there and not disabled?
bool host_has_ipv6();

// Can IPv6 be forwarded for single devices (Linux 6.17), or is there but one switch for all?
bool kernel_has_force_forwarding();

// Prepares a new bridge: it routes, takes no router advertisement, and has IPv6 only if `ipv6`.
Status configure_bridge(const std::string& bridge, bool routes, bool ipv6);

// Makes the uplinks route. For each setting to be changed calls `remember` first, and changes
// nothing where that fails. Settings that are on already are left and not remembered: they are
// somebody else's, or remembered by another network of ours. A device that does not let itself be
// changed is an error of that device: the others are still done, the first error is returned.
Status enable_forwarding(const UplinkNames& uplinks, bool ipv6,
                         const std::function<Status(const OldSetting&)>& remember);

// Puts the settings back. A device that is gone is skipped.
void restore_forwarding(const std::vector<OldSetting>& settings);

}  // namespace vmnet
