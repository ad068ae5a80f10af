#include "platform/descriptors.h"

#include <algorithm>
#include <array>
#include <span>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vmnet {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

// What a child process has open that keeps `kept` of four descriptors, as bits.
int open_after_closing(std::span<const int> kept, const std::array<int, 4>& fds) {
  pid_t child = ::fork();
  if (child == 0) {
    if (!close_descriptors_but(fds[0], kept)) ::_exit(99);
    int open = 0;
    for (size_t i = 0; i < fds.size(); i++) open |= is_open(fds.at(i)) ? 1 << i : 0;
    ::_exit(open);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Descriptors, ClosesAllButTheKept) {
  std::array<int, 4> fds{};
  for (int& fd : fds) fd = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 700);
  ASSERT_TRUE(std::ranges::is_sorted(fds));
  EXPECT_EQ(open_after_closing({}, fds), 0);
  EXPECT_EQ(open_after_closing(std::array{-1, fds[2]}, fds), 0b0100);
  EXPECT_EQ(open_after_closing(std::array{fds[3], fds[0]}, fds), 0b1001);
  EXPECT_EQ(open_after_closing(std::array{fds[1], STDERR_FILENO}, fds), 0b0010);
  EXPECT_TRUE(is_open(STDERR_FILENO));
  for (int fd : fds) ::close(fd);
}

TEST(Descriptors, HoldsTheWorkingDirectory) {
  UniqueFd here = hold_working_directory();
  ASSERT_TRUE(here.valid());
  EXPECT_EQ(::fchdir(here.get()), 0);
}

}  // namespace
}  // namespace vmnet
