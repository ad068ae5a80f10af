// The version of macOS that runs, which decides who may make networks.
#pragma once

#include <compare>
#include <optional>
#include <string_view>

#include "base/result.h"

namespace vmnet {

struct SystemVersion {
  unsigned major = 0;
  unsigned minor = 0;

  auto operator<=>(const SystemVersion&) const = default;
};

// Of kern.osproductversion (sysctl(3)).
Result<SystemVersion> system_version();

// "15.4" or "26.0.1". There is no macOS 16: it is what macOS 26 calls itself towards a program that
// was built with an older SDK. Pure.
std::optional<SystemVersion> parse_system_version(std::string_view text);

// Before macOS 26 only root may make an interface; since then an entitlement will do. Pure.
inline bool needs_root(const SystemVersion& version) { return version < SystemVersion{26, 0}; }

}  // namespace vmnet
