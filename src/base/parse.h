// Strict number parsing: the whole text or nothing. No sign, no blanks, no locale.
#pragma once

#include <charconv>
#include <concepts>
#include <optional>
#include <string_view>
#include <system_error>

namespace vmnet {

// Decimal digits only ("0" to the type's maximum; leading zeros are refused, "007" is not a
// number).
template <std::unsigned_integral T>
std::optional<T> parse_unsigned(std::string_view text) {
  if (text.empty() || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  T value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace vmnet
