#include "platform/peer_watch.h"

#include <array>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

namespace vmnet {
namespace {

struct Pair {
  explicit Pair(int type) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()), 0);
    ours = UniqueFd(ends[0]);
    peer = UniqueFd(ends[1]);
  }
  UniqueFd ours;
  UniqueFd peer;
};

class PeerWatchTest : public ::testing::TestWithParam<int> {};

INSTANTIATE_TEST_SUITE_P(Types, PeerWatchTest, ::testing::Values(SOCK_DGRAM, SOCK_SEQPACKET));

TEST_P(PeerWatchTest, SeesThePeerCloseWithoutTraffic) {
  Pair pair(GetParam());
  auto watch = PeerWatch::open(pair.ours.get());
  ASSERT_TRUE(watch) << watch.error().message;
  EXPECT_FALSE(watch->peer_gone());
  EXPECT_FALSE(watch->peer_gone());
  pair.peer.reset();
  EXPECT_TRUE(watch->peer_gone());
}

TEST_P(PeerWatchTest, APeerThatAnotherProcessStillHoldsLives) {
  Pair pair(GetParam());
  auto watch = PeerWatch::open(pair.ours.get());
  ASSERT_TRUE(watch);
  UniqueFd second(::dup(pair.peer.get()));
  pair.peer.reset();
  EXPECT_FALSE(watch->peer_gone());
  second.reset();
  EXPECT_TRUE(watch->peer_gone());
}

TEST(PeerWatch, ASocketWithoutAPeerHasNone) {
  UniqueFd lonely(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  auto watch = PeerWatch::open(lonely.get());
  ASSERT_TRUE(watch) << watch.error().message;
  EXPECT_TRUE(watch->peer_gone());
}

TEST(PeerWatch, RefusesWhatIsNoUnixSocket) {
  UniqueFd udp(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  EXPECT_FALSE(PeerWatch::open(udp.get()));
  EXPECT_FALSE(PeerWatch::open(-1));
}

// The watch of a socket from the outer namespace, opened and asked from within another.
int watch_from_other_namespace(const Pair& pair) {
  if (::unshare(CLONE_NEWNET) != 0) return 77;
  auto own = ::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  struct stat before{};
  ::fstat(own, &before);
  auto watch = PeerWatch::open(pair.ours.get());
  struct stat after{};
  if (!watch || ::stat("/proc/self/ns/net", &after) != 0 || before.st_ino != after.st_ino) return 1;
  if (watch->peer_gone()) return 2;
  return 0;
}

TEST(PeerWatch, FollowsASocketOfAnotherNetworkNamespace) {
  Pair pair(SOCK_DGRAM);
  pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    int status = watch_from_other_namespace(pair);
    _exit(status);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "needs the right to make a network namespace";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// What the sandbox leaves it: one send and one receive. The rest is what sanitizers need.
bool allow_little() {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
  for (int call :
       {SCMP_SYS(sendto), SCMP_SYS(recvfrom), SCMP_SYS(close), SCMP_SYS(exit_group), SCMP_SYS(mmap),
        SCMP_SYS(munmap), SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(rt_sigprocmask)}) {
    if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0) != 0) return false;
  }
  return seccomp_load(filter) == 0;
}

// A sanitizer's runtime makes system calls of its own, which the filter would end.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

TEST(PeerWatch, WorksInTheSandboxAndWithoutPrivilege) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's runtime does not live in a sandbox";
  Pair pair(SOCK_DGRAM);
  auto watch = PeerWatch::open(pair.ours.get());
  ASSERT_TRUE(watch);
  pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (::geteuid() == 0 && ::setresuid(1000, 1000, 1000) != 0) _exit(1);
    if (!allow_little()) _exit(2);
    bool alive = !watch->peer_gone();
    ::close(pair.peer.get());
    _exit(alive && !watch->peer_gone() ? 0 : 3);  // the parent holds the peer, too
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(ProcessWatch, BecomesReadableWhenTheProcessEnds) {
  std::array<int, 2> hold{};
  ASSERT_EQ(::pipe(hold.data()), 0);
  pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::close(hold[1]);
    char byte = 0;
    _exit(static_cast<int>(::read(hold[0], &byte, 1)));
  }
  ::close(hold[0]);
  UniqueFd watch = open_process_watch(child);
  ASSERT_TRUE(watch.valid());
  pollfd entry{.fd = watch.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&entry, 1, 0), 0);
  ::close(hold[1]);
  EXPECT_EQ(::poll(&entry, 1, 10000), 1);
  ::waitpid(child, nullptr, 0);
}

TEST(ProcessWatch, OfNoProcessIsInvalid) {
  EXPECT_FALSE(open_process_watch(0).valid());
  EXPECT_FALSE(open_process_watch(-1).valid());
}

}  // namespace
}  // namespace vmnet
