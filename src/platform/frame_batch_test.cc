#include "platform/frame_batch.h"

#include <gtest/gtest.h>

#include "platform/frame_batch_test_support.h"

namespace vmnet {
namespace {

using namespace testing;

TEST(ReceiveBatch, SlotsHaveHeadroomAndDoNotOverlap) {
  ReceiveBatch batch(3, 1514);
  for (size_t i = 0; i < 3; i++) {
    std::span<uint8_t> slot = batch.slot(i);
    ASSERT_EQ(slot.size(), 1514U);
    std::fill(slot.data() - ReceiveBatch::kHeadroom, slot.data() + slot.size(),
              static_cast<uint8_t>(i));
  }
  for (size_t i = 0; i < 3; i++) {
    EXPECT_EQ(*(batch.slot(i).data() - ReceiveBatch::kHeadroom), i);
    EXPECT_EQ(batch.slot(i).back(), i);
  }
}

TEST(ReceiveBatch, PutClosesGaps) {
  ReceiveBatch batch(3, 100);
  for (size_t i = 0; i < 3; i++) {
    std::ranges::fill(batch.slot(i), static_cast<uint8_t>(i));
  }
  batch.put(0, 0, 50);
  batch.put(1, 2, 100);
  batch.set_count(2);
  EXPECT_EQ(frames_in(batch), (std::vector<Frame>{frame_of(50, 0), frame_of(100, 2)}));
}

TEST(SendBatch, KeepsFramesOfSeveralParts) {
  SendBatch batch(2, 3);
  Frame head = frame_of(14, 1);
  Frame body = frame_of(100, 2);
  EXPECT_TRUE(batch.has_room(2, 3));
  EXPECT_FALSE(batch.has_room(3, 3));
  EXPECT_FALSE(batch.has_room(2, 4));
  batch.begin_frame();
  batch.add_part(head);
  batch.add_part(body);
  batch.begin_frame();
  batch.add_part(body);
  EXPECT_FALSE(batch.has_room(1, 0));
  EXPECT_EQ(batch.count(), 2U);
  EXPECT_EQ(batch.size_of(0), 114U);
  EXPECT_EQ(batch.parts_of(0).size(), 2U);
  EXPECT_EQ(batch.parts_of(1).front().iov_base, body.data());
  batch.clear();
  EXPECT_EQ(batch.count(), 0U);
  EXPECT_TRUE(batch.has_room(2, 3));
}

}  // namespace
}  // namespace vmnet
