#include "linux/device/native_tap.h"

#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "linux/netlink/packet_filter.h"
#include "wire/bytes.h"

namespace vmnet {
namespace {

using Frame = std::vector<uint8_t>;

// The filter needs no packet socket to be tried: any socket takes one.
class RequestFilter : public testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM, 0, ends.data()), 0);
    sender_.reset(ends[0]);
    receiver_.reset(ends[1]);
    ASSERT_EQ(attach_filter(receiver_.get(), request_filter()), 0);
  }

  bool passes(const Frame& frame) {
    // A filter that drops makes the send fail or vanish, by kernel.
    (void)::send(sender_.get(), frame.data(), frame.size(), MSG_DONTWAIT);
    Frame buffer(4096);
    ssize_t size = ::recv(receiver_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0) return false;
    EXPECT_EQ(static_cast<size_t>(size), frame.size());
    return true;
  }

 private:
  UniqueFd sender_;
  UniqueFd receiver_;
};

Frame ethernet(uint16_t type, size_t size) {
  Frame frame(size);
  store_be16(frame.data() + 12, type);
  return frame;
}

Frame udp_over_ipv4(uint16_t source, uint16_t target, size_t options = 0, uint16_t fragment = 0) {
  Frame frame = ethernet(0x0800, 342);
  frame[14] = static_cast<uint8_t>(0x45 + (options / 4));
  frame[23] = 17;
  store_be16(frame.data() + 20, fragment);
  store_be16(frame.data() + 34 + options, source);
  store_be16(frame.data() + 36 + options, target);
  return frame;
}

Frame icmpv6(uint8_t type, uint8_t next_header = 58) {
  Frame frame = ethernet(0x86dd, 70);
  frame[14] = 0x60;
  frame[20] = next_header;
  frame[54] = type;
  return frame;
}

TEST_F(RequestFilter, LetsRequestsThrough) {
  EXPECT_TRUE(passes(udp_over_ipv4(68, 67)));
  EXPECT_TRUE(passes(udp_over_ipv4(1068, 67, 24)));
  EXPECT_TRUE(passes(udp_over_ipv4(68, 67, 0, 0x4000)));  // don't fragment
  EXPECT_TRUE(passes(udp_over_ipv4(68, 67, 0, 0x2000)));  // a first fragment has its ports
  EXPECT_TRUE(passes(icmpv6(133)));
  EXPECT_TRUE(passes(ethernet(0x0806, 42)));  // tells that its sender is there
}

TEST_F(RequestFilter, KeepsAllElseAway) {
  EXPECT_FALSE(passes(udp_over_ipv4(67, 68)));
  EXPECT_FALSE(passes(udp_over_ipv4(68, 68)));
  EXPECT_FALSE(passes(udp_over_ipv4(68, 67, 0, 0x2001)));
  Frame tcp = udp_over_ipv4(68, 67);
  tcp[23] = 6;
  EXPECT_FALSE(passes(tcp));
  for (int type = 0; type < 256; type++) {
    EXPECT_EQ(passes(icmpv6(static_cast<uint8_t>(type))), type == 133) << type;
  }
  EXPECT_FALSE(passes(icmpv6(133, 17)));
  EXPECT_FALSE(passes(ethernet(0x8100, 100)));
}

TEST_F(RequestFilter, CutShort) {
  Frame dhcp = udp_over_ipv4(68, 67);
  for (size_t size = 1; size < 38; size++) {
    EXPECT_FALSE(passes(Frame(dhcp.begin(), dhcp.begin() + static_cast<ptrdiff_t>(size)))) << size;
  }
  Frame solicitation = icmpv6(133);
  solicitation.resize(54);
  EXPECT_FALSE(passes(solicitation));
}

// In a network namespace of its own, where any user may have packet sockets.
TEST(RequestSocket, KeepsItsFilter) {
  constexpr int kSkipped = 77;
  pid_t child = ::fork();
  if (child == 0) {
    constexpr int kLoopback = 1;
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) _exit(kSkipped);
    auto socket = open_request_socket(kLoopback);
    if (!socket) _exit(1);
    int none = 0;
    int result = ::setsockopt(socket->get(), SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none));
    if (result == 0 || errno != EPERM) _exit(2);
    if (attach_filter(socket->get(), std::array{bpf_answer(~0U)}) == 0) _exit(3);
    _exit(0);
  }
  int wait_status = 0;
  ASSERT_EQ(::waitpid(child, &wait_status, 0), child);
  ASSERT_TRUE(WIFEXITED(wait_status));
  if (WEXITSTATUS(wait_status) == kSkipped) GTEST_SKIP() << "no user namespaces here";
  EXPECT_EQ(WEXITSTATUS(wait_status), 0);
}

}  // namespace
}  // namespace vmnet
