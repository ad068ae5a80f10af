#include "forward/vm_socket.h"

#include <atomic>
#include <thread>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "forward/vm_socket_test_support.h"

namespace vmnet {
namespace {

using namespace testing;
using Clock = std::chrono::steady_clock;

constexpr size_t kMaxFrame = 1514;
constexpr size_t kBatch = 64;

class VmSocketTest : public ::testing::Test {
 protected:
  std::vector<Frame> read() {
    last_read_ = socket_->read(in_);
    return frames_in(in_);
  }
  Transfer write(const std::vector<Frame>& frames) {
    fill(out_, frames);
    return socket_->write(out_);
  }

  DirectionStats replies_;
  ReceiveBatch in_{kBatch, kMaxFrame};
  SendBatch out_{4096, 8192};
  std::unique_ptr<VmSocket> socket_;
  Transfer last_read_;
};

// ---------------------------------------------------------------- one end of a socketpair

class ConnectedVmSocket : public VmSocketTest, public ::testing::WithParamInterface<int> {
 protected:
  ConnectedVmSocket() : pair_(GetParam()) {
    auto socket = VmSocket::connected(std::move(pair_.ours), kBatch, replies_);
    if (socket) socket_ = std::move(*socket);
  }
  int vm() const { return pair_.vm.get(); }
  void close_vm() { pair_.vm.reset(); }

