#include "macos/system_version.h"

#include <gtest/gtest.h>

namespace vmnet {
namespace {

TEST(SystemVersion, ReadsMajorAndMinor) {
  EXPECT_EQ(parse_system_version("13.0"), (SystemVersion{13, 0}));
  EXPECT_EQ(parse_system_version("15.4"), (SystemVersion{15, 4}));
  EXPECT_EQ(parse_system_version("26.0.1"), (SystemVersion{26, 0}));
  EXPECT_EQ(parse_system_version("27"), (SystemVersion{27, 0}));
}

TEST(SystemVersion, TheNumberForOldProgramsIsMacos26) {
  EXPECT_EQ(parse_system_version("16.0"), (SystemVersion{26, 0}));
  EXPECT_EQ(parse_system_version("16.2"), (SystemVersion{26, 2}));
}

TEST(SystemVersion, RefusesWhatIsNone) {
  for (const char* text : {"", ".", "x", "26.", "26.x", "-1.0", "26 .0"}) {
    EXPECT_FALSE(parse_system_version(text)) << text;
  }
}

TEST(SystemVersion, RootIsNeededBeforeMacos26) {
  EXPECT_TRUE(needs_root({13, 0}));
  EXPECT_TRUE(needs_root({15, 9}));
  EXPECT_FALSE(needs_root({26, 0}));
  EXPECT_FALSE(needs_root({27, 1}));
}

}  // namespace
}  // namespace vmnet
