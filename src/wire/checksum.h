// The Internet checksum (RFC 1071): the ones' complement of the ones' complement sum of 16-bit
// big-endian words.
//
// Sums are folded to 16 bits and kept in host order. 0 and 0xffff are the same number here; data
// that is not all zero never sums to 0, which is what makes the forms below interchangeable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/ip.h"

namespace vmnet {

// The sum of `data`; an odd last byte is padded with a zero byte.
uint16_t ones_sum(std::span<const uint8_t> data);

// The sum of two sums. Data that follows an odd number of bytes is added with ones_swap().
constexpr uint16_t ones_add(uint16_t a, uint16_t b) {
  uint32_t sum = uint32_t{a} + b;
  return static_cast<uint16_t>(sum + (sum >> 16));
}

constexpr uint16_t ones_subtract(uint16_t a, uint16_t b) {
  return ones_add(a, static_cast<uint16_t>(~b));
}

// The sum of the same data moved by an odd number of bytes.
constexpr uint16_t ones_swap(uint16_t sum) {
  return static_cast<uint16_t>((sum << 8) | (sum >> 8));
}

// `sum` extended by data that starts `offset` bytes after the sum's beginning.
constexpr uint16_t ones_combine(uint16_t sum, uint16_t data_sum, size_t offset) {
  return ones_add(sum, offset % 2 == 0 ? data_sum : ones_swap(data_sum));
}

// The sum of a 32-bit field, as of its two words.
constexpr uint16_t ones_sum32(uint32_t value) {
  return ones_add(static_cast<uint16_t>(value >> 16), static_cast<uint16_t>(value));
}

// The checksum field that belongs to a sum.
constexpr uint16_t checksum_of(uint16_t sum) { return static_cast<uint16_t>(~sum); }

// True for the sum of data that includes a right checksum field.
constexpr bool sum_is_valid(uint16_t sum) { return sum == 0xffff; }

// A checksum field after one word of its data changed (RFC 1624, equation 3).
constexpr uint16_t checksum_update(uint16_t checksum, uint16_t old_word, uint16_t new_word) {
  uint16_t sum = ones_add(static_cast<uint16_t>(~checksum), static_cast<uint16_t>(~old_word));
  return static_cast<uint16_t>(~ones_add(sum, new_word));
}

// The sum of the pseudo-header of TCP, UDP (RFC 9293 section 3.1, RFC 768) or, for IPv6, any upper
// layer (RFC 8200 section 8.1). `length` counts the transport header and its payload. This is also
// what an unfinished checksum field holds (virtio 1.2, section 5.1.6.2).
uint16_t pseudo_sum(Ipv4 source, Ipv4 destination, uint8_t protocol, uint32_t length);
uint16_t pseudo_sum(const Ipv6& source, const Ipv6& destination, uint8_t protocol, uint32_t length);

}  // namespace vmnet
