// What a bridge and a TAP say of themselves in their alias: the kernel is the database.
//
//   vmnet-shared0  vmnet-helper shared 192.168.64.1-192.168.64.254/24 ipv6=fd1c:…::
//   vmnet-priv0    vmnet-helper private id=UUID uid=1000
//   vmnet-lab      vmnet-helper shared 192.168.71.1-192.168.71.254/24 name=lab uid=1000
//   vmnet-tap0     vmnet-helper vm 192.168.64.17 mac=… uid=1000 id=UUID
//   vmnet-tap1     vmnet-helper vm 192.168.64.18 mac=… uid=1000 id=UUID ipv6=fd1c:…::
//
// A bridge's further names ("altname") are notes of the host's settings that were changed, a note
// each, since an alias ends at 255 bytes: vmnet-shared0:old=4:eth0:0
//
// Which network a VM belongs to its device's group tells (links.h), isolated or not.
// `ip -d link` shows them. A device is ours by its name and, a bridge, by its MAC's prefix; one
// without a readable alias is a leftover of a start that was killed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "base/ip.h"
#include "base/mac.h"
#include "base/uuid.h"
#include "linux/device/identity.h"
#include "linux/netlink/links.h"
#include "platform/config.h"

namespace vmnet {

inline constexpr std::string_view kOwnPrefix = "vmnet-";
inline constexpr std::string_view kTapPrefix = "vmnet-tap";
inline constexpr std::string_view kMacvtapPrefix = "vmnet-mvt";

enum class NetworkKind { kShared, kHost, kPrivate };

// A setting of the host that we changed, with its value before.
struct OldSetting {
  enum class Key : char {
    kIpv4Forwarding = '4',       // net.ipv4.conf.DEVICE.forwarding
    kIpv6ForceForwarding = '6',  // net.ipv6.conf.DEVICE.force_forwarding (Linux 6.17)
    kIpv6Forwarding = 'a',       // net.ipv6.conf.all.forwarding, where there is no force_forwarding
    kAcceptRa = 'r',             // net.ipv6.conf.DEVICE.accept_ra, changed for a moment only
  };
  Key key = Key::kIpv4Forwarding;
  std::string device;  // "all" for kIpv6Forwarding
  int value = 0;
  // It was set so for this device alone, while the switch of all devices was on: what that switch
  // says at the end tells nothing of it.
  bool apart = false;
  bool operator==(const OldSetting&) const = default;
  bool is_same_setting(const OldSetting& other) const {
    return key == other.key && device == other.device;
  }
};

struct NetworkRecord {
  NetworkKind kind = NetworkKind::kShared;
  std::optional<Uuid> id;                 // private networks
  std::string name;                       // --network: of the shared kind; else empty
  std::optional<uid_t> user;              // whose VMs alone may join; none: everybody's
  std::optional<AddressRange> addresses;  // none: a private network without the host in it
  std::optional<Ipv6> ipv6_prefix;        // a /64
  std::vector<OldSetting> old_settings;   // to be restored with the network's end
  bool operator==(const NetworkRecord&) const = default;
};

struct VmRecord {
  Uuid interface_id;
  Mac mac;
  std::optional<Ipv4> address;
  uid_t uid = 0;
  std::optional<Ipv6> ipv6_prefix;  // an isolated VM's own /64

  VmIdentity identity() const { return {.user = uid, .interface_id = interface_id}; }
  bool operator==(const VmRecord&) const = default;
};

// Without the old settings.
std::string to_alias(const NetworkRecord& record);
std::string to_alias(const VmRecord& record);

// The further name of the bridge of that name that notes the setting.
std::string to_note(std::string_view bridge, const OldSetting& old);

// Takes out of `record` the settings that are changed for a moment only. Seen under the network's
// lock they are of a helper that was killed in that moment, and to be restored at once.
std::vector<OldSetting> take_momentary_settings(NetworkRecord& record);

// What a bridge's alias and further names say; nothing where the alias says nothing of ours.
std::optional<NetworkRecord> parse_network_record(const Link& bridge);
std::optional<VmRecord> parse_vm_alias(std::string_view alias);

// What the names of such bridges begin with: "vmnet-shared", "vmnet-host", "vmnet-priv".
std::string_view bridge_name_prefix(NetworkKind kind);

// Does `name` begin as those do?
bool has_bridge_name_prefix(std::string_view name);

// Is `link` a bridge that a helper made?
bool is_own_bridge(const Link& link);

// Is that a name of a VM's device, made or to be made by a helper?
bool is_vm_device_name(std::string_view name);

// Is `link` the device of one VM that a helper made (TAP or macvtap)?
bool is_own_vm_device(const Link& link);

}  // namespace vmnet
