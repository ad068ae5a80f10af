#include "base/ip.h"

#include <bit>

#include <arpa/inet.h>
#include <fmt/format.h>

#include "base/parse.h"

namespace vmnet {
namespace {

uint32_t mask_bits(int prefix_length) {
  return prefix_length == 0 ? 0 : ~uint32_t{0} << (32 - prefix_length);
}

}  // namespace

Ipv4 Ipv4Subnet::mask() const { return Ipv4{mask_bits(prefix_length)}; }

Ipv4 Ipv4Subnet::broadcast() const { return Ipv4{address.value | ~mask_bits(prefix_length)}; }

bool Ipv4Subnet::contains(Ipv4 other) const {
  return (other.value & mask_bits(prefix_length)) == address.value;
}

bool Ipv4Subnet::overlaps(const Ipv4Subnet& other) const {
  return contains(other.address) || other.contains(address);
}

std::string to_string(Ipv4 address) {
  uint32_t v = address.value;
  return fmt::format("{}.{}.{}.{}", v >> 24, (v >> 16) & 0xff, (v >> 8) & 0xff, v & 0xff);
}

std::string to_string(const Ipv4Subnet& subnet) {
  return fmt::format("{}/{}", to_string(subnet.address), subnet.prefix_length);
}

std::string to_string(const Ipv6& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(AF_INET6, address.bytes.data(), text.data(), text.size());
  return text.data();
}

std::optional<Ipv4> parse_ipv4(std::string_view text) {
  uint32_t value = 0;
  for (int part = 0; part < 4; part++) {
    size_t dot = part < 3 ? text.find('.') : text.size();
    if (dot == std::string_view::npos) return std::nullopt;
    auto number = parse_unsigned<uint8_t>(text.substr(0, dot));
    if (!number) return std::nullopt;
    value = (value << 8) | *number;
    text.remove_prefix(part < 3 ? dot + 1 : dot);
  }
  return Ipv4{value};
}

std::optional<Ipv6> parse_ipv6(std::string_view text) {
  // inet_pton wants a terminated string: a NUL inside would hide what follows it.
  if (text.find('\0') != std::string_view::npos) return std::nullopt;
  Ipv6 address;
  if (inet_pton(AF_INET6, std::string(text).c_str(), address.bytes.data()) != 1)
    return std::nullopt;
  return address;
}

std::optional<int> prefix_length(Ipv4 mask) {
  int ones = std::countl_one(mask.value);
  if (mask.value != mask_bits(ones)) return std::nullopt;
  return ones;
}

Ipv4Subnet subnet_of(Ipv4 address, int prefix_length) {
  return {.address = Ipv4{address.value & mask_bits(prefix_length)},
          .prefix_length = prefix_length};
}

bool is_private(Ipv4 address) {
  return (address.value >> 24) == 10 || (address.value >> 20) == 0xac1 ||
         (address.value >> 16) == 0xc0a8;
}

bool is_loopback(Ipv4 address) { return (address.value >> 24) == 127; }

}  // namespace vmnet
