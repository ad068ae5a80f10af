// VmSocket at a path (--socket): who becomes its client.
#include <array>
#include <cerrno>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "forward/vm_socket_test_support.h"

namespace vmnet {
namespace {

using namespace testing;

TEST_F(BoundVmSocketTest, DropsFramesWithoutAClient) {
  EXPECT_FALSE(socket_->client().attached);
  EXPECT_EQ(write({frame_of(60, 1), frame_of(60, 2)}).drops, 2U);
  socket_->send(frame_of(60, 1));
  EXPECT_EQ(replies_.counts().drops, 1U);
  EXPECT_EQ(read().size(), 0U);
}

TEST_F(BoundVmSocketTest, AGreetingPicksTheClientAndIsDropped) {
  Client client(path("vm"), path());
  ASSERT_TRUE(client.greet());
  EXPECT_EQ(read().size(), 0U);
  EXPECT_EQ(last_read_.drops, 0U);
  EXPECT_TRUE(socket_->client().attached);
  EXPECT_EQ(socket_->client().path, path("vm"));
  EXPECT_EQ(write({frame_of(60, 1)}).frames, 1U);
  EXPECT_EQ(receive_all(client.fd()), std::vector<Frame>{frame_of(60, 1)});
}

TEST_F(BoundVmSocketTest, OnlyTheFirstDatagramIsAGreeting) {
  Client client(path("vm"), path());
  ASSERT_TRUE(client.greet());
  ASSERT_TRUE(client.greet());
  EXPECT_EQ(read().size(), 0U);
  EXPECT_EQ(last_read_.drops, 1U);
}

TEST_F(BoundVmSocketTest, AFirstFrameAndThoseQueuedBehindItAreNotLost) {
  Client client(path("vm"), path());
  std::vector<Frame> frames = {frame_of(60, 1), frame_of(61, 2), frame_of(62, 3)};
  for (const Frame& frame : frames) ASSERT_TRUE(client.send(frame));
  EXPECT_EQ(read(), frames);
  ASSERT_TRUE(client.send(frame_of(63, 4)));
  EXPECT_EQ(read(), std::vector<Frame>{frame_of(63, 4)});
  ASSERT_TRUE(client.send(frame_of(64, 5)));
  EXPECT_EQ(read(), std::vector<Frame>{frame_of(64, 5)});
}

TEST_F(BoundVmSocketTest, AnEmptyOrOversizeFirstDatagramPicksTheClientToo) {
  Client client(path("vm"), path());
  ASSERT_TRUE(client.send(frame_of(kMaxFrame + 1, 1)));
  EXPECT_EQ(read().size(), 0U);
  EXPECT_EQ(last_read_.drops, 1U);
  EXPECT_TRUE(socket_->client().attached);
}

TEST_F(BoundVmSocketTest, OthersQueuedBeforeTheConnectAreNotTheClient) {
  Client client(path("vm"), path());
  Client other(path("other"), path());
  ASSERT_TRUE(client.send(frame_of(60, 1)));
  ASSERT_TRUE(other.send(frame_of(60, 2)));
  ASSERT_TRUE(client.send(frame_of(60, 3)));
  ASSERT_TRUE(other.send(frame_of(60, 4)));
  EXPECT_EQ(read(), (std::vector<Frame>{frame_of(60, 1), frame_of(60, 3)}));
  EXPECT_EQ(last_read_.drops, 2U);
  EXPECT_EQ(socket_->refused(), 2U);
  EXPECT_EQ(socket_->client().path, path("vm"));
}

TEST_F(BoundVmSocketTest, OthersQueuedBehindTheFirstBatchAreNotTheClientEither) {
  ReceiveBatch one_by_one(1, kMaxFrame);
  Client client(path("vm"), path());
  Client other(path("other"), path());
  ASSERT_TRUE(client.send(frame_of(60, 1)));
  ASSERT_TRUE(other.send(frame_of(60, 2)));
  ASSERT_TRUE(client.send(frame_of(60, 3)));
  std::vector<Frame> frames;
  for (int i = 0; i < 4; i++) {
    socket_->read(one_by_one);
    for (const Frame& frame : frames_in(one_by_one)) frames.push_back(frame);
  }
  EXPECT_EQ(frames, (std::vector<Frame>{frame_of(60, 1), frame_of(60, 3)}));
}

TEST_F(BoundVmSocketTest, WithoutANameNobodyIsTheClient) {
  UniqueFd nameless = make_datagram_socket();
  ASSERT_TRUE(connect_to_path(nameless.get(), path()));
  ASSERT_TRUE(send_to(nameless.get(), frame_of(60, 1)));
  EXPECT_EQ(read().size(), 0U);
  EXPECT_EQ(last_read_.drops, 1U);
  EXPECT_FALSE(socket_->client().attached);
}

TEST_F(BoundVmSocketTest, ANameThatFillsItsAddressWillDo) {
  constexpr size_t kSize = sizeof(sockaddr_un::sun_path);
  std::string name = path("v") + std::string(kSize, 'm');
  name.resize(kSize);  // no room for a NUL
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path, kSize);
  UniqueFd fd = make_datagram_socket();
  ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_TRUE(connect_to_path(fd.get(), path()));
  ASSERT_TRUE(send_to(fd.get(), frame_of(60, 1)));
  ASSERT_TRUE(send_to(fd.get(), frame_of(60, 2)));
  EXPECT_EQ(read().size(), 2U);
  EXPECT_EQ(socket_->client().path, name);
  EXPECT_EQ(write({frame_of(60, 3)}).frames, 1U);
  EXPECT_EQ(receive_all(fd.get()).size(), 1U);
}

TEST_F(BoundVmSocketTest, ASenderThatHasGoneIsPassedOver) {
  {
    Client dead(path("dead"), path());
    ASSERT_TRUE(dead.send(frame_of(60, 1)));
  }
  Client client(path("vm"), path());
  ASSERT_TRUE(client.send(frame_of(60, 2)));
  EXPECT_EQ(read(), std::vector<Frame>{frame_of(60, 2)});
  EXPECT_EQ(socket_->client().path, path("vm"));
}

TEST_F(BoundVmSocketTest, ManyStrangersDoNotHideTheClient) {
  UniqueFd nameless = make_datagram_socket();
  ASSERT_TRUE(connect_to_path(nameless.get(), path()));
  while (send_to(nameless.get(), frame_of(60, 1))) {
  }
  EXPECT_EQ(read().size(), 0U);
  Client client(path("vm"), path());
  ASSERT_TRUE(client.send(frame_of(60, 2)));
  EXPECT_EQ(read(), std::vector<Frame>{frame_of(60, 2)});
}

TEST_F(BoundVmSocketTest, ALateDescriptorDoesNotLeakWhileThereIsNoClient) {
  UniqueFd nameless = make_datagram_socket();
  ASSERT_TRUE(connect_to_path(nameless.get(), path()));
  size_t before = count_of_open_descriptors();
  std::array<int, 4> passed{};
  passed.fill(nameless.get());
  Frame frame = frame_of(60, 1);
  iovec part{.iov_base = frame.data(), .iov_len = frame.size()};
  alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(sizeof(passed))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(passed));
  std::copy_n(reinterpret_cast<const uint8_t*>(passed.data()), sizeof(passed), CMSG_DATA(header));
  for (int i = 0; i < 5; i++) ASSERT_EQ(::sendmsg(nameless.get(), &message, MSG_DONTWAIT), 60);
  EXPECT_EQ(read().size(), 0U);
  EXPECT_EQ(last_read_.drops, 5U);
  EXPECT_EQ(count_of_open_descriptors(), before);
}

}  // namespace
}  // namespace vmnet
