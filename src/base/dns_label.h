// One label of a DNS name, what a host or a network may be called (RFC 1123, section 2.1).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace vmnet {

inline constexpr size_t kMaxDnsLabel = 63;

// `text` in lower case, since names are compared without case (RFC 4343); nullopt unless it is 1 to
// 63 letters, digits and hyphens, of which neither the first nor the last is a hyphen. Pure.
std::optional<std::string> parse_dns_label(std::string_view text);

}  // namespace vmnet
