// Routing between a network's bridge and the uplinks: switched on where needed, and back as it was.
//
// IPv4: conf.DEVICE.forwarding of the bridge and of each uplink; net.ipv4.ip_forward stays alone
// (toggling it resets every device). IPv6: conf.DEVICE.force_forwarding (Linux 6.17) likewise;
// older kernels know one switch, conf.all.forwarding, and flipping it would make the uplinks stop
// accepting router advertisements, so it is flipped around that.
//
// What a device's setting was is noted before the setting is changed, so that whoever comes after a
// crash can restore it. Docker, a VPN or the administrator may switch forwarding on or off for the
// whole host meanwhile: what they switched on stays on, and what they switched off is needed again.
// All functions run under the network's lock.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "linux/host/network_record.h"
#include "linux/host/setting_notes.h"

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

// Prepares a new bridge, or an isolated VM's device: it routes, takes no router advertisement, and
// has IPv6 only if `ipv6`. The notes are the bridge's. False where it has no IPv6: it was not
// wanted, or its settings are read-only, as in a container, which a WARN line says.
Result<bool> configure_link(const std::string& device, bool routes, bool ipv6, SettingNotes& notes);

// Makes devices of our own and the uplinks route, also where they did and somebody has switched it
// off. Each setting of an uplink to be changed is noted first, and left alone where that fails.
// Settings that are on already are left and not noted: they are somebody else's, or noted by
// another network of ours. Returns the devices of what was switched on. `failed` takes the first
// error: a device that does not let itself be changed is an error of that device, the others are
// still done.
std::vector<std::string> enable_forwarding(const std::vector<std::string>& own,
                                           const UplinkNames& uplinks, bool ipv6,
                                           SettingNotes& notes, Status& failed);

// Does the host by now forward what we switched on for VMs alone, by its administrator's will?
bool host_forwards_itself(const OldSetting& old);

// Puts the settings back and takes them out of the notes, which are of the bridge that had noted
// them. What the host has itself switched on since stays as it is. A device that is gone is
// skipped. What cannot be put back stays noted, and is the error; the others are still done.
Status restore_forwarding(const std::vector<OldSetting>& settings, SettingNotes& notes);

}  // namespace vmnet
