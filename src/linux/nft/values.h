// Values as nftables compares them: bytes, most of them in the wire's order.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/ip.h"
#include "linux/nft/builder.h"

namespace vmnet {

inline NftBytes bytes_of(std::span<const uint8_t> data) { return {data.begin(), data.end()}; }

inline NftBytes big_endian(uint16_t value) {
  return {static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)};
}

inline std::array<uint8_t, 4> big_endian(Ipv4 address) {
  uint32_t v = address.value;
  return {static_cast<uint8_t>(v >> 24), static_cast<uint8_t>(v >> 16),
          static_cast<uint8_t>(v >> 8), static_cast<uint8_t>(v)};
}

// What the kernel itself counts: marks, groups, conntrack's bits.
inline NftBytes host_order(uint32_t value) {
  NftBytes bytes(sizeof(value));
  std::memcpy(bytes.data(), &value, sizeof(value));
  return bytes;
}

inline NftSet anonymous_set(NftType type, std::span<const uint16_t> values) {
  NftSet set{.type = type};
  for (uint16_t value : values) set.elements.push_back({.key = big_endian(value)});
  return set;
}

inline NftSet anonymous_set(NftType type, std::span<const uint8_t> values) {
  NftSet set{.type = type};
  for (uint8_t value : values) set.elements.push_back({.key = {value}});
  return set;
}

}  // namespace vmnet
