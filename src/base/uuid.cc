#include "base/uuid.h"

#include <charconv>
#include <system_error>

#include <fmt/format.h>

namespace vmnet {
namespace {

// The byte positions that a hyphen precedes.
bool hyphen_before(size_t byte) { return byte == 4 || byte == 6 || byte == 8 || byte == 10; }

}  // namespace

std::string to_string(const Uuid& uuid) {
  std::string text;
  for (size_t i = 0; i < uuid.bytes.size(); i++) {
    if (hyphen_before(i)) text += '-';
    text += fmt::format("{:02X}", uuid.bytes.at(i));
  }
  return text;
}

std::optional<Uuid> parse_uuid(std::string_view text) {
  if (text.size() != 36) return std::nullopt;
  Uuid uuid;
  const char* next = text.data();
  for (size_t i = 0; i < uuid.bytes.size(); i++) {
    if (hyphen_before(i) && *next++ != '-') return std::nullopt;
    auto [end, error] = std::from_chars(next, next + 2, uuid.bytes.at(i), 16);
    if (error != std::errc() || end != next + 2) return std::nullopt;
    next = end;
  }
  return uuid;
}

Uuid uuid_v4(std::array<uint8_t, 16> bytes) {
  bytes[6] = static_cast<uint8_t>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<uint8_t>((bytes[8] & 0x3f) | 0x80);
  return Uuid{bytes};
}

}  // namespace vmnet
