#include "macos/vmnet_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vmnet {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr vmnet_return_t status(unsigned number) { return static_cast<vmnet_return_t>(number); }

TEST(VmnetStatus, EachHasItsNameAndNumber) {
  EXPECT_THAT(vmnet_status_text(status(1003), true), HasSubstr("VMNET_INVALID_ARGUMENT (1003): "));
  EXPECT_THAT(vmnet_status_text(status(1009), true), HasSubstr("Internet Sharing"));
  for (unsigned number = 1000; number <= 1010; number++) {
    EXPECT_THAT(vmnet_status_text(status(number), true), HasSubstr("VMNET_"));
  }
}

TEST(VmnetStatus, NamesPrivilegeWhereItMayBeTheReason) {
  for (unsigned number : {1001U, 1002U, 1010U}) {
    EXPECT_THAT(vmnet_status_text(status(number), false), HasSubstr("sudo"));
    EXPECT_THAT(vmnet_status_text(status(number), true), Not(HasSubstr("sudo")));
  }
  EXPECT_THAT(vmnet_status_text(status(1009), false), Not(HasSubstr("sudo")));
}

TEST(VmnetStatus, AnUnknownOneKeepsItsNumber) {
  EXPECT_THAT(vmnet_status_text(status(4711), false), HasSubstr("vmnet error 4711"));
}

}  // namespace
}  // namespace vmnet
