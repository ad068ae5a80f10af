#include "wire/checksum.h"

#include <algorithm>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace vmnet {
namespace {

// RFC 1071 read literally: 16-bit words, one at a time.
uint16_t plain_sum(std::span<const uint8_t> data) {
  uint32_t sum = 0;
  for (size_t i = 0; i < data.size(); i++) {
    sum += i % 2 == 0 ? uint32_t{data[i]} << 8 : data[i];
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(sum);
}

std::vector<uint8_t> random_bytes(std::mt19937& random, size_t size) {
  std::vector<uint8_t> data(size);
  for (auto& byte : data) byte = static_cast<uint8_t>(random());
  return data;
}

TEST(Checksum, ExampleOfRfc1071) {
  const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  EXPECT_EQ(ones_sum(data), 0xddf2);
  EXPECT_EQ(checksum_of(ones_sum(data)), 0x220d);
}

TEST(Checksum, EqualsThePlainSumAtEverySizeAndAlignment) {
  std::mt19937 random(1);
  auto data = random_bytes(random, 300);
  for (size_t start = 0; start < 9; start++) {
    for (size_t size = 0; start + size <= data.size(); size++) {
      std::span<const uint8_t> part(data.data() + start, size);
      ASSERT_EQ(ones_sum(part), plain_sum(part)) << start << " " << size;
    }
  }
}

TEST(Checksum, CarriesSurviveLargeData) {
  std::vector<uint8_t> ones(65535, 0xff);
  EXPECT_EQ(ones_sum(ones), plain_sum(ones));
  EXPECT_EQ(ones_sum(std::vector<uint8_t>(65535)), 0);
}

TEST(Checksum, CombinesPartsAtOddOffsets) {
  std::mt19937 random(2);
  auto data = random_bytes(random, 99);
  for (size_t cut = 0; cut <= data.size(); cut++) {
    std::span<const uint8_t> all(data);
    uint16_t sum = ones_combine(ones_sum(all.first(cut)), ones_sum(all.subspan(cut)), cut);
    ASSERT_EQ(sum, ones_sum(data)) << cut;
  }
}

TEST(Checksum, SubtractUndoesAdd) {
  std::mt19937 random(3);
  for (int i = 0; i < 10'000; i++) {
    auto a = static_cast<uint16_t>(random() % 0xffff + 1);
    auto b = static_cast<uint16_t>(random());
    // 0 and 0xffff are one number.
    ASSERT_EQ(ones_subtract(ones_add(a, b), b) % 0xffff, a % 0xffff);
  }
}

// RFC 1624, section 4: where equation 2 of RFC 1141 goes wrong.
TEST(Checksum, IncrementalUpdateOfRfc1624) {
  EXPECT_EQ(checksum_update(0xdd2f, 0x5555, 0x3285), 0x0000);
}

TEST(Checksum, IncrementalUpdateEqualsSummingAnew) {
  std::mt19937 random(4);
  for (int i = 0; i < 10'000; i++) {
    auto data = random_bytes(random, 20);
    data[0] = 0x45;  // never all zero, as in a header
    uint16_t before = checksum_of(ones_sum(data));
    auto old_word = static_cast<uint16_t>((data[4] << 8) | data[5]);
    auto new_word = static_cast<uint16_t>(random());
    data[4] = static_cast<uint8_t>(new_word >> 8);
    data[5] = static_cast<uint8_t>(new_word);
    ASSERT_EQ(checksum_update(before, old_word, new_word), checksum_of(ones_sum(data)));
  }
}

TEST(Checksum, PseudoHeaderEqualsItsBytes) {
  const uint8_t v4[] = {192, 168, 64, 2, 8, 8, 4, 4, 0, 17, 0x01, 0x23};
  EXPECT_EQ(pseudo_sum(Ipv4{0xc0a84002}, Ipv4{0x08080404}, 17, 0x123), ones_sum(v4));
  std::vector<uint8_t> v6(40);
  Ipv6 source = *parse_ipv6("fd00::2");
  Ipv6 destination = *parse_ipv6("2001:db8::1");
  std::ranges::copy(source.bytes, v6.begin());
  std::ranges::copy(destination.bytes, v6.begin() + 16);
  v6[33] = 1;  // length 0x010203
  v6[34] = 2;
  v6[35] = 3;
  v6[39] = 58;
  EXPECT_EQ(pseudo_sum(source, destination, 58, 0x10203), ones_sum(v6));
}

}  // namespace
}  // namespace vmnet
