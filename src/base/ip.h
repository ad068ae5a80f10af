// IPv4 and IPv6 addresses and subnets. Ipv4 holds host byte order, so that addresses compare and
// count as numbers; the wire's byte order is the business of src/wire and of the netlink code.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vmnet {

struct Ipv4 {
  uint32_t value = 0;  // 192.168.64.1 is 0xc0a84001

  auto operator<=>(const Ipv4&) const = default;
};

// An IPv4 prefix: `address` has no bit set beyond `prefix_length` (0 to 32).
struct Ipv4Subnet {
  Ipv4 address;
  int prefix_length = 0;

  Ipv4 mask() const;
  Ipv4 broadcast() const;
  bool contains(Ipv4 other) const;
  bool overlaps(const Ipv4Subnet& other) const;
  auto operator<=>(const Ipv4Subnet&) const = default;
};

struct Ipv6 {
  std::array<uint8_t, 16> bytes{};  // as on the wire

  bool is_link_local() const { return bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80; }
  bool is_multicast() const { return bytes[0] == 0xff; }
  bool is_zero() const { return *this == Ipv6{}; }
  auto operator<=>(const Ipv6&) const = default;
};

std::string to_string(Ipv4 address);
std::string to_string(const Ipv4Subnet& subnet);  // "192.168.64.0/24"
std::string to_string(const Ipv6& address);       // RFC 5952

// A strict dotted quad: four decimal numbers of at most 255 without leading zeros, nothing else
// (inet_aton takes "10.1", "0x7f.1" and "10.0.0.1\nx").
std::optional<Ipv4> parse_ipv4(std::string_view text);

std::optional<Ipv6> parse_ipv6(std::string_view text);

// 24 for 255.255.255.0; nothing where the ones are not contiguous.
std::optional<int> prefix_length(Ipv4 mask);

// The subnet that `address` lies in.
Ipv4Subnet subnet_of(Ipv4 address, int prefix_length);

// 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 (RFC 1918).
bool is_private(Ipv4 address);
bool is_loopback(Ipv4 address);

}  // namespace vmnet
