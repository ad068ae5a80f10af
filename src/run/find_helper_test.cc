#include "run/find_helper.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace vmnet {
namespace {

HelperPrivileges plain_file() {
  HelperPrivileges privileges;
  privileges.caller = 1000;
  privileges.file_owner = 0;
  privileges.file_mode = S_IFREG | 0755;
  return privileges;
}

TEST(NeedsSudo, APlainFileStartedByAUser) { EXPECT_TRUE(needs_sudo(plain_file())); }

TEST(NeedsSudo, NotForRoot) {
  HelperPrivileges privileges = plain_file();
  privileges.caller = 0;
  EXPECT_FALSE(needs_sudo(privileges));
}

TEST(NeedsSudo, NotWhereNoPrivilegeIsNeeded) {
  HelperPrivileges privileges = plain_file();
  privileges.needed = false;
  EXPECT_FALSE(needs_sudo(privileges));
}

TEST(NeedsSudo, SetuidRootIsEnough) {
  HelperPrivileges privileges = plain_file();
  privileges.file_mode |= S_ISUID;
  EXPECT_FALSE(needs_sudo(privileges));
  privileges.file_owner = 1000;
  EXPECT_TRUE(needs_sudo(privileges)) << "setuid to somebody else gives nothing";
  privileges.file_owner = 0;
  privileges.file_mode = S_IFREG | S_ISGID | 0755;
  EXPECT_TRUE(needs_sudo(privileges)) << "setgid gives nothing";
}

TEST(NeedsSudo, CapabilitiesAreEnough) {
  HelperPrivileges privileges = plain_file();
  privileges.file_capabilities = true;
  EXPECT_FALSE(needs_sudo(privileges));
}

TEST(NeedsSudo, NosuidMountsHonourNeither) {
  HelperPrivileges privileges = plain_file();
  privileges.mounted_nosuid = true;
  privileges.file_capabilities = true;
  privileges.file_mode |= S_ISUID;
  EXPECT_TRUE(needs_sudo(privileges));
  privileges.capabilities_passed = true;
  EXPECT_FALSE(needs_sudo(privileges)) << "ambient capabilities do not come from the file";
}

TEST(ReadHelperPrivileges, OfAFile) {
  HelperPrivileges privileges = read_helper_privileges("/bin/sh");
  EXPECT_TRUE(S_ISREG(privileges.file_mode));
  EXPECT_FALSE(privileges.file_capabilities);
}

}  // namespace
}  // namespace vmnet
