#include <algorithm>
#include <cerrno>
#include <thread>

#include <gtest/gtest.h>
#include <seccomp.h>
#include <sys/socket.h>

#include "forward/to_host.h"
#include "linux/device/tap.h"
#include "wire/test_frames.h"

namespace vmnet {
namespace {

using test::Buffer;
using test::TcpFrame;

// Makes a merged frame of `count` segments, and a frame that is alone, ready to send.
struct Batch {
  explicit Batch(size_t count) {
    for (size_t i = 0; i < count; i++) {
      TcpFrame frame{.id = static_cast<uint16_t>(i), .payload = Buffer(500, 7)};
      frame.tcp.sequence = static_cast<uint32_t>(i * 500);
      frames.push_back(frame.frame());
    }
    frames.emplace_back(60, 0xee);
    for (size_t i = 0; i < frames.size(); i++) {
      std::ranges::copy(frames[i], in.slot(i).begin());
      in.set_size(i, frames[i].size());
    }
    in.set_count(frames.size());
    uint64_t drops = 0;
    transform.process(in, 0, out, drops);
  }

  std::vector<Buffer> frames;
  ReceiveBatch in{32, 1514};
  SendBatch out{32, 64};
  ToHost transform{{}, 32, nullptr, nullptr};
};

// From here on the kernel refuses this thread's writes of more than two parts.
void refuse_merged_frames() {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  const scmp_arg_cmp more_than_two{.arg = 2, .op = SCMP_CMP_GT, .datum_a = 2, .datum_b = 0};
  ASSERT_EQ(
      seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(writev), 1, &more_than_two),
      0);
  ASSERT_EQ(seccomp_load(filter), 0);
  seccomp_release(filter);
}

std::vector<Buffer> received(int fd) {
  std::vector<Buffer> frames;
  Buffer frame(65'600);
  ssize_t size = 0;
  while ((size = recv(fd, frame.data(), frame.size(), MSG_DONTWAIT)) >= 0) {
    frames.emplace_back(frame.begin(), frame.begin() + size);
  }
  return frames;
}

// hardening.md, row 20. Stand-in for the TAP: a socket, which keeps writes apart as well.
TEST(TapEndpoint, AMergedFrameThatIsRefusedGoesOutInSegments) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
  UniqueFd other(ends[1]);
  TapEndpoint tap{UniqueFd(ends[0])};
  Batch batch(5);
  ASSERT_EQ(batch.out.count(), 2U);

  std::thread([&] {
    refuse_merged_frames();
    Transfer transfer = tap.write(batch.out);
    EXPECT_EQ(transfer.drops, 0U);
    EXPECT_EQ(transfer.frames, 6U);
    EXPECT_FALSE(transfer.gone);
  }).join();

  std::vector<Buffer> expected;
  for (const Buffer& frame : batch.frames) {
    test::append(expected.emplace_back(VirtioHeader::kSize), frame);
  }
  EXPECT_EQ(received(other.get()), expected);
}

}  // namespace
}  // namespace vmnet
