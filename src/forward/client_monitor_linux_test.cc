// ClientMonitor where the kernel is Linux: a client's process is known, and its end wakes.
#include <csignal>

#include <gtest/gtest.h>
#include <sys/wait.h>

#include "forward/client_monitor_test_support.h"

namespace vmnet {
namespace {

using namespace testing;

// A process of the test's that is ended with it, whatever the test finds: one that outlived it
// would hold the test's output open for ever.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ <= 0) return;
    kill();
    ::waitpid(pid_, nullptr, 0);
  }

  pid_t pid() const { return pid_; }
  void kill() const { ::kill(pid_, SIGKILL); }

 private:
  pid_t pid_;
};

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
    Child client(start_client(path("vm"), path()));
    ASSERT_GT(client.pid(), 0);
    ASSERT_TRUE(wait_until([&] { return read().size() == 1; })) << i;
    ASSERT_TRUE(monitor.check());
    ASSERT_EQ(socket_->client().pid, client.pid());
    client.kill();
    // Its process wakes the monitor, long before the interval is over.
    ASSERT_TRUE(wakes(monitor, kLongEnough));
    ASSERT_TRUE(monitor.check());
    ASSERT_FALSE(socket_->client().attached) << i;
  }
}

TEST_F(BoundClientMonitor, AProcessThatEndsWhileItsSocketLivesOnIsNotTheEnd) {
  ClientMonitor monitor = monitor_of(*socket_);
  Client client(path("vm"), path());
  Child sender(::fork());  // the process that sends first is a child of the one that stays
  ASSERT_GE(sender.pid(), 0);
  if (sender.pid() == 0) {
    client.send(frame_of(60, 1));
    while (true) ::pause();
  }
  ASSERT_TRUE(wait_until([&] { return read().size() == 1; }));
  EXPECT_TRUE(monitor.check());
  EXPECT_EQ(socket_->client().pid, sender.pid());
  EXPECT_FALSE(wakes(monitor, std::chrono::milliseconds(0)));
  sender.kill();
  EXPECT_TRUE(wakes(monitor, kLongEnough));
  EXPECT_TRUE(monitor.check());
  EXPECT_TRUE(socket_->client().attached);
  EXPECT_FALSE(wakes(monitor, std::chrono::milliseconds(0)));  // it does not wake us for ever
  client.close();
  EXPECT_TRUE(monitor.check());
  EXPECT_FALSE(socket_->client().attached);
}

}  // namespace
}  // namespace vmnet
