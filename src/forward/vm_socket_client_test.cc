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
  EXPECT_EQ(socket_->client().pid, ::getpid());
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

// The moment between the kernel's ECONNREFUSED to one thread and what we do about it: the socket is
// open to everybody, and the datagrams of that moment say nothing of who sent them.
TEST_F(BoundVmSocketTest, WhatCameWhenTheKernelHadDissolvedTheConnectionIsNotTheClients) {
  Client client(path("vm"), path());
  ASSERT_TRUE(client.send(frame_of(60, 1)));
  EXPECT_EQ(read().size(), 1U);
  EXPECT_EQ(read().size(), 0U);  // nothing else queued: credentials are off from here on
  client.close();
  ASSERT_FALSE(send_to(socket_->ready_fd(), frame_of(60, 2)));
  ASSERT_EQ(errno, ECONNREFUSED);
  Client stranger(path("stranger"), path());
  ASSERT_TRUE(stranger.send(frame_of(60, 3)));
  EXPECT_EQ(read().size(), 0U);
  EXPECT_EQ(last_read_.drops, 1U);
  EXPECT_FALSE(socket_->client().attached);
  ASSERT_TRUE(stranger.send(frame_of(60, 4)));  // now it is known who that is
  EXPECT_EQ(read(), std::vector<Frame>{frame_of(60, 4)});
}

// Where the user is the one that the kernel shows for "unknown".
TEST_F(BoundVmSocketTest, ASenderThatTheKernelDidNotTellOfIsNobody) {
  constexpr uid_t kOverflowUid = 65534;
  auto made = VmSocket::bound(bind_datagram(path("own")), kOverflowUid, kBatch, replies_);
  ASSERT_TRUE(made);
  socket_ = std::move(*made);
  ASSERT_TRUE(identify_senders(socket_->ready_fd(), false));
  Client client(path("vm"), path("own"));
  ASSERT_TRUE(client.send(frame_of(60, 1)));
  ASSERT_TRUE(identify_senders(socket_->ready_fd(), true));
  EXPECT_EQ(read().size(), 0U);
  EXPECT_EQ(socket_->refused(), 1U);
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

TEST_F(BoundVmSocketTest, WhileAClientLivesTheKernelTurnsOthersAway) {
  Client early(path("early"), path());
  Client client(path("vm"), path());
  ASSERT_TRUE(client.greet());
  read();
  EXPECT_FALSE(early.send(frame_of(60, 1)));
  EXPECT_EQ(errno, EPERM);
  EXPECT_FALSE(Client(path("late"), path()).connected());
  EXPECT_TRUE(client.send(frame_of(60, 1)));
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

TEST_F(BoundVmSocketTest, AnAbstractNameWillDo) {
  UniqueFd fd = make_datagram_socket();
  sockaddr_un automatic{};
  automatic.sun_family = AF_UNIX;
  ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&automatic), sizeof(sa_family_t)), 0);
  ASSERT_TRUE(connect_to_path(fd.get(), path()));
  ASSERT_TRUE(send_to(fd.get(), frame_of(60, 1)));
  EXPECT_EQ(read().size(), 1U);
  EXPECT_EQ(write({frame_of(60, 2)}).frames, 1U);
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

// A client in a process of its own, of another user, that lives until it is destroyed.
class OtherUsersClient {
 public:
  OtherUsersClient(uid_t uid, const std::string& own, const std::string& helper) {
    std::array<int, 2> ready{};
    std::array<int, 2> hold{};
    EXPECT_EQ(::pipe(ready.data()), 0);
    EXPECT_EQ(::pipe(hold.data()), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(hold[1]);
      char byte = 0;
      if (::setresuid(uid, uid, uid) != 0) _exit(1);
      Client client(own, helper);
      byte = client.connected() && client.send(frame_of(60, 1)) ? 'y' : 'n';
      if (::write(ready[1], &byte, 1) == 1) [[maybe_unused]]
        auto held = ::read(hold[0], &byte, 1);
      _exit(0);
    }
    ::close(ready[1]);
    ::close(hold[0]);
    hold_ = UniqueFd(hold[1]);
    char byte = 0;
    sent_ = ::read(ready[0], &byte, 1) == 1 && byte == 'y';
    ::close(ready[0]);
  }
  OtherUsersClient(const OtherUsersClient&) = delete;
  OtherUsersClient& operator=(const OtherUsersClient&) = delete;
  ~OtherUsersClient() {
    hold_.reset();
    ::waitpid(pid_, nullptr, 0);
  }
  bool sent() const { return sent_; }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
  UniqueFd hold_;
  bool sent_ = false;
};

class SharedVmSocketTest : public BoundVmSocketTest {
 protected:
  // A socket for user 1000 that anyone can send to, so that the sender's uid alone decides.
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to become other users";
    auto socket = VmSocket::bound(bind_datagram(path("served")), 1000, kBatch, replies_);
    ASSERT_TRUE(socket);
    socket_ = std::move(*socket);
    ASSERT_EQ(::chmod(path("served").c_str(), 0777), 0);
    ASSERT_EQ(::chmod(folder_.path().c_str(), 0777), 0);
  }

  // One frame of a client of `uid`, read while the client lives.
  size_t frames_from(uid_t uid) {
    OtherUsersClient client(uid, path("vm" + std::to_string(clients_++)), path("served"));
    EXPECT_TRUE(client.sent());
    size_t frames = read().size();
    EXPECT_EQ(socket_->client().attached, frames > 0);
    EXPECT_TRUE(frames == 0 || socket_->client().pid == client.pid());
    EXPECT_EQ(read().size(), 0U);  // drained: plain reads from now on
    return frames;
  }

 private:
  int clients_ = 0;
};

TEST_F(SharedVmSocketTest, OnlyThePermittedUserAndRootAreServed) {
  EXPECT_EQ(frames_from(1001), 0U);
  EXPECT_EQ(socket_->refused(), 1U);
  EXPECT_EQ(frames_from(1000), 1U);
  socket_->client_gone(socket_->client().epoch);
  EXPECT_EQ(frames_from(0), 1U);
}

TEST_F(SharedVmSocketTest, TheUidCountsForTheNextClientToo) {
  EXPECT_EQ(frames_from(1000), 1U);
  socket_->client_gone(socket_->client().epoch);
  EXPECT_EQ(frames_from(1001), 0U);
  EXPECT_EQ(frames_from(1000), 1U);
  write({frame_of(60, 1)});  // this time a refused send shows the end
  EXPECT_EQ(frames_from(1001), 0U);
  EXPECT_EQ(frames_from(1000), 1U);
}

}  // namespace
}  // namespace vmnet
