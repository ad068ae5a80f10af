#include "linux/forwarding.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "linux/sysctl.h"

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

// Switches one device's setting on, remembering what it was.
Status switch_on(OldSetting::Key key, const std::string& device, const std::string& path,
                 const std::function<Status(const OldSetting&)>& remember) {
  auto old = read_sysctl(path);
  if (!old) return pass(old);
  if (*old != 0) return {};
  if (auto noted = remember({.key = key, .device = device, .value = *old}); !noted) return noted;
  return write_sysctl(path, 1);
}

// The value of a setting of every device (and of "default"), to be put back later.
std::vector<std::pair<std::string, int>> values_of_all(std::string (*path)(const std::string&)) {
  std::vector<std::pair<std::string, int>> values;
  for (const std::string& device : list_sysctl_folder("ipv6/conf")) {
    if (device == "all") continue;
    if (auto value = read_sysctl(path(device))) values.emplace_back(device, *value);
  }
  return values;
}

// Runs `action`, which switches some IPv6 forwarding on, without the host losing its routes from
// router advertisements: the kernel forgets those of every device whose accept_ra is not 2 (and the
// device takes no more), whichever device's switch it is (net/ipv6/addrconf.c,
// addrconf_fixup_forwarding).
template <typename Action>
Status keeping_advertised_routes(const Action& action) {
  auto accepting = values_of_all(accept_ra);
  for (const auto& [device, old] : accepting) {
    if (old == 1) (void)write_sysctl(accept_ra(device), 2);
  }
  Status result = action();
  for (const auto& [device, old] : accepting) (void)ensure_sysctl(accept_ra(device), old);
  return result;
}

// Flips the one switch of older kernels and nothing else: it also sets every device's own.
Status flip_ipv6_forwarding(int value) {
  return keeping_advertised_routes([value] {
    auto forwarding = values_of_all(ipv6_forwarding);
    auto flipped = write_sysctl(ipv6_forwarding("all"), value);
    for (const auto& [device, old] : forwarding) (void)ensure_sysctl(ipv6_forwarding(device), old);
    return flipped;
  });
}

Status enable_ipv6(const std::vector<std::string>& uplinks,
                   const std::function<Status(const OldSetting&)>& remember) {
  if (auto all = read_sysctl(ipv6_forwarding("all")); all && *all != 0) return {};
  if (!kernel_has_force_forwarding()) {
    if (uplinks.empty()) return {};
    OldSetting old{.key = OldSetting::Key::kIpv6Forwarding, .device = "all", .value = 0};
    if (auto noted = remember(old); !noted) return noted;
    return flip_ipv6_forwarding(1);
  }
  Status result;
  for (const std::string& device : uplinks) {
    auto done = switch_on(OldSetting::Key::kIpv6ForceForwarding, device, force_forwarding(device),
                          remember);
    if (!done && result) result = done;
  }
  return result;
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

Status configure_bridge(const std::string& bridge, bool routes, bool ipv6) {
  if (routes) {
    if (auto set = ensure_sysctl(ipv4_forwarding(bridge), 1); !set) return set;
  }
  if (!read_sysctl("ipv6/conf/" + bridge + "/disable_ipv6")) return {};  // a kernel without IPv6
  if (!ipv6) return ensure_sysctl("ipv6/conf/" + bridge + "/disable_ipv6", 1);
  // A VM must not configure the host.
  if (auto set = ensure_sysctl(accept_ra(bridge), 0); !set) return set;
  if (!routes) return {};
  // Its own switch makes neighbour advertisements say "router": without, guests drop the route.
  auto set = keeping_advertised_routes([&] { return ensure_sysctl(ipv6_forwarding(bridge), 1); });
  if (!set) return set;
  if (!kernel_has_force_forwarding()) return {};
  return ensure_sysctl(force_forwarding(bridge), 1);
}

Status enable_forwarding(const UplinkNames& uplinks, bool ipv6,
                         const std::function<Status(const OldSetting&)>& remember) {
  Status result;
  for (const std::string& device : uplinks.ipv4) {
    auto done =
        switch_on(OldSetting::Key::kIpv4Forwarding, device, ipv4_forwarding(device), remember);
    if (!done && result) result = done;
  }
  if (ipv6) {
    auto done = enable_ipv6(uplinks.ipv6, remember);
    if (!done && result) result = done;
  }
  return result;
}

void restore_forwarding(const std::vector<OldSetting>& settings) {
  for (const OldSetting& old : settings) {
    Status restored;
    switch (old.key) {
      case OldSetting::Key::kIpv4Forwarding:
        if (!read_sysctl(ipv4_forwarding(old.device))) continue;
        restored = ensure_sysctl(ipv4_forwarding(old.device), old.value);
        break;
      case OldSetting::Key::kIpv6ForceForwarding:
        if (!read_sysctl(force_forwarding(old.device))) continue;
        restored = ensure_sysctl(force_forwarding(old.device), old.value);
        break;
      case OldSetting::Key::kIpv6Forwarding:
        if (auto all = read_sysctl(ipv6_forwarding("all")); all && *all == old.value) continue;
        restored = flip_ipv6_forwarding(old.value);
        break;
    }
    if (!restored) log_warn("network", "{}", restored.error().message);
  }
}

}  // namespace vmnet
