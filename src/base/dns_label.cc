#include "base/dns_label.h"

#include <algorithm>

namespace vmnet {
namespace {

// Not isalnum: that depends on the locale.
bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

char in_lower_case(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

std::optional<std::string> parse_dns_label(std::string_view text) {
  if (text.empty() || text.size() > kMaxDnsLabel) return std::nullopt;
  std::string label(text);
  std::ranges::transform(label, label.begin(), in_lower_case);
  const bool allowed =
      std::ranges::all_of(label, [](char c) { return is_letter_or_digit(c) || c == '-'; });
  if (!allowed || label.front() == '-' || label.back() == '-') return std::nullopt;
  return label;
}

}  // namespace vmnet
