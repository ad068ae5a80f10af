#include "wire/checksum.h"

#include "wire/bytes.h"

namespace vmnet {
namespace {

// The order of bytes inside the words does not matter to a ones' complement sum, so the data is
// summed in the machine's own order, 64 bits at once, and swapped at the end (RFC 1071, section 2).
constexpr uint64_t add_with_carry(uint64_t a, uint64_t b) {
  uint64_t sum = a + b;
  return sum + (sum < b ? 1 : 0);
}

constexpr uint16_t fold(uint64_t sum) {
  sum = (sum >> 32) + (sum & 0xffffffff);
  sum = (sum >> 32) + (sum & 0xffffffff);
  sum = (sum >> 16) + (sum & 0xffff);
  sum = (sum >> 16) + (sum & 0xffff);
  return static_cast<uint16_t>(sum);
}

// The sum of 64-bit words is that of their high halves, 2^32 times, and that of their low ones.
// Both stay below 2^64 for less than 2^34 bytes, so the low ones' are what is left of a sum of
// whole words that may wrap. Additions without carries, four at a time: a compiler makes vector
// instructions of them, one less for each word than for two masked halves.
constexpr size_t kBlock = 32;

uint64_t sum_blocks(const uint8_t*& at, size_t& left) {
  uint64_t whole[4] = {};
  uint64_t high[4] = {};
  for (; left >= kBlock; at += kBlock, left -= kBlock) {
    for (size_t i = 0; i < 4; i++) {
      auto word = load_native<uint64_t>(at + (i * 8));
      whole[i] += word;
      high[i] += word >> 32;
    }
  }
  uint64_t sum = 0;
  for (size_t i = 0; i < 4; i++) {
    uint64_t low = whole[i] - (high[i] << 32);
    sum = add_with_carry(add_with_carry(sum, low), high[i]);
  }
  return sum;
}

}  // namespace

uint16_t ones_sum(std::span<const uint8_t> data) {
  const uint8_t* at = data.data();
  size_t left = data.size();
  uint64_t sum = sum_blocks(at, left);
  for (; left >= 8; at += 8, left -= 8) sum = add_with_carry(sum, load_native<uint64_t>(at));
  if (left > 0) {
    uint8_t rest[8] = {};
    std::memcpy(rest, at, left);
    sum = add_with_carry(sum, load_native<uint64_t>(rest));
  }
  return big_endian(fold(sum));
}

uint16_t pseudo_sum(Ipv4 source, Ipv4 destination, uint8_t protocol, uint32_t length) {
  uint16_t sum = ones_add(ones_sum32(source.value), ones_sum32(destination.value));
  return ones_add(ones_add(sum, protocol), ones_sum32(length));
}

uint16_t pseudo_sum(const Ipv6& source, const Ipv6& destination, uint8_t protocol,
                    uint32_t length) {
  uint16_t sum = ones_add(ones_sum(source.bytes), ones_sum(destination.bytes));
  return ones_add(ones_add(sum, protocol), ones_sum32(length));
}

}  // namespace vmnet
