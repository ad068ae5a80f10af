#include "platform/signal_watch.h"

#include <array>
#include <csignal>

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

namespace vmnet {
namespace {

bool readable(int fd) {
  pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&entry, 1, 0) == 1;
}

class SignalWatchTest : public testing::Test {
 protected:
  void SetUp() override { pthread_sigmask(SIG_BLOCK, nullptr, &former_); }
  void TearDown() override { pthread_sigmask(SIG_SETMASK, &former_, nullptr); }

  sigset_t former_{};
};

TEST_F(SignalWatchTest, ReportsWhatItWatches) {
  auto watch = SignalWatch::start(std::array{SIGTERM, SIGUSR1});
  ASSERT_TRUE(watch);
  EXPECT_FALSE(readable(watch->fd()));
  EXPECT_FALSE(watch->next());
  ::kill(::getpid(), SIGTERM);
  EXPECT_TRUE(readable(watch->fd()));
  auto signal = watch->next();
  ASSERT_TRUE(signal);
  EXPECT_EQ(signal->number, SIGTERM);
  EXPECT_FALSE(signal->from_terminal);
  EXPECT_FALSE(watch->next());
}

TEST_F(SignalWatchTest, SeesSignalsThatAreIgnored) {
  auto former = std::signal(SIGUSR1, SIG_IGN);
  auto watch = SignalWatch::start(std::array{SIGUSR1});
  ASSERT_TRUE(watch);
  ::kill(::getpid(), SIGUSR1);
  EXPECT_TRUE(watch->next());
  (void)std::signal(SIGUSR1, former);
}

TEST_F(SignalWatchTest, KnowsTheMaskFromBefore) {
  auto watch = SignalWatch::start(std::array{SIGTERM});
  ASSERT_TRUE(watch);
  EXPECT_EQ(sigismember(&watch->original_mask(), SIGTERM), 0);
  sigset_t now;
  pthread_sigmask(SIG_BLOCK, nullptr, &now);
  EXPECT_EQ(sigismember(&now, SIGTERM), 1);
}

}  // namespace
}  // namespace vmnet
