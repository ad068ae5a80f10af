#include "base/thread.h"

#include <atomic>

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/resource.h>

namespace vmnet {
namespace {

TEST(Thread, RunsAndIsJoinedOnce) {
  std::atomic<int> runs = 0;
  auto thread = Thread::start([&runs] { runs++; });
  ASSERT_TRUE(thread);
  thread->join();
  EXPECT_EQ(runs, 1);
  thread->join();
}

TEST(Thread, MovesAndNoneIsJoinedAtOnce) {
  Thread none;
  none.join();
  std::atomic<bool> ran = false;
  auto started = Thread::start([&ran] { ran = true; });
  ASSERT_TRUE(started);
  none = std::move(*started);
  started->join();
  none.join();
  EXPECT_TRUE(ran);
}

// More than the least that a thread may have, which a small limit of the stack would give it.
TEST(Thread, HasRoomOnItsStack) {
  std::atomic<int> sum = 0;
  auto thread = Thread::start([&sum] {
    volatile char room[512 << 10];
    for (size_t i = 0; i < sizeof(room); i += 4096) room[i] = 1;
    for (size_t i = 0; i < sizeof(room); i += 4096) sum += room[i];
  });
  ASSERT_TRUE(thread);
  thread->join();
  EXPECT_EQ(sum, 128);
}

}  // namespace
}  // namespace vmnet
