#include "helper/process.h"

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

namespace vmnet {
namespace {

TEST(SanitiseProcessDeathTest, WithoutMemoryItSaysSoAndExits) {
  volatile size_t too_much = SIZE_MAX / 4;
  EXPECT_EXIT(
      {
        (void)sanitise_process();
        EXPECT_EQ(std::string(too_much, 'x').size(), 0U);
      },
      testing::ExitedWithCode(1), "^ERROR \\[helper\\] out of memory\n$");
}

}  // namespace
}  // namespace vmnet
