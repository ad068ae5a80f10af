#include "base/parse.h"

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

namespace vmnet {
namespace {

TEST(ParseUnsigned, WholeNumbersOfTheType) {
  EXPECT_EQ(parse_unsigned<uint8_t>("0"), 0);
  EXPECT_EQ(parse_unsigned<uint8_t>("255"), 255);
  EXPECT_EQ(parse_unsigned<uint16_t>("65535"), 65535);
  EXPECT_EQ(parse_unsigned<uint64_t>("18446744073709551615"), UINT64_MAX);
}

TEST(ParseUnsigned, NothingElse) {
  for (std::string_view text : {"", " ", "256", "-1", "+1", " 1", "1 ", "1\n", "01", "00", "0x1",
                                "1.0", "1e1", "a", "ff", "99999999999999999999"}) {
    EXPECT_FALSE(parse_unsigned<uint8_t>(text)) << text;
  }
  EXPECT_FALSE(parse_unsigned<uint8_t>(std::string_view("1\0", 2)));
  EXPECT_FALSE(parse_unsigned<uint64_t>("18446744073709551616"));
  EXPECT_FALSE(parse_unsigned<uint32_t>(std::string(100000, '1')));
}

}  // namespace
}  // namespace vmnet
