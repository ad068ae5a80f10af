#include "base/result.h"

#include <cerrno>

#include <gtest/gtest.h>

namespace vmnet {
namespace {

TEST(Result, OwnWords) {
  Status status = fail("--fd 7: not a socket");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "--fd 7: not a socket");
  EXPECT_EQ(status.error().os_errno, 0);
}

TEST(Result, SystemCallsSayWhatWhyAndWhatToDo) {
  Status status = fail_errno("cannot create TAP device", EPERM);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "cannot create TAP device: Operation not permitted (EPERM)");
  EXPECT_EQ(status.error().os_errno, EPERM);
  status = fail_errno("cannot open /dev/net/tun", ENOENT, "load the tun module");
  EXPECT_EQ(status.error().message,
            "cannot open /dev/net/tun: No such file or directory (ENOENT); load the tun module");
}

TEST(Result, ErrorsPassUpUnchanged) {
  Result<int> inner = fail_errno("x", EBUSY);
  Result<std::string> outer = pass(inner);
  ASSERT_FALSE(outer);
  EXPECT_EQ(outer.error().message, "x: Device or resource busy (EBUSY)");
  EXPECT_EQ(outer.error().os_errno, EBUSY);
}

TEST(ErrnoText, UnknownNumbers) { EXPECT_EQ(errno_text(99999), "error 99999"); }

}  // namespace
}  // namespace vmnet
