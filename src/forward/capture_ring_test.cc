#include "forward/capture_ring.h"

#include <algorithm>
#include <cstring>
#include <thread>

#include <gtest/gtest.h>

namespace vmnet {
namespace {

bool put(CaptureRing& ring, size_t size, uint8_t value) {
  auto place = ring.reserve(size);
  if (place.empty()) return false;
  EXPECT_EQ(place.size(), size);
  std::ranges::fill(place, value);
  ring.publish();
  return true;
}

TEST(CaptureRing, HasNothingAtFirst) {
  CaptureRing ring(64);
  EXPECT_TRUE(ring.oldest().empty());
}

TEST(CaptureRing, ShowsWhatWasPublishedAndNothingElse) {
  CaptureRing ring(64);
  auto place = ring.reserve(16);
  ASSERT_EQ(place.size(), 16U);
  EXPECT_TRUE(ring.oldest().empty());
  ring.publish();
  EXPECT_EQ(ring.oldest().size(), 16U);
  EXPECT_EQ(ring.oldest().data(), place.data());
}

TEST(CaptureRing, TakesNothingWhereThereIsNoRoom) {
  CaptureRing ring(64);
  EXPECT_FALSE(put(ring, 68, 0));
  EXPECT_TRUE(put(ring, 64, 1));
  EXPECT_FALSE(put(ring, 4, 2));
  ring.release(64);
  EXPECT_TRUE(put(ring, 4, 3));
  ASSERT_EQ(ring.oldest().size(), 4U);
  EXPECT_EQ(ring.oldest()[0], 3);
}

TEST(CaptureRing, ABlockThatDoesNotFitIntoTheRestBeginsANewLap) {
  CaptureRing ring(64);
  ASSERT_TRUE(put(ring, 40, 1));
  ring.release(24);
  ASSERT_TRUE(put(ring, 12, 2));
  EXPECT_FALSE(put(ring, 28, 3)) << "12 bytes are left here, and 24 of the next lap";
  ASSERT_TRUE(put(ring, 24, 4));
  ASSERT_EQ(ring.oldest().size(), 28U);  // to the end of the lap
  ring.release(28);
  ASSERT_EQ(ring.oldest().size(), 24U);
  EXPECT_EQ(ring.oldest()[0], 4);
  ring.release(24);
  EXPECT_TRUE(ring.oldest().empty());
}

TEST(CaptureRing, ALapMayEndExactlyWithABlock) {
  CaptureRing ring(64);
  for (uint8_t i = 0; i < 20; i++) {
    ASSERT_TRUE(put(ring, 32, i));
    ASSERT_EQ(ring.oldest().size(), 32U);
    EXPECT_EQ(ring.oldest()[0], i);
    ring.release(32);
  }
}

// Blocks that begin with their size and their number, of sizes that meet a lap's end everywhere.
TEST(CaptureRing, AnotherThreadSeesEveryBlockInOrder) {
  constexpr uint32_t kBlocks = 200'000;
  CaptureRing ring(1024);
  std::thread writer([&ring] {
    uint32_t number = 0;
    while (number < kBlocks) {
      size_t size = 8 + (number * 7 % 61) / 4 * 4;
      auto place = ring.reserve(size);
      if (place.empty()) {
        ring.publish();
        std::this_thread::yield();
        continue;
      }
      auto size32 = static_cast<uint32_t>(size);
      std::memcpy(place.data(), &size32, 4);
      std::memcpy(place.data() + 4, &number, 4);
      if (++number % 3 == 0) ring.publish();
    }
    ring.publish();
  });
  uint32_t next = 0;
  bool in_order = true;
  while (next < kBlocks) {
    auto blocks = ring.oldest();
    if (blocks.empty()) std::this_thread::yield();
    size_t taken = 0;
    while (taken < blocks.size()) {
      uint32_t size = 0;
      uint32_t number = 0;
      std::memcpy(&size, &blocks[taken], 4);
      std::memcpy(&number, &blocks[taken + 4], 4);
      in_order = in_order && number == next && taken + size <= blocks.size();
      next = number + 1;
      taken += size;
      if (!in_order) break;
    }
    if (!in_order) break;
    ring.release(taken);
  }
  EXPECT_TRUE(in_order) << "at block " << next;
  if (!in_order) std::abort();  // the writer would wait for ever
  writer.join();
}

}  // namespace
}  // namespace vmnet
