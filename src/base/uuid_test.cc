#include "base/uuid.h"

#include <gtest/gtest.h>

namespace vmnet {
namespace {

TEST(Uuid, EitherCaseInUpperCaseOut) {
  auto uuid = parse_uuid("2f8d5b1c-95a0-4a52-a1f2-0123456789ab");
  ASSERT_TRUE(uuid);
  EXPECT_EQ(uuid->bytes[0], 0x2f);
  EXPECT_EQ(uuid->bytes[15], 0xab);
  EXPECT_EQ(to_string(*uuid), "2F8D5B1C-95A0-4A52-A1F2-0123456789AB");
  EXPECT_EQ(parse_uuid("2F8D5B1C-95A0-4a52-A1F2-0123456789AB"), uuid);
}

TEST(Uuid, BadText) {
  for (std::string_view text :
       {"", "2f8d5b1c-95a0-4a52-a1f2-0123456789a", "2f8d5b1c-95a0-4a52-a1f2-0123456789abc",
        "2f8d5b1c95a04a52a1f20123456789ab", "{2f8d5b1c-95a0-4a52-a1f2-01234567}",
        "2f8d5b1c-95a0-4a52-a1f2-0123456789ag", "2f8d5b1c-95a0-4a52-a1f2-0123456789-1",
        "2f8d5b1c95a0--4a52-a1f2-0123456789ab", "2f8d5b1c-95a0-4a52-a1f2-0123456789\n0",
        "------------------------------------"}) {
    EXPECT_FALSE(parse_uuid(text)) << text;
  }
}

// RFC 9562, sections 4.1 and 4.2: the version is in the high half of byte 6, the variant in the two
// highest bits of byte 8.
TEST(Uuid, Version4) {
  std::array<uint8_t, 16> ones{};
  ones.fill(0xff);
  EXPECT_EQ(to_string(uuid_v4(ones)), "FFFFFFFF-FFFF-4FFF-BFFF-FFFFFFFFFFFF");
  EXPECT_EQ(to_string(uuid_v4({})), "00000000-0000-4000-8000-000000000000");
}

}  // namespace
}  // namespace vmnet
