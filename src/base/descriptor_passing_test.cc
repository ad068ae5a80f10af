#include "base/descriptor_passing.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace vmnet {
namespace {

struct Pair {
  explicit Pair(int type = SOCK_DGRAM) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, type, 0, ends.data()), 0);
    sender.reset(ends[0]);
    receiver.reset(ends[1]);
  }
  UniqueFd sender;
  UniqueFd receiver;
};

constexpr std::array<uint8_t, 3> kData = {1, 2, 3};

bool same_file(int first, int second) {
  struct stat a{};
  struct stat b{};
  return ::fstat(first, &a) == 0 && ::fstat(second, &b) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino;
}

TEST(DescriptorPassing, CarriesDataAndDescriptor) {
  for (int type : {SOCK_DGRAM, SOCK_STREAM}) {
    Pair pair(type);
    UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(send_with_descriptor(pair.sender.get(), kData, file.get()));
    std::array<uint8_t, 8> buffer{};
    auto received = receive_with_descriptor(pair.receiver.get(), buffer);
    ASSERT_TRUE(received);
    EXPECT_EQ(received->size, kData.size());
    EXPECT_EQ(std::memcmp(buffer.data(), kData.data(), kData.size()), 0);
    ASSERT_TRUE(received->descriptor.valid());
    EXPECT_TRUE(same_file(received->descriptor.get(), file.get()));
    EXPECT_EQ(::fcntl(received->descriptor.get(), F_GETFD), FD_CLOEXEC);
  }
}

TEST(DescriptorPassing, DataAlone) {
  Pair pair;
  ASSERT_TRUE(send_with_descriptor(pair.sender.get(), kData, -1));
  std::array<uint8_t, 8> buffer{};
  auto received = receive_with_descriptor(pair.receiver.get(), buffer);
  ASSERT_TRUE(received);
  EXPECT_EQ(received->size, kData.size());
  EXPECT_FALSE(received->descriptor.valid());
}

TEST(DescriptorPassing, MoreDescriptorsThanOneAreClosed) {
  Pair pair;
  UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  alignas(cmsghdr) std::array<char, CMSG_SPACE(3 * sizeof(int))> control{};
  std::array<int, 3> fds = {file.get(), file.get(), file.get()};
  iovec part{.iov_base = const_cast<uint8_t*>(kData.data()), .iov_len = kData.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(fds));
  std::memcpy(CMSG_DATA(header), fds.data(), sizeof(fds));
  ASSERT_EQ(::sendmsg(pair.sender.get(), &message, 0), static_cast<ssize_t>(kData.size()));
  int before = ::dup(file.get());  // the lowest free number
  ::close(before);
  std::array<uint8_t, 8> buffer{};
  auto received = receive_with_descriptor(pair.receiver.get(), buffer);
  ASSERT_TRUE(received);
  ASSERT_TRUE(received->descriptor.valid());
  received->descriptor.reset();
  int after = ::dup(file.get());
  ::close(after);
  EXPECT_EQ(after, before);
}

TEST(DescriptorPassing, ClosedPeer) {
  Pair pair;
  pair.receiver.reset();
  auto sent = send_with_descriptor(pair.sender.get(), kData, -1);
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().os_errno, ECONNREFUSED);
  Pair stream(SOCK_STREAM);
  stream.sender.reset();
  std::array<uint8_t, 8> buffer{};
  auto received = receive_with_descriptor(stream.receiver.get(), buffer);
  ASSERT_TRUE(received);
  EXPECT_EQ(received->size, 0U);
}

}  // namespace
}  // namespace vmnet
