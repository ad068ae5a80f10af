#include "base/mac.h"

#include <charconv>
#include <system_error>

#include <fmt/format.h>

namespace vmnet {

std::string to_string(const Mac& mac) {
  const auto& b = mac.bytes;
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", b[0], b[1], b[2], b[3], b[4],
                     b[5]);
}

std::optional<Mac> parse_mac(std::string_view text) {
  if (text.size() != 17) return std::nullopt;
  Mac mac;
  for (size_t i = 0; i < mac.bytes.size(); i++) {
    std::string_view pair = text.substr(i * 3, 2);
    if (i > 0 && text[(i * 3) - 1] != ':') return std::nullopt;
    auto [end, error] = std::from_chars(pair.data(), pair.data() + 2, mac.bytes.at(i), 16);
    if (error != std::errc() || end != pair.data() + 2) return std::nullopt;
  }
  return mac;
}

}  // namespace vmnet
