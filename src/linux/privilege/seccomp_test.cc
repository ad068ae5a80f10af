// What the filter of --tap leaves of sending, tried out: a call that is not left ends the process.
// And a filter that the kernel does not take.
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <functional>

#include <gtest/gtest.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "platform/sandbox.h"

namespace vmnet {
namespace {

constexpr int kDone = 7;

// The wait status of a process that confines itself and then does `action`.
int confined(const SystemCallNeeds& needs, const std::function<void()>& action) {
  pid_t child = ::fork();
  if (child == 0) {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !restrict_system_calls(needs)) _exit(1);
    action();
    _exit(kDone);
  }
  int wait_status = 0;
  EXPECT_EQ(::waitpid(child, &wait_status, 0), child);
  return wait_status;
}

bool lives(int wait_status) { return WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == kDone; }
bool killed(int wait_status) { return WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGSYS; }

class NativeSandbox : public testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM, 0, ends.data()), 0);
    vm_.reset(ends[0]);
    other_.reset(ends[1]);
    needs_.native_vm_socket = vm_.get();
    bool filters = killed(confined(needs_, [] { ::getppid(); }));
    if (!filters) GTEST_SKIP() << "this build has no sandbox";
  }

  UniqueFd vm_;
  UniqueFd other_;
  SystemCallNeeds needs_;
};

TEST_F(NativeSandbox, SendsWhereItsSocketsAreBound) {
  EXPECT_TRUE(lives(confined(needs_, [this] {
    char byte = 0;
    if (::send(vm_.get(), &byte, 1, 0) != 1 || ::send(other_.get(), &byte, 1, 0) != 1) _exit(1);
    if (::recv(vm_.get(), &byte, 1, 0) != 1) _exit(1);
  })));
}

TEST_F(NativeSandbox, NamesNoOtherPlace) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = "/nowhere"};
  const auto* target = reinterpret_cast<const sockaddr*>(&address);
  EXPECT_TRUE(killed(confined(needs_, [&] {
    char byte = 0;
    (void)::sendto(vm_.get(), &byte, 1, 0, target, sizeof(address));
  })));
  EXPECT_TRUE(
      killed(confined(needs_, [&] { (void)::connect(vm_.get(), target, sizeof(address)); })));
  EXPECT_TRUE(killed(confined(needs_, [&] { (void)::bind(vm_.get(), target, sizeof(address)); })));
}

TEST_F(NativeSandbox, SendsMessagesToTheVmAlone) {
  char byte = 0;
  iovec part{.iov_base = &byte, .iov_len = 1};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  EXPECT_TRUE(lives(confined(needs_, [&] { (void)::sendmsg(vm_.get(), &message, 0); })));
  EXPECT_TRUE(killed(confined(needs_, [&] { (void)::sendmsg(other_.get(), &message, 0); })));
  EXPECT_TRUE(killed(confined(needs_, [&] {
    mmsghdr many{.msg_hdr = message, .msg_len = 0};
    (void)::sendmmsg(vm_.get(), &many, 1, 0);
  })));
}

TEST_F(NativeSandbox, NoOtherSocketTakesTheVmsNumber) {
  EXPECT_TRUE(killed(confined(needs_, [this] { (void)::dup2(other_.get(), vm_.get()); })));
  EXPECT_TRUE(killed(confined(needs_, [this] { UniqueFd copy(::dup(other_.get())); })));
  EXPECT_TRUE(killed(confined(needs_, [] { (void)::socket(AF_UNIX, SOCK_DGRAM, 0); })));
  EXPECT_TRUE(killed(confined(needs_, [this] {
    msghdr message{};
    (void)::recvmsg(vm_.get(), &message, MSG_DONTWAIT);
  })));
}

// No further filter, with an error of our choice.
bool refuse_filters(int error) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  scmp_arg_cmp has_program{.arg = 2, .op = SCMP_CMP_NE, .datum_a = 0, .datum_b = 0};
  bool refused = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(static_cast<uint16_t>(error)),
                                        SCMP_SYS(seccomp), 1, &has_program) == 0 &&
                 seccomp_load(filter) == 0;
  seccomp_release(filter);
  return refused;
}

// Not ECANCELED, libseccomp's word for every such failure: to a start that means that it was told
// to stop, which is no error.
TEST_F(NativeSandbox, SaysWhyThereIsNone) {
  pid_t child = ::fork();
  if (child == 0) {
    if (!refuse_filters(ENOMEM)) _exit(1);
    auto restricted = restrict_system_calls(needs_);
    _exit(!restricted && restricted.error().os_errno == ENOMEM ? kDone : 2);
  }
  int wait_status = 0;
  ASSERT_EQ(::waitpid(child, &wait_status, 0), child);
  EXPECT_TRUE(lives(wait_status)) << wait_status;
}

}  // namespace
}  // namespace vmnet
