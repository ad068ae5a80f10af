#include "forward/client_monitor.h"

#include <csignal>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>

#include "forward/vm_socket_test_support.h"

namespace vmnet {
namespace {

using namespace testing;

ClientMonitor monitor_of(VmSocket& socket) {
  auto watch = PeerWatch::open(socket.ready_fd());
  EXPECT_TRUE(watch);
  return {socket, std::move(*watch)};
}

bool wakes(const ClientMonitor& monitor, std::chrono::milliseconds timeout) {
  std::array<pollfd, 2> entries{};
  for (size_t i = 0; i < entries.size(); i++) {
    entries.at(i) = {.fd = monitor.wake_fds().at(i), .events = POLLIN, .revents = 0};
  }
  return ::poll(entries.data(), entries.size(), static_cast<int>(timeout.count())) > 0;
}

class ConnectedClientMonitor : public ::testing::TestWithParam<int> {};

INSTANTIATE_TEST_SUITE_P(Types, ConnectedClientMonitor,
                         ::testing::Values(SOCK_DGRAM, SOCK_SEQPACKET));

TEST_P(ConnectedClientMonitor, TellsThatThePeerHasGoneWithoutTraffic) {
  SocketPair pair(GetParam());
  DirectionStats replies;
  auto socket = VmSocket::connected(std::move(pair.ours), kBatch, replies);
  ASSERT_TRUE(socket);
  ClientMonitor monitor = monitor_of(**socket);
  EXPECT_TRUE(monitor.check());
  pair.vm.reset();
  EXPECT_FALSE(monitor.check());
}

class BoundClientMonitor : public BoundVmSocketTest {};

TEST_F(BoundClientMonitor, ReleasesTheSocketFromAClientThatHasGone) {
  ClientMonitor monitor = monitor_of(*socket_);
  EXPECT_TRUE(monitor.check());
  for (int i = 0; i < 3; i++) {
    ::unlink(path("vm").c_str());
    Client client(path("vm"), path());
    ASSERT_TRUE(client.connected());
    ASSERT_TRUE(client.greet());
    read();
    EXPECT_TRUE(wakes(monitor, std::chrono::milliseconds(0)));
    EXPECT_TRUE(monitor.check());
    EXPECT_FALSE(wakes(monitor, std::chrono::milliseconds(0)));
    EXPECT_TRUE(socket_->client().attached);
    client.close();
    EXPECT_TRUE(monitor.check());
    EXPECT_FALSE(socket_->client().attached);
    EXPECT_TRUE(monitor.check());
  }
}

// Attaches, then waits to be killed.
pid_t start_client(const std::string& own, const std::string& helper) {
  pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::unlink(own.c_str());
  Client client(own, helper);
  if (!client.connected() || !client.send(frame_of(60, 1))) _exit(1);
  while (true) ::pause();
}

TEST_F(BoundClientMonitor, AHundredKilledClientsAreEachFollowedByTheNextAtOnce) {
  ClientMonitor monitor = monitor_of(*socket_);
  for (int i = 0; i < 100; i++) {
    pid_t pid = start_client(path("vm"), path());
    ASSERT_GT(pid, 0);
    ASSERT_TRUE(wait_until([&] { return read().size() == 1; })) << i;
    ASSERT_TRUE(monitor.check());
    ASSERT_EQ(socket_->client().pid, pid);
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    // Its process wakes the monitor, long before the interval is over.
    ASSERT_TRUE(wakes(monitor, kLongEnough));
    ASSERT_TRUE(monitor.check());
    ASSERT_FALSE(socket_->client().attached) << i;
    ASSERT_EQ(::waitpid(pid, nullptr, 0), pid);
  }
}

TEST_F(BoundClientMonitor, AProcessThatEndsWhileItsSocketLivesOnIsNotTheEnd) {
  ClientMonitor monitor = monitor_of(*socket_);
  Client client(path("vm"), path());
  pid_t sender = ::fork();  // the process that sends first is a child of the one that stays
  ASSERT_GE(sender, 0);
  if (sender == 0) {
    client.send(frame_of(60, 1));
    while (true) ::pause();
  }
  ASSERT_TRUE(wait_until([&] { return read().size() == 1; }));
  EXPECT_TRUE(monitor.check());
  EXPECT_EQ(socket_->client().pid, sender);
  EXPECT_FALSE(wakes(monitor, std::chrono::milliseconds(0)));
  ASSERT_EQ(::kill(sender, SIGKILL), 0);
  EXPECT_TRUE(wakes(monitor, kLongEnough));
  EXPECT_TRUE(monitor.check());
  EXPECT_TRUE(socket_->client().attached);
  EXPECT_FALSE(wakes(monitor, std::chrono::milliseconds(0)));  // it does not wake us for ever
  ASSERT_EQ(::waitpid(sender, nullptr, 0), sender);
  client.close();
  EXPECT_TRUE(monitor.check());
  EXPECT_FALSE(socket_->client().attached);
}

TEST_F(BoundClientMonitor, LogsFewLinesButTheLatestState) {
  ClientMonitor monitor = monitor_of(*socket_);
  ::testing::internal::CaptureStderr();
  for (int i = 0; i < 100; i++) {
    ::unlink(path("vm").c_str());
    Client client(path("vm"), path());
    ASSERT_TRUE(client.greet());
    read();
    EXPECT_TRUE(monitor.check());
    client.close();
    EXPECT_TRUE(monitor.check());
  }
  std::string log = ::testing::internal::GetCapturedStderr();
  // 200 changes; a machine so slow that it takes 10 s over them may log 100 lines.
  EXPECT_LE(std::ranges::count(log, '\n'), 100);
  ::testing::internal::CaptureStderr();
  std::this_thread::sleep_for(std::chrono::milliseconds(250));
  EXPECT_TRUE(monitor.check());
  EXPECT_TRUE(monitor.check());
  log += ::testing::internal::GetCapturedStderr();
  EXPECT_TRUE(log.ends_with("the client has gone; waiting for the next\n")) << log;
}

}  // namespace
}  // namespace vmnet
