#include "forward/unmerge.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "forward/to_host.h"
#include "wire/test_frames.h"

namespace vmnet {
namespace {

using test::Buffer;
using test::TcpFrame;

std::vector<Buffer> flow(size_t count, bool ipv6) {
  std::vector<Buffer> frames;
  for (size_t i = 0; i < count; i++) {
    TcpFrame frame{.ipv6 = ipv6,
                   .id = static_cast<uint16_t>(i),
                   .payload = Buffer(1001, static_cast<uint8_t>(i))};
    frame.tcp.sequence = static_cast<uint32_t>(i * frame.payload.size());
    frames.push_back(frame.frame());
  }
  return frames;
}

TEST(Unmerge, GivesTheFramesThatWereMerged) {
  for (bool ipv6 : {false, true}) {
    auto frames = flow(20, ipv6);
    ReceiveBatch in(32, 1514);
    SendBatch out(32, 64);
    for (size_t i = 0; i < frames.size(); i++) {
      std::ranges::copy(frames[i], in.slot(i).begin());
      in.set_size(i, frames[i].size());
    }
    in.set_count(frames.size());
    ToHost to_host({}, 32, nullptr, nullptr);
    uint64_t drops = 0;
    to_host.process(in, 0, out, drops);
    ASSERT_EQ(out.count(), 1U);

    Unmerger unmerger;
    ASSERT_TRUE(unmerger.load(out.parts_of(0)));
    ASSERT_EQ(unmerger.count(), frames.size());
    for (size_t i = 0; i < frames.size(); i++) {
      Buffer segment;
      for (const iovec& part : unmerger.segment(i)) {
        test::append(segment, Bytes(static_cast<const uint8_t*>(part.iov_base), part.iov_len));
      }
      Buffer expected(VirtioHeader::kSize);
      test::append(expected, frames[i]);
      EXPECT_EQ(segment, expected);
    }
  }
}

TEST(Unmerge, LeavesWhatWasNotMerged) {
  Unmerger unmerger;
  Buffer plain(VirtioHeader::kSize + 60);
  Buffer tiny(3);
  Buffer huge(70'000);
  huge[1] = VirtioHeader::kGsoTcpv4;
  for (Buffer* frame : {&plain, &tiny, &huge}) {
    iovec part{.iov_base = frame->data(), .iov_len = frame->size()};
    EXPECT_FALSE(unmerger.load({&part, 1}));
  }
  EXPECT_FALSE(unmerger.load({}));
}

}  // namespace
}  // namespace vmnet
