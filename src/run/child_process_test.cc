#include "run/child_process.h"

#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/unique_fd.h"

namespace vmnet {
namespace {

using testing::StartsWith;

Program shell(const std::string& script) {
  Program program;
  program.arguments = {"sh", "-c", script};
  sigemptyset(&program.signal_mask);
  return program;
}

int run(const Program& program) {
  auto pid = start_program(program);
  EXPECT_TRUE(pid.has_value()) << pid.error().message;
  int wait_status = 0;
  EXPECT_EQ(::waitpid(pid.value_or(-1), &wait_status, 0), pid.value_or(0));
  return wait_status;
}

TEST(StartProgram, StatusesAreThoseOfAShell) {
  EXPECT_EQ(exit_status(run(shell("exit 0"))), 0);
  EXPECT_EQ(exit_status(run(shell("exit 255"))), 255);
  EXPECT_EQ(exit_status(run(shell("kill -9 $$"))), 137);
  EXPECT_EQ(describe_end(run(shell("exit 3"))), "exit status 3");
  EXPECT_EQ(describe_end(run(shell("kill -15 $$"))), "signal 15");
}

TEST(StartProgram, AProgramThatIsNotThere) {
  Program program = shell("");
  program.arguments = {"/nonexistent/vm\n", "x"};
  auto pid = start_program(program);
  ASSERT_FALSE(pid.has_value());
  EXPECT_EQ(pid.error().os_errno, ENOENT);
  EXPECT_THAT(pid.error().message, StartsWith("cannot run '/nonexistent/vm\\n': "));
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a zombie is left";
  EXPECT_EQ(errno, ECHILD);
}

UniqueFd open_as(const char* path, int number) {
  UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(::dup2(fd.get(), number), number);
  EXPECT_EQ(::fcntl(number, F_SETFD, FD_CLOEXEC), 0);
  return UniqueFd(number);
}

// Targets that are each other's sources, and one its own.
TEST(StartProgram, DescriptorsMayBeSwapped) {
  UniqueFd hosts = open_as("/etc/hosts", 7);
  UniqueFd passwd = open_as("/etc/passwd", 8);
  UniqueFd null = open_as("/dev/null", 9);
  Program program =
      shell("cmp -s /etc/passwd - <&7 && cmp -s /etc/hosts - <&8 && test -z \"$(cat <&9)\"");
  program.fds = {
      {.target = 7, .source = 8}, {.target = 8, .source = 7}, {.target = 9, .source = 9}};
  EXPECT_EQ(exit_status(run(program)), 0);
}

TEST(StartProgram, NothingElseIsInherited) {
  UniqueFd hosts = open_as("/etc/hosts", 9);
  EXPECT_NE(exit_status(run(shell("exec 2> /dev/null; true <&9"))), 0);
}

TEST(StartProgram, NewSession) {
  Program program = shell("exec sleep 60");
  program.new_session = true;
  auto pid = start_program(program);
  ASSERT_TRUE(pid.has_value()) << pid.error().message;
  EXPECT_EQ(::getsid(*pid), *pid);
  ::kill(*pid, SIGKILL);
  ::waitpid(*pid, nullptr, 0);
}

TEST(StartProgram, BeginsWithTheGivenMaskAndInterruptible) {
  auto former = std::signal(SIGINT, SIG_IGN);
  Program program = shell("kill -INT $$; exit 1");
  EXPECT_EQ(exit_status(run(program)), 128 + SIGINT);
  (void)std::signal(SIGINT, former);
  sigaddset(&program.signal_mask, SIGTERM);
  program.arguments = {"sh", "-c", "kill -TERM $$; exit 4"};
  EXPECT_EQ(exit_status(run(program)), 4);
}

}  // namespace
}  // namespace vmnet
