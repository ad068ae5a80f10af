#include "macos/system_version.h"

#include <array>
#include <cerrno>

#include <fmt/format.h>
#include <sys/sysctl.h>

#include "base/log.h"
#include "base/parse.h"

namespace vmnet {
namespace {

constexpr const char* kVersionName = "kern.osproductversion";

}  // namespace

std::optional<SystemVersion> parse_system_version(std::string_view text) {
  size_t dot = text.find('.');
  auto major = parse_unsigned<unsigned>(text.substr(0, dot));
  if (!major) return std::nullopt;
  std::string_view rest = dot == std::string_view::npos ? "0" : text.substr(dot + 1);
  auto minor = parse_unsigned<unsigned>(rest.substr(0, rest.find('.')));
  if (!minor) return std::nullopt;
  SystemVersion version{.major = *major, .minor = *minor};
  if (version.major >= 16 && version.major < 26) version.major += 10;
  return version;
}

Result<SystemVersion> system_version() {
  std::array<char, 64> text{};
  size_t size = text.size() - 1;
  if (::sysctlbyname(kVersionName, text.data(), &size, nullptr, 0) != 0) {
    return fail_errno(fmt::format("cannot read the system's version ({})", kVersionName), errno);
  }
  auto version = parse_system_version(text.data());
  if (!version) {
    return fail(
        fmt::format("cannot make sense of the system's version '{}'", escaped(text.data())));
  }
  return *version;
}

}  // namespace vmnet