  SocketPair pair_;
};

INSTANTIATE_TEST_SUITE_P(Types, ConnectedVmSocket, ::testing::Values(SOCK_DGRAM, SOCK_SEQPACKET),
                         [](const auto& type) {
                           return type.param == SOCK_DGRAM ? "Datagram" : "Seqpacket";
                         });

TEST_P(ConnectedVmSocket, ReadsABatchInOneCall) {
  std::vector<Frame> frames;
  for (uint8_t i = 0; i < 20; i++) frames.push_back(frame_of(60U + i, i));
  for (const Frame& frame : frames) ASSERT_TRUE(send_to(vm(), frame));
  EXPECT_EQ(read(), frames);
  EXPECT_EQ(last_read_.frames, 20U);
  EXPECT_EQ(last_read_.batched_calls, 1U);
  EXPECT_EQ(read(), std::vector<Frame>{});
  EXPECT_EQ(last_read_.batched_calls, 0U);
  EXPECT_FALSE(last_read_.gone);
}

TEST_P(ConnectedVmSocket, DropsWhatIsNoFrameAndKeepsTheRestInOrder) {
  std::vector<Frame> sent = {frame_of(0, 0),     frame_of(60, 1),   frame_of(13, 2),
                             frame_of(1514, 3),  frame_of(1515, 4), frame_of(14, 5),
                             frame_of(65000, 6), frame_of(0, 7),    frame_of(100, 8)};
  for (const Frame& frame : sent) ASSERT_TRUE(send_to(vm(), frame)) << frame.size();
  EXPECT_EQ(read(), (std::vector<Frame>{sent[1], sent[3], sent[5], sent[8]}));
  EXPECT_EQ(last_read_.drops, 5U);
  EXPECT_EQ(last_read_.bytes, 60U + 1514 + 14 + 100);
  EXPECT_FALSE(last_read_.gone);
}

TEST_P(ConnectedVmSocket, AnEmptyDatagramIsNotTheEnd) {
  ASSERT_TRUE(send_to(vm(), {}));
  EXPECT_EQ(read(), std::vector<Frame>{});
  EXPECT_EQ(last_read_.drops, 1U);
  EXPECT_FALSE(last_read_.gone);
  ASSERT_TRUE(send_to(vm(), frame_of(60, 1)));
  EXPECT_EQ(read().size(), 1U);
}

TEST_P(ConnectedVmSocket, WritesScatteredFrames) {
  std::vector<Frame> frames;
  for (uint8_t i = 0; i < 100; i++) frames.push_back(frame_of(60U + i, i));
  Transfer written = write(frames);
  EXPECT_EQ(written.frames, 100U);
  EXPECT_EQ(written.drops, 0U);
  EXPECT_FALSE(written.gone);
  EXPECT_EQ(receive_all(vm()), frames);
}

TEST_P(ConnectedVmSocket, NeverSendsAnEmptyDatagram) {
  Transfer written = write({frame_of(0, 0), frame_of(60, 1), frame_of(0, 0), frame_of(0, 0),
                            frame_of(60, 2), frame_of(0, 0)});
  socket_->send({});
  EXPECT_EQ(written.frames, 2U);
  EXPECT_EQ(written.drops, 4U);
  EXPECT_EQ(replies_.counts().drops, 1U);
  EXPECT_EQ(receive_all(vm()), (std::vector<Frame>{frame_of(60, 1), frame_of(60, 2)}));
}

TEST_P(ConnectedVmSocket, AFrameTooLargeForTheSocketIsDroppedAlone) {
  Frame large = frame_of(8U << 20, 0);
  Transfer written = write({frame_of(60, 1), large, frame_of(60, 2)});
  EXPECT_EQ(written.frames, 2U);
  EXPECT_EQ(written.drops, 1U);
  EXPECT_EQ(receive_all(vm()), (std::vector<Frame>{frame_of(60, 1), frame_of(60, 2)}));
}

TEST_P(ConnectedVmSocket, AClosedVmIsGone) {
  ASSERT_TRUE(send_to(vm(), frame_of(60, 1)));
  close_vm();
  bool gone = write({frame_of(60, 1)}).gone;
  for (int i = 0; i < 3 && !gone; i++) {
    read();
    gone = last_read_.gone;
  }
  EXPECT_TRUE(gone);
}

TEST_P(ConnectedVmSocket, KeepsTheFlagsOfTheSharedDescription) {
  int before = ::fcntl(socket_->ready_fd(), F_GETFL);
  read();
  write({frame_of(60, 1)});
  socket_->send(frame_of(60, 2));
  EXPECT_EQ(::fcntl(socket_->ready_fd(), F_GETFL), before);
  EXPECT_EQ(before & O_NONBLOCK, 0);
}

TEST_P(ConnectedVmSocket, DescriptorsSentAlongDoNotLeak) {
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

TEST_P(ConnectedVmSocket, AStalledVmCostsOneWaitAndNothingElse) {
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

TEST_P(ConnectedVmSocket, AVmThatReadsALittleLateLosesNothing) {
  // More than the queue holds. Several attempts, since this machine may be later than the wait.
  const std::vector<Frame> batch(100, frame_of(1514, 1));
  bool complete = false;
  for (int attempt = 0; attempt < 20 && !complete; attempt++) {
    std::atomic<size_t> received = 0;
    std::atomic<bool> written = false;
    std::thread reader([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      while (!written) received += receive_all(vm()).size();
      received += receive_all(vm()).size();
    });
    Transfer transfer = write(batch);
    written = true;
    reader.join();
    EXPECT_EQ(received, transfer.frames);
    EXPECT_EQ(transfer.frames + transfer.drops, batch.size());
    complete = transfer.drops == 0 && transfer.batched_calls > 1;
  }
  EXPECT_TRUE(complete);
}

TEST_P(ConnectedVmSocket, ServesAVmWithSmallBuffers) {
  for (int option : {SO_SNDBUF, SO_RCVBUF}) {
    int size = 64 << 10;
    ASSERT_EQ(::setsockopt(vm(), SOL_SOCKET, option, &size, sizeof(size)), 0);
  }
  raise_buffers(socket_->ready_fd());
  // Our own buffer is the queue: hundreds of frames, whatever the VM's is.
  EXPECT_EQ(write(std::vector<Frame>(150, frame_of(1514, 1))).drops, 0U);
  EXPECT_EQ(receive_all(vm()).size(), 150U);
}

TEST_P(ConnectedVmSocket, RepliesFromTheReadingThreadWhileTheOtherWrites) {
  std::atomic<bool> writing = true;
  std::thread writer([&] {
    for (int i = 0; i < 200; i++) write(std::vector<Frame>(8, frame_of(100, 1)));
    writing = false;
  });
  std::atomic<size_t> received = 0;
  std::thread drain([&] {
    while (writing || received < 1600 + 200 - replies_.counts().drops) {
      received += receive_all(vm()).size();
    }
  });
  for (int i = 0; i < 200; i++) socket_->send(frame_of(60, 2));
  writer.join();
  drain.join();
  EXPECT_EQ(replies_.counts().packets + replies_.counts().drops, 200U);
}

TEST_P(ConnectedVmSocket, IsAlwaysAttached) {
  EXPECT_TRUE(socket_->client().attached);
  socket_->client_gone(socket_->client().epoch);
  EXPECT_TRUE(socket_->client().attached);
}

// ---------------------------------------------------------------- a path

class BoundVmSocket : public VmSocketTest {
 protected:
  BoundVmSocket() {
    auto socket = VmSocket::bound(bind_datagram(path()), ::geteuid(), kBatch, replies_);
    if (socket) socket_ = std::move(*socket);
  }

  std::string path() const { return folder_ / "helper"; }
  std::string path(const std::string& name) const { return folder_ / name; }

  TemporaryFolder folder_;
};

TEST_F(BoundVmSocket, DropsFramesWithoutAClient) {
  EXPECT_FALSE(socket_->client().attached);
  EXPECT_EQ(write({frame_of(60, 1), frame_of(60, 2)}).drops, 2U);
  socket_->send(frame_of(60, 1));
  EXPECT_EQ(replies_.counts().drops, 1U);
  EXPECT_EQ(read().size(), 0U);
}

TEST_F(BoundVmSocket, AGreetingPicksTheClientAndIsDropped) {
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

TEST_F(BoundVmSocket, OnlyTheFirstDatagramIsAGreeting) {
  Client client(path("vm"), path());
  ASSERT_TRUE(client.greet());
  ASSERT_TRUE(client.greet());
  EXPECT_EQ(read().size(), 0U);
  EXPECT_EQ(last_read_.drops, 1U);
}

TEST_F(BoundVmSocket, AFirstFrameAndThoseQueuedBehindItAreNotLost) {
  Client client(path("vm"), path());
  std::vector<Frame> frames = {frame_of(60, 1), frame_of(61, 2), frame_of(62, 3)};
  for (const Frame& frame : frames) ASSERT_TRUE(client.send(frame));
  EXPECT_EQ(read(), frames);
  ASSERT_TRUE(client.send(frame_of(63, 4)));
  EXPECT_EQ(read(), std::vector<Frame>{frame_of(63, 4)});
  ASSERT_TRUE(client.send(frame_of(64, 5)));
  EXPECT_EQ(read(), std::vector<Frame>{frame_of(64, 5)});
}

TEST_F(BoundVmSocket, AnEmptyOrOversizeFirstDatagramPicksTheClientToo) {
  Client client(path("vm"), path());
  ASSERT_TRUE(client.send(frame_of(kMaxFrame + 1, 1)));
  EXPECT_EQ(read().size(), 0U);
  EXPECT_EQ(last_read_.drops, 1U);
  EXPECT_TRUE(socket_->client().attached);
}

TEST_F(BoundVmSocket, OthersQueuedBeforeTheConnectAreNotTheClient) {
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

TEST_F(BoundVmSocket, OthersQueuedBehindTheFirstBatchAreNotTheClientEither) {
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

TEST_F(BoundVmSocket, WhileAClientLivesTheKernelTurnsOthersAway) {
  Client early(path("early"), path());
  Client client(path("vm"), path());
  ASSERT_TRUE(client.greet());
  read();
  EXPECT_FALSE(early.send(frame_of(60, 1)));
  EXPECT_EQ(errno, EPERM);
  EXPECT_FALSE(Client(path("late"), path()).connected());
  EXPECT_TRUE(client.send(frame_of(60, 1)));
}

TEST_F(BoundVmSocket, WithoutANameNobodyIsTheClient) {
  UniqueFd nameless(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = address_of(path());
  ASSERT_EQ(::connect(nameless.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_TRUE(send_to(nameless.get(), frame_of(60, 1)));
  EXPECT_EQ(read().size(), 0U);
  EXPECT_EQ(last_read_.drops, 1U);
  EXPECT_FALSE(socket_->client().attached);
}

TEST_F(BoundVmSocket, AnAbstractNameWillDo) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un automatic{};
  automatic.sun_family = AF_UNIX;
  ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&automatic), sizeof(sa_family_t)), 0);
  sockaddr_un address = address_of(path());
  ASSERT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_TRUE(send_to(fd.get(), frame_of(60, 1)));
  EXPECT_EQ(read().size(), 1U);
  EXPECT_EQ(write({frame_of(60, 2)}).frames, 1U);
}

TEST_F(BoundVmSocket, ASenderThatHasGoneIsPassedOver) {
  {
    Client dead(path("dead"), path());
    ASSERT_TRUE(dead.send(frame_of(60, 1)));
  }
  Client client(path("vm"), path());
  ASSERT_TRUE(client.send(frame_of(60, 2)));
  EXPECT_EQ(read(), std::vector<Frame>{frame_of(60, 2)});
  EXPECT_EQ(socket_->client().path, path("vm"));
}

TEST_F(BoundVmSocket, ManyStrangersDoNotHideTheClient) {
  UniqueFd nameless(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = address_of(path());
  ASSERT_EQ(::connect(nameless.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  while (send_to(nameless.get(), frame_of(60, 1))) {
  }
  EXPECT_EQ(read().size(), 0U);
  Client client(path("vm"), path());
  ASSERT_TRUE(client.send(frame_of(60, 2)));
  EXPECT_EQ(read(), std::vector<Frame>{frame_of(60, 2)});
}

TEST_F(BoundVmSocket, ARefusedSendShowsThatTheClientHasGone) {
  auto client = std::make_unique<Client>(path("vm"), path());
  ASSERT_TRUE(client->greet());
  read();
  client.reset();
  Transfer written = write({frame_of(60, 1), frame_of(60, 2)});
  EXPECT_EQ(written.drops, 2U);
  EXPECT_FALSE(written.gone);
  EXPECT_FALSE(socket_->client().attached);
}

TEST_F(BoundVmSocket, TheNextClientFollowsTheLast) {
  for (uint8_t i = 0; i < 100; i++) {
    ::unlink(path("vm").c_str());
    Client client(path("vm"), path());
    ASSERT_TRUE(client.connected());
    ASSERT_TRUE(client.send(frame_of(60, i)));
    ASSERT_EQ(read(), std::vector<Frame>{frame_of(60, i)});
    ASSERT_EQ(write({frame_of(70, i)}).frames, 1U);
    ASSERT_EQ(receive_all(client.fd()), std::vector<Frame>{frame_of(70, i)});
    ASSERT_TRUE(client.send(frame_of(61, i)));
    client.close();
    if (i % 2 == 0) {
      socket_->client_gone(socket_->client().epoch);
    } else {
      ASSERT_EQ(write({frame_of(60, 1)}).drops, 1U);
    }
    ASSERT_FALSE(socket_->client().attached);
  }
}

TEST_F(BoundVmSocket, WhatADeadClientLeftIsNotTheNextOnes) {
  auto client = std::make_unique<Client>(path("vm"), path());
  ASSERT_TRUE(client->greet());
  read();
  ASSERT_TRUE(client->send(frame_of(60, 1)));
  client.reset();
  socket_->client_gone(socket_->client().epoch);
  Client next(path("next"), path());
  ASSERT_TRUE(next.greet());
  EXPECT_EQ(read().size(), 0U);
  EXPECT_EQ(socket_->client().path, path("next"));
}

TEST_F(BoundVmSocket, NewsOfAnEarlierClientIsIgnored) {
  auto client = std::make_unique<Client>(path("vm"), path());
  ASSERT_TRUE(client->greet());
  read();
  uint64_t old = socket_->client().epoch;
  client.reset();
  socket_->client_gone(old);
  Client next(path("next"), path());
  ASSERT_TRUE(next.greet());
  read();
  socket_->client_gone(old);
  EXPECT_TRUE(socket_->client().attached);
  EXPECT_NE(socket_->client().epoch, old);
}

TEST_F(BoundVmSocket, AClientThatConnectsElsewhereHasGone) {
  UniqueFd elsewhere = bind_datagram(path("elsewhere"));
  Client client(path("vm"), path());
  ASSERT_TRUE(client.greet());
  read();
  sockaddr_un address = address_of(path("elsewhere"));
  ASSERT_EQ(::connect(client.fd(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(write({frame_of(60, 1)}).drops, 1U);
  EXPECT_FALSE(socket_->client().attached);
  Client next(path("next"), path());
  ASSERT_TRUE(next.send(frame_of(60, 2)));
  EXPECT_EQ(read(), std::vector<Frame>{frame_of(60, 2)});
}

TEST_F(BoundVmSocket, AClientThatConnectsElsewhereUnreadTellsTheReader) {
  UniqueFd elsewhere = bind_datagram(path("elsewhere"));
  Client client(path("vm"), path());
  ASSERT_TRUE(client.greet());
  read();
  read();
  write({frame_of(60, 1)});  // with something unread the kernel tells us at once (ECONNRESET)
  sockaddr_un address = address_of(path("elsewhere"));
  ASSERT_EQ(::connect(client.fd(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  read();
  EXPECT_FALSE(socket_->client().attached);
}

TEST_F(BoundVmSocket, ALateDescriptorDoesNotLeakWhileThereIsNoClient) {
  UniqueFd nameless(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = address_of(path());
  ASSERT_EQ(::connect(nameless.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
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

TEST_F(BoundVmSocket, OnlyThePermittedUserAndRootAreServed) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become other users";
  // The socket's mode lets anyone through here, so that the sender's uid alone decides.
  auto socket = VmSocket::bound(bind_datagram(path("served")), 1000, kBatch, replies_);
  ASSERT_TRUE(socket);
  socket_ = std::move(*socket);
  ASSERT_EQ(::chmod(path("served").c_str(), 0777), 0);
  ASSERT_EQ(::chmod(folder_.path().c_str(), 0777), 0);
  OtherUsersClient stranger(1001, path("stranger"), path("served"));
  ASSERT_TRUE(stranger.sent());
  EXPECT_EQ(read().size(), 0U);
  EXPECT_EQ(socket_->refused(), 1U);
  {
    OtherUsersClient user(1000, path("user"), path("served"));
    ASSERT_TRUE(user.sent());
    EXPECT_EQ(read().size(), 1U);
    EXPECT_EQ(socket_->client().pid, user.pid());
  }
  socket_->client_gone(socket_->client().epoch);
  OtherUsersClient root(0, path("root"), path("served"));
  ASSERT_TRUE(root.sent());
  EXPECT_EQ(read().size(), 1U);
  EXPECT_EQ(socket_->client().path, path("root"));
}

TEST_F(BoundVmSocket, ClientsComeAndGoUnderTraffic) {
  std::atomic<bool> running = true;
  std::thread reader([&] {
    while (running) socket_->read(in_);
  });
  std::thread writer([&] {
    while (running) write(std::vector<Frame>(8, frame_of(100, 1)));
  });
  std::thread watcher([&] {
    while (running) {
      socket_->client();
      socket_->send(frame_of(60, 1));
    }
  });
  for (int i = 0; i < 50; i++) {
    ::unlink(path("vm").c_str());
    // Until the last one's end has been seen, the kernel turns the next one away.
    std::unique_ptr<Client> client;
    ASSERT_TRUE(wait_until([&] {
      ::unlink(path("vm").c_str());
      client = std::make_unique<Client>(path("vm"), path());
      return client->connected();
    }));
    ASSERT_TRUE(wait_until([&] {
      client->send(frame_of(60, 1));
      return !receive_all(client->fd()).empty();
    })) << i;
  }
  running = false;
  reader.join();
  writer.join();
  watcher.join();
}

}  // namespace
}  // namespace vmnet
