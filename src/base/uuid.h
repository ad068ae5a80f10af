// UUIDs (RFC 9562), the identity of an interface.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vmnet {

struct Uuid {
  std::array<uint8_t, 16> bytes{};

  auto operator<=>(const Uuid&) const = default;
};

// "2F8D5B1C-...": upper case, as users of the JSON expect.
std::string to_string(const Uuid& uuid);

// The 36-character form, in either case.
std::optional<Uuid> parse_uuid(std::string_view text);

// `bytes` of a random number generator made into a version 4 UUID.
Uuid uuid_v4(std::array<uint8_t, 16> bytes);

}  // namespace vmnet
