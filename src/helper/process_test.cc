#include "helper/process.h"

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

namespace vmnet {
namespace {

TEST(SanitiseProcessDeathTest, WithoutMemoryItSaysSoAndExits) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's allocator ends the process itself";
#endif
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
