#include "run/find_helper.h"

#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

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

// A stand-in for sudo that prints `says`, whatever it is asked.
std::string program_that_says(const std::string& says) {
  std::string path = testing::TempDir() + "/sudo-" + std::to_string(::getpid());
  std::ofstream(path) << "#!/bin/sh\ncat << 'END'\n" << says << "\nEND\n";
  ::chmod(path.c_str(), 0755);
  return path;
}

TEST(KeepsDescriptors, SudoDoesAndSudoRsDoesNot) {
  std::string sudo =
      program_that_says("Sudo version 1.9.13p3\nSudoers policy plugin version 1.9.13p3");
  EXPECT_TRUE(keeps_descriptors(version_of(sudo)));
  std::string sudo_rs = program_that_says("sudo-rs 0.2.8");
  EXPECT_EQ(version_of(sudo_rs), "sudo-rs 0.2.8\n");
  EXPECT_FALSE(keeps_descriptors(version_of(sudo_rs)));
  ::unlink(sudo_rs.c_str());
}

TEST(VersionOf, AProgramThatSaysMoreThanIsReadOrIsNotThere) {
  std::string program = program_that_says(std::string(1 << 18, 'x'));
  EXPECT_EQ(version_of(program), std::string(256, 'x'));
  ::unlink(program.c_str());
  EXPECT_EQ(version_of("/no/such/program"), "");
}

TEST(ReadHelperPrivileges, OfAFile) {
  HelperPrivileges privileges = read_helper_privileges("/bin/sh");
  EXPECT_TRUE(S_ISREG(privileges.file_mode));
  EXPECT_FALSE(privileges.file_capabilities);
}

}  // namespace
}  // namespace vmnet
