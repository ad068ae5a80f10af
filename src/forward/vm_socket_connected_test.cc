// VmSocket as one end of a socketpair (--fd).
#include <atomic>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>

#include "forward/vm_socket_test_support.h"

namespace vmnet {
namespace {

using namespace testing;
using Clock = std::chrono::steady_clock;

INSTANTIATE_TEST_SUITE_P(Types, ConnectedVmSocketTest, ::testing::ValuesIn(packet_socket_types()),
                         [](const auto& type) {
                           return type.param == SOCK_DGRAM ? "Datagram" : "Seqpacket";
                         });

TEST_P(ConnectedVmSocketTest, ReadsABatchInOneCall) {
  std::vector<Frame> frames;
  frames.reserve(100);
  for (uint8_t i = 0; i < 20; i++) frames.push_back(frame_of(60U + i, i));
  for (const Frame& frame : frames) ASSERT_TRUE(send_to(vm(), frame));
  EXPECT_EQ(read(), frames);
  EXPECT_EQ(last_read_.frames, 20U);
  EXPECT_EQ(last_read_.batched_calls, 1U);
  EXPECT_EQ(read(), std::vector<Frame>{});
  EXPECT_EQ(last_read_.batched_calls, 0U);
  EXPECT_FALSE(last_read_.gone);
}

TEST_P(ConnectedVmSocketTest, DropsWhatIsNoFrameAndKeepsTheRestInOrder) {
  std::vector<Frame> sent = {frame_of(0, 0),     frame_of(60, 1),   frame_of(13, 2),
                             frame_of(1514, 3),  frame_of(1515, 4), frame_of(14, 5),
                             frame_of(65000, 6), frame_of(0, 7),    frame_of(100, 8)};
  for (const Frame& frame : sent) ASSERT_TRUE(send_to(vm(), frame)) << frame.size();
  EXPECT_EQ(read(), (std::vector<Frame>{sent[1], sent[3], sent[5], sent[8]}));
  EXPECT_EQ(last_read_.drops, 5U);
  EXPECT_EQ(last_read_.bytes, 60U + 1514 + 14 + 100);
  EXPECT_FALSE(last_read_.gone);
}

TEST_P(ConnectedVmSocketTest, AnEmptyDatagramIsNotTheEnd) {
  ASSERT_TRUE(send_to(vm(), {}));
  EXPECT_EQ(read(), std::vector<Frame>{});
  EXPECT_EQ(last_read_.drops, 1U);
  EXPECT_FALSE(last_read_.gone);
  ASSERT_TRUE(send_to(vm(), frame_of(60, 1)));
  EXPECT_EQ(read().size(), 1U);
}

TEST_P(ConnectedVmSocketTest, WritesScatteredFrames) {
  std::vector<Frame> frames;
  frames.reserve(100);
  for (uint8_t i = 0; i < 100; i++) frames.push_back(frame_of(60U + i, i));
  Transfer written = write(frames);
  EXPECT_EQ(written.frames, 100U);
  EXPECT_EQ(written.drops, 0U);
  EXPECT_FALSE(written.gone);
  EXPECT_EQ(receive_all(vm()), frames);
}

TEST_P(ConnectedVmSocketTest, NeverSendsAnEmptyDatagram) {
  Transfer written = write({frame_of(0, 0), frame_of(60, 1), frame_of(0, 0), frame_of(0, 0),
                            frame_of(60, 2), frame_of(0, 0)});
  socket_->send({});
  EXPECT_EQ(written.frames, 2U);
  EXPECT_EQ(written.drops, 4U);
  EXPECT_EQ(replies_.counts().drops, 1U);
  EXPECT_EQ(receive_all(vm()), (std::vector<Frame>{frame_of(60, 1), frame_of(60, 2)}));
}

TEST_P(ConnectedVmSocketTest, AFrameTooLargeForTheSocketIsDroppedAlone) {
  Frame large = frame_of(8U << 20, 0);
  Transfer written = write({frame_of(60, 1), large, frame_of(60, 2)});
  EXPECT_EQ(written.frames, 2U);
  EXPECT_EQ(written.drops, 1U);
  EXPECT_EQ(receive_all(vm()), (std::vector<Frame>{frame_of(60, 1), frame_of(60, 2)}));
}

TEST_P(ConnectedVmSocketTest, AClosedVmIsGone) {
  ASSERT_TRUE(send_to(vm(), frame_of(60, 1)));
  close_vm();
  bool gone = write({frame_of(60, 1)}).gone;
  for (int i = 0; i < 3 && !gone; i++) {
    read();
    gone = last_read_.gone;
  }
  EXPECT_TRUE(gone);
}

TEST_P(ConnectedVmSocketTest, KeepsTheFlagsOfTheSharedDescription) {
  int before = ::fcntl(socket_->ready_fd(), F_GETFL);
  read();
  write({frame_of(60, 1)});
  socket_->send(frame_of(60, 2));
  EXPECT_EQ(::fcntl(socket_->ready_fd(), F_GETFL), before);
  EXPECT_EQ(before & O_NONBLOCK, 0);
}

TEST_P(ConnectedVmSocketTest, DescriptorsSentAlongDoNotLeak) {
  size_t before = count_of_open_descriptors();
  for (int i = 0; i < 5; i++) {
    std::array<int, 20> passed{};
    passed.fill(vm());
    Frame frame = frame_of(60, 1);
    iovec part{.iov_base = frame.data(), .iov_len = frame.size()};
    alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(sizeof(passed))> control{};
    msghdr message{.msg_name = nullptr,
                   .msg_namelen = 0,
                   .msg_iov = &part,
                   .msg_iovlen = 1,
                   .msg_control = control.data(),
                   .msg_controllen = control.size(),
                   .msg_flags = 0};
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(passed));
    std::copy_n(reinterpret_cast<const uint8_t*>(passed.data()), sizeof(passed), CMSG_DATA(header));
    ASSERT_EQ(::sendmsg(vm(), &message, MSG_DONTWAIT), 60);
  }
  EXPECT_EQ(read().size(), 5U);
  EXPECT_EQ(count_of_open_descriptors(), before);
}

TEST_P(ConnectedVmSocketTest, AStalledVmCostsOneWaitAndNothingElse) {
  const std::vector<Frame> batch(512, frame_of(1514, 1));
  while (write(batch).drops == 0) {
  }  // full, and the one wait is over
  auto before = Clock::now();
  uint64_t drops = 0;
  for (int i = 0; i < 100; i++) drops += write(batch).drops;
  EXPECT_EQ(drops, 100U * batch.size());
  EXPECT_LT(Clock::now() - before, 50 * kMaxWriteWait);  // 100 waits would be twice that

  // The other direction, and replies, do not suffer.
  ASSERT_TRUE(send_to(vm(), frame_of(60, 1)));
  EXPECT_EQ(read().size(), 1U);
  socket_->send(frame_of(60, 1));
  EXPECT_EQ(replies_.counts().drops, 1U);

  // It reads again: the next write gets through at once.
  receive_all(vm());
  Transfer written = write({frame_of(60, 9)});
  EXPECT_EQ(written.frames, 1U);
  EXPECT_EQ(receive_all(vm()), std::vector<Frame>{frame_of(60, 9)});
}

TEST_P(ConnectedVmSocketTest, RepliesFromTheReadingThreadWhileTheOtherWrites) {
  std::atomic<bool> writing = true;
  std::atomic<size_t> written = 0;  // a system that waits for little room drops some
  std::thread writer([&] {
    for (int i = 0; i < 200; i++) written += write(std::vector<Frame>(8, frame_of(100, 1))).frames;
    writing = false;
  });
  std::atomic<size_t> received = 0;
  std::thread drain([&] {
    while (writing || received < written + 200 - replies_.counts().drops) {
      received += receive_all(vm()).size();
    }
  });
  for (int i = 0; i < 200; i++) socket_->send(frame_of(60, 2));
  writer.join();
  drain.join();
  EXPECT_EQ(replies_.counts().packets + replies_.counts().drops, 200U);
}

TEST_P(ConnectedVmSocketTest, IsAlwaysAttached) {
  EXPECT_TRUE(socket_->client().attached);
  socket_->client_gone(socket_->client().epoch);
  EXPECT_TRUE(socket_->client().attached);
}

}  // namespace
}  // namespace vmnet
