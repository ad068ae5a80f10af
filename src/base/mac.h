// Ethernet addresses (IEEE 802 EUI-48).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vmnet {

struct Mac {
  std::array<uint8_t, 6> bytes{};

  bool is_multicast() const { return (bytes[0] & 1) != 0; }
  bool is_local() const { return (bytes[0] & 2) != 0; }
  bool is_zero() const { return *this == Mac{}; }
  auto operator<=>(const Mac&) const = default;
};

inline constexpr Mac kBroadcastMac{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

// "0e:76:6d:00:00:01", lower case.
std::string to_string(const Mac& mac);

// Six pairs of hexadecimal digits separated by colons.
std::optional<Mac> parse_mac(std::string_view text);

}  // namespace vmnet
