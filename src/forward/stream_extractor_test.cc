#include "forward/stream_extractor.h"

#include <algorithm>
#include <array>
#include <vector>

#include <gtest/gtest.h>

#include "platform/frame_batch_test_support.h"
#include "wire/bytes.h"

namespace vmnet {
namespace {

using testing::Frame;

constexpr size_t kMaxFrame = 1522;

Frame stream_of(const std::vector<Frame>& frames) {
  Frame stream;
  for (const Frame& frame : frames) {
    std::array<uint8_t, kLengthSize> length{};
    store_be32(length.data(), static_cast<uint32_t>(frame.size()));
    stream.insert(stream.end(), length.begin(), length.end());
    stream.insert(stream.end(), frame.begin(), frame.end());
  }
  return stream;
}

Frame frame_of(size_t size) {
  Frame frame(size);
  for (size_t i = 0; i < size; i++) frame[i] = static_cast<uint8_t>(size + i * 7);
  return frame;
}

// What comes out where `stream` comes in reads of `step` bytes.
std::vector<Frame> extract(StreamExtractor& extractor, const Frame& stream, size_t step) {
  std::vector<Frame> frames;
  for (size_t at = 0; at < stream.size(); at += step) {
    size_t size = std::min(step, stream.size() - at);
    auto room = extractor.room();
    if (extractor.bad_length()) break;
    EXPECT_EQ(room.size(), StreamExtractor::kReadSize);
    std::copy_n(stream.data() + at, size, room.data());
    extractor.received(size);
    while (true) {
      auto frame = extractor.next();
      if (frame.empty()) break;
      frames.emplace_back(frame.begin(), frame.end());
    }
  }
  return frames;
}

TEST(StreamExtractor, ReadsEndAnywhere) {
  std::vector<Frame> frames;
  for (size_t size : {14UL, 60UL, kMaxFrame, 15UL, 1514UL, 300UL, 14UL}) {
    frames.push_back(frame_of(size));
  }
  Frame stream = stream_of(frames);
  for (size_t step = 1; step <= stream.size(); step++) {
    StreamExtractor extractor(kMaxFrame);
    EXPECT_EQ(extract(extractor, stream, step), frames) << step;
    EXPECT_FALSE(extractor.inside_frame());
    EXPECT_EQ(extractor.take_drops(), 0U);
  }
}

TEST(StreamExtractor, TheLengthIsBigEndian) {
  StreamExtractor extractor(kMaxFrame);
  Frame stream = {0, 0, 0, 14};
  stream.resize(18, 0xab);
  EXPECT_EQ(extract(extractor, stream, stream.size()), std::vector<Frame>{Frame(14, 0xab)});
}

TEST(StreamExtractor, SkipsWhatIsNoFrame) {
  StreamExtractor extractor(kMaxFrame);
  Frame stream = stream_of({{}, Frame(1), frame_of(60), Frame(13), {}, frame_of(14)});
  EXPECT_EQ(extract(extractor, stream, 5), (std::vector<Frame>{frame_of(60), frame_of(14)}));
  EXPECT_EQ(extractor.take_drops(), 2U);
  EXPECT_EQ(extractor.take_drops(), 0U);
}

TEST(StreamExtractor, StopsAtALengthAboveTheMaximum) {
  StreamExtractor extractor(kMaxFrame);
  Frame stream = stream_of({frame_of(60), frame_of(kMaxFrame + 1), frame_of(60)});
  EXPECT_EQ(extract(extractor, stream, 50), std::vector<Frame>{frame_of(60)});
  EXPECT_EQ(extractor.bad_length(), kMaxFrame + 1);
  extractor.reset();
  EXPECT_FALSE(extractor.bad_length());
  EXPECT_EQ(extract(extractor, stream_of({frame_of(77)}), 9), std::vector<Frame>{frame_of(77)});
}

TEST(StreamExtractor, ResetForgetsTheRest) {
  StreamExtractor extractor(kMaxFrame);
  EXPECT_TRUE(extract(extractor, {0, 0, 0, 60, 1, 2, 3}, 7).empty());
  EXPECT_TRUE(extractor.inside_frame());
  extractor.reset();
  EXPECT_FALSE(extractor.inside_frame());
  EXPECT_EQ(extract(extractor, stream_of({frame_of(20)}), 24), std::vector<Frame>{frame_of(20)});
}

TEST(StreamExtractor, OneReadCompletesNoMoreThanItSays) {
  StreamExtractor extractor(kMaxFrame);
  Frame small = frame_of(14);
  Frame first = stream_of({frame_of(14)});
  EXPECT_TRUE(extract(extractor, {first.begin(), first.begin() + 17}, 17).empty());
  Frame rest = {first.back()};
  Frame more = stream_of(std::vector<Frame>(StreamExtractor::kMaxFrames, small));
  rest.insert(rest.end(), more.begin(), more.end());
  rest.resize(StreamExtractor::kReadSize);
  EXPECT_LE(extract(extractor, rest, rest.size()).size(), StreamExtractor::kMaxFrames);
}

}  // namespace
}  // namespace vmnet
