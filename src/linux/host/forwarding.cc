#include "linux/host/forwarding.h"

#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "linux/host/sysctl.h"
#include "linux/netlink/links.h"
#include "linux/netlink/routes.h"

namespace vmnet {
namespace {

std::string ipv4_forwarding(const std::string& device) {
  return "ipv4/conf/" + device + "/forwarding";
}
std::string ipv6_forwarding(const std::string& device) {
  return "ipv6/conf/" + device + "/forwarding";
}
std::string force_forwarding(const std::string& device) {
  return "ipv6/conf/" + device + "/force_forwarding";
}
std::string accept_ra(const std::string& device) { return "ipv6/conf/" + device + "/accept_ra"; }

// The settings of a device that is gone are nobody's any more.
Status unless_gone(Status status) {
  if (!status && status.error().os_errno == ENOENT) return {};
  return status;
}

bool is_on(const std::string& path) {
  auto value = read_sysctl(path);
  return value && *value != 0;
}

// The switch of all devices that belongs to a setting: on, it is the administrator's statement.
// Older kernels' one switch for IPv6 is ours too, but not what new devices are given.
std::string statement_of(OldSetting::Key key) {
  using Key = OldSetting::Key;
  if (key == Key::kIpv4Forwarding) return ipv4_forwarding("all");
  if (key == Key::kIpv6ForceForwarding) return force_forwarding("all");
  return ipv6_forwarding("default");
}

bool is_taken_up(const OldSetting& old) {
  return old.key != OldSetting::Key::kAcceptRa && !old.apart && is_on(statement_of(old.key));
}

Status note_off(OldSetting::Key key, const std::string& device, SettingNotes& notes) {
  return notes.add({.key = key, .device = device, .value = 0, .apart = is_on(statement_of(key))});
}

// Switches one device's setting on, noting that it was off. True where it was.
Result<bool> switch_on(OldSetting::Key key, const std::string& device, const std::string& path,
                       SettingNotes& notes) {
  auto old = read_sysctl(path);
  if (!old) return pass(old);
  if (*old != 0) return false;
  if (auto noted = note_off(key, device, notes); !noted) return pass(noted);
  if (auto written = write_sysctl(path, 1); !written) return pass(written);
  return true;
}

// The forwarding of every device (and of "default"), to be put back later.
Result<std::vector<std::pair<std::string, int>>> ipv6_forwarding_of_all() {
  auto devices = list_sysctl_folder("ipv6/conf");
  if (!devices) return pass(devices);
  std::vector<std::pair<std::string, int>> values;
  for (const std::string& device : *devices) {
    if (device == "all") continue;
    auto value = read_sysctl(ipv6_forwarding(device));
    if (value) {
      values.emplace_back(device, *value);
    } else if (value.error().os_errno != ENOENT) {
      return pass(value);
    }
  }
  return values;
}

constexpr int kAcceptAlways = 2;  // advertisements, also as a router

// The accept_ra of the devices whose default route is the kernel's own, of an advertisement: 1.
// (A daemon that reads advertisements itself has it at 0.)
Result<std::vector<OldSetting>> list_accepting(NetlinkSocket& netlink) {
  std::vector<OldSetting> accepting;
  auto devices = list_advertised_uplinks(netlink);
  if (!devices) return pass(devices);
  for (int device : *devices) {
    auto link = find_link(netlink, device);
    if (!link && link.error().os_errno != ENODEV) return pass(link);
    if (!link) continue;  // it has just gone
    auto value = read_sysctl(accept_ra(link->name));
    if (!value && value.error().os_errno != ENOENT) return pass(value);
    if (!value || *value != 1) continue;
    accepting.push_back({.key = OldSetting::Key::kAcceptRa, .device = link->name, .value = 1});
  }
  return accepting;
}

// A value that is no more what we set it to is somebody else's by now.
Status restore_accept_ra(const OldSetting& old) {
  auto now = read_sysctl(accept_ra(old.device));
  if (!now) return unless_gone(pass(now));
  if (*now != kAcceptAlways) return {};
  return unless_gone(write_sysctl(accept_ra(old.device), old.value));
}

Status raise_accept_ra(const std::vector<OldSetting>& accepting, SettingNotes& notes) {
  for (const OldSetting& old : accepting) {
    if (auto noted = notes.add(old); !noted) return noted;
    if (auto set = write_sysctl(accept_ra(old.device), kAcceptAlways); !set) return set;
  }
  return {};
}

// Runs `action`, which switches some IPv6 forwarding on, without the host losing its default routes
// from router advertisements: the kernel forgets those of every device whose accept_ra is not 2,
// whichever device's switch it is (net/ipv6/addrconf.c, addrconf_fixup_forwarding).
template <typename Action>
Status keeping_advertised_routes(SettingNotes& notes, const Action& action) {
  auto accepting = list_accepting(notes.netlink());
  if (!accepting) return pass(accepting);
  Status result = raise_accept_ra(*accepting, notes);
  if (result) result = action();
  for (const OldSetting& old : *accepting) {
    Status restored = restore_accept_ra(old);
    if (restored) restored = notes.remove(old);
    if (!restored && result) result = restored;
  }
  return result;
}

// Flips the one switch of older kernels and nothing else: it also sets every device's own.
Status flip_ipv6_forwarding(int value, SettingNotes& notes) {
  return keeping_advertised_routes(notes, [value]() -> Status {
    auto forwarding = ipv6_forwarding_of_all();
    if (!forwarding) return pass(forwarding);
    auto result = write_sysctl(ipv6_forwarding("all"), value);
    for (const auto& [device, old] : *forwarding) {
      auto kept = unless_gone(ensure_sysctl(ipv6_forwarding(device), old));
      if (!kept && result) result = kept;
    }
    return result;
  });
}

// True where it was off.
Result<bool> enable_one_ipv6_switch(SettingNotes& notes) {
  if (is_on(ipv6_forwarding("all"))) return false;
  if (auto noted = note_off(OldSetting::Key::kIpv6Forwarding, "all", notes); !noted) {
    return pass(noted);
  }
  if (auto flipped = flip_ipv6_forwarding(1, notes); !flipped) return pass(flipped);
  return true;
}

// Its own switch makes neighbour advertisements say "router": without, guests drop the route. True
// where something was off.
Result<bool> make_link_route_ipv6(const std::string& device, SettingNotes& notes) {
  bool changed = false;
  if (!is_on(ipv6_forwarding(device))) {
    auto set = keeping_advertised_routes(
        notes, [&device] { return write_sysctl(ipv6_forwarding(device), 1); });
    if (!set) return pass(set);
    changed = true;
  }
  if (is_on(ipv6_forwarding("all"))) return changed;
  if (kernel_has_force_forwarding() && !is_on(force_forwarding(device))) {
    if (auto set = write_sysctl(force_forwarding(device), 1); !set) return pass(set);
    changed = true;
  }
  return changed;
}

Result<bool> make_link_route_ipv4(const std::string& device) {
  if (is_on(ipv4_forwarding(device))) return false;
  if (auto set = write_sysctl(ipv4_forwarding(device), 1); !set) return pass(set);
  return true;
}

// A container's /proc/sys is, mostly.
bool is_read_only(const Error& error) {
  return error.os_errno == EROFS || error.os_errno == EACCES || error.os_errno == EPERM;
}

// Without IPv6 a device that keeps its settings has no address of it, and what its VMs send as
// routers is dropped.
Status configure_ipv6(const std::string& device, bool routes, bool ipv6, SettingNotes& notes) {
  if (!read_sysctl("ipv6/conf/" + device + "/disable_ipv6")) return {};  // a kernel without IPv6
  if (!ipv6) return ensure_sysctl("ipv6/conf/" + device + "/disable_ipv6", 1);
  // A VM must not configure the host.
  if (auto set = ensure_sysctl(accept_ra(device), 0); !set) return set;
  if (!routes) return {};
  if (auto set = make_link_route_ipv6(device, notes); !set) return pass(set);
  return {};
}

Status restore_setting(const OldSetting& old, SettingNotes& notes) {
  using Key = OldSetting::Key;
  if (is_taken_up(old)) return {};
  switch (old.key) {
    case Key::kIpv4Forwarding:
      return unless_gone(ensure_sysctl(ipv4_forwarding(old.device), old.value));
    case Key::kIpv6ForceForwarding:
      return unless_gone(ensure_sysctl(force_forwarding(old.device), old.value));
    case Key::kIpv6Forwarding:
      if (auto all = read_sysctl(ipv6_forwarding("all")); all && *all == old.value) return {};
      return flip_ipv6_forwarding(old.value, notes);
    case Key::kAcceptRa:
      return restore_accept_ra(old);
  }
  return {};
}

}  // namespace

bool kernel_has_force_forwarding() { return read_sysctl(force_forwarding("default")).has_value(); }

bool host_has_ipv6() {
  for (const char* scope : {"all", "default"}) {
    auto disabled = read_sysctl(std::string("ipv6/conf/") + scope + "/disable_ipv6");
    if (!disabled || *disabled != 0) return false;
  }
  return true;
}

Result<bool> configure_link(const std::string& device, bool routes, bool ipv6,
                            SettingNotes& notes) {
  // Where it cannot be, enable_forwarding() says so.
  auto set = routes ? make_link_route_ipv4(device) : Result<bool>(true);
  if (!set && !is_read_only(set.error())) return pass(set);
  auto configured = configure_ipv6(device, routes, ipv6, notes);
  if (configured) return ipv6;
  if (!is_read_only(configured.error())) return pass(configured);
  if (ipv6) log_warn("network", "VMs have no IPv6: {}", configured.error().message);
  return false;
}

std::vector<std::string> enable_forwarding(const std::vector<std::string>& own,
                                           const UplinkNames& uplinks, bool ipv6,
                                           SettingNotes& notes, Status& failed) {
  std::vector<std::string> switched_on;
  auto account = [&](const std::string& device, Result<bool> done) {
    if (!done && failed) failed = pass(done);
    if (done && *done) switched_on.push_back(device);
  };
  using Key = OldSetting::Key;
  for (const std::string& device : own) account(device, make_link_route_ipv4(device));
  for (const std::string& device : uplinks.ipv4) {
    account(device, switch_on(Key::kIpv4Forwarding, device, ipv4_forwarding(device), notes));
  }
  if (!ipv6) return switched_on;
  for (const std::string& device : own) account(device, make_link_route_ipv6(device, notes));
  if (!kernel_has_force_forwarding()) {
    if (!uplinks.ipv6.empty()) account("all", enable_one_ipv6_switch(notes));
    return switched_on;
  }
  if (is_on(ipv6_forwarding("all"))) return switched_on;
  for (const std::string& device : uplinks.ipv6) {
    account(device, switch_on(Key::kIpv6ForceForwarding, device, force_forwarding(device), notes));
  }
  return switched_on;
}

bool host_forwards_itself(const OldSetting& old) {
  if (old.key == OldSetting::Key::kIpv6ForceForwarding && is_on(ipv6_forwarding("all")))
    return true;
  return is_taken_up(old);
}

Status restore_forwarding(const std::vector<OldSetting>& settings, SettingNotes& notes) {
  Status result;
  int failures = 0;
  for (const OldSetting& old : settings) {
    auto restored = restore_setting(old, notes);
    if (restored) {
      // A note too many is restored once more, which changes nothing.
      [[maybe_unused]] auto removed = notes.remove(old);
      continue;
    }
    failures++;
    if (result) result = restored;
  }
  if (failures > 1) result.error().message += fmt::format(" (and {} more)", failures - 1);
  return result;
}

}  // namespace vmnet
