// VmSocket where the kernel is Linux: it tells who sent a datagram, lets nobody but its peer send
// to a connected socket, and waits for room as long as it is told to.
#include <atomic>
#include <cerrno>
#include <thread>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "forward/vm_socket_test_support.h"

namespace vmnet {
namespace {

using namespace testing;

TEST_F(BoundVmSocketTest, TellsTheClientsProcess) {
  Client client(path("vm"), path());
  ASSERT_TRUE(client.greet());
  read();
  EXPECT_EQ(socket_->client().pid, ::getpid());
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

TEST_F(BoundVmSocketTest, AClientThatConnectsElsewhereHasGone) {
  UniqueFd elsewhere = bind_datagram(path("elsewhere"));
  Client client(path("vm"), path());
  ASSERT_TRUE(client.greet());
  read();
  ASSERT_TRUE(connect_to_path(client.fd(), path("elsewhere")));
  EXPECT_EQ(write({frame_of(60, 1)}).drops, 1U);
  EXPECT_FALSE(socket_->client().attached);
  Client next(path("next"), path());
  ASSERT_TRUE(next.send(frame_of(60, 2)));
  EXPECT_EQ(read(), std::vector<Frame>{frame_of(60, 2)});
}

TEST_F(BoundVmSocketTest, AClientThatConnectsElsewhereUnreadTellsTheReader) {
  UniqueFd elsewhere = bind_datagram(path("elsewhere"));
  Client client(path("vm"), path());
  ASSERT_TRUE(client.greet());
  read();
  read();
  write({frame_of(60, 1)});  // with something unread the kernel tells us at once (ECONNRESET)
  ASSERT_TRUE(connect_to_path(client.fd(), path("elsewhere")));
  read();
  EXPECT_FALSE(socket_->client().attached);
}

TEST_P(ConnectedVmSocketTest, AVmThatReadsALittleLateLosesNothing) {
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

TEST_P(ConnectedVmSocketTest, ServesAVmWithSmallBuffers) {
  for (int option : {SO_SNDBUF, SO_RCVBUF}) {
    int size = 64 << 10;
    ASSERT_EQ(::setsockopt(vm(), SOL_SOCKET, option, &size, sizeof(size)), 0);
  }
  raise_buffers(socket_->ready_fd());
  // Our own buffer is the queue: hundreds of frames, whatever the VM's is.
  EXPECT_EQ(write(std::vector<Frame>(150, frame_of(1514, 1))).drops, 0U);
  EXPECT_EQ(receive_all(vm()).size(), 150U);
}

}  // namespace
}  // namespace vmnet
