// What the sandboxes let through, tried from inside: each attempt in a child of its own.
#include "platform/sandbox.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/landlock.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "linux/privilege/keeper_sandbox.h"

namespace vmnet {
namespace {

constexpr int kNoSandbox = 99;

using Action = std::function<int()>;  // 0, or the errno of what was tried

// What became of `action` behind `sandbox`: its result, or the signal as 128 + N.
int outcome(const std::function<Status()>& sandbox, const Action& action) {
  pid_t child = fork();
  if (child == 0) {
    rlimit no_core{};
    setrlimit(RLIMIT_CORE, &no_core);
    alarm(10);
    if (!sandbox()) _exit(kNoSandbox);
    _exit(action());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

constexpr int kKilled = 128 + SIGSYS;

int result_of(long returned) { return returned < 0 ? errno : 0; }

Status as_worker(const SystemCallNeeds& needs = {}) {
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return restrict_system_calls(needs);
}
Status as_plain_worker() { return as_worker(); }

Status as_keeper() { return restrict_keeper({.uid = geteuid(), .gid = getegid()}, {}, false); }

// The calls of this machine's that a process survives with nonsense for arguments.
std::set<std::string> survived(const std::function<Status()>& sandbox) {
  constexpr int kMoreThanThereAre = 480;
  std::set<std::string> names;
  for (int number = 0; number < kMoreThanThereAre; number++) {
    char* name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
    if (name == nullptr) continue;
    // The kernel asks no filter for its own probes' calls (Linux 6.14), which it ends by a signal
    // where no probe made them.
    const bool of_probes =
        std::string_view(name) == "uretprobe" || std::string_view(name) == "uprobe";
    if (of_probes) {
      std::free(name);
      continue;
    }
    int result = outcome(sandbox, [number] {
      (void)syscall(number, -1L, -1L, -1L, -1L, -1L, -1L);
      return 0;
    });
    EXPECT_NE(result, 128 + SIGALRM) << name;
    if (result != kKilled) names.insert(name);
    std::free(name);
  }
  return names;
}

bool has_landlock() {
  return syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 1;
}

// A change of these lists is a change of docs/security.md. Calls that are let through with some
// arguments only are not in them.
TEST(WorkerSandbox, LetsTheseCallsThroughAndNoOther) {
  const std::set<std::string> expected = {
      "recvmmsg",     "recvfrom",   "sendmmsg",       "sendmsg",       "sendto",
      "read",         "write",      "writev",         "poll",          "ppoll",
      "futex",        "close",      "connect",        "clock_gettime", "restart_syscall",
      "getpeername",  "setsockopt", "wait4",          "shutdown",      "pidfd_open",
      "rt_sigreturn", "exit",       "rt_sigprocmask", "brk",           "munmap",
      "madvise",      "exit_group"};
  EXPECT_EQ(survived(as_plain_worker), expected);
  EXPECT_LE(expected.size() + 3, 30U);  // mmap, mprotect and, with a macvtap, ioctl
}

TEST(WorkerSandbox, AStreamHasFewerCallsAndAcceptsOnlyWhereItListens) {
  auto stream = [] { return as_worker({.stream = true}); };
  auto listening = [] { return as_worker({.stream = true, .accept_streams = true}); };
  for (long call : {SYS_recvmmsg, SYS_sendmmsg, SYS_sendto, SYS_connect, SYS_getpeername}) {
    EXPECT_EQ(outcome(stream, [call] { return result_of(syscall(call, -1, 0, 0, 0, 0, 0)); }),
              kKilled);
  }
  auto accept = [] { return result_of(accept4(-1, nullptr, nullptr, 0)); };
  auto option = [](int level) {
    return [level] { return result_of(getsockopt(-1, level, SO_PEERCRED, nullptr, nullptr)); };
  };
  EXPECT_EQ(outcome(listening, accept), EBADF);
  EXPECT_EQ(outcome(listening, option(SOL_SOCKET)), EBADF);
  EXPECT_EQ(outcome(listening, option(SOL_SOCKET + 1)), kKilled);
  EXPECT_EQ(outcome(stream, accept), kKilled);
  EXPECT_EQ(outcome(as_plain_worker, accept), kKilled);
}

TEST(WorkerSandbox, GivesMemoryThatCannotBeExecuted) {
  auto map = [](int protection) {
    return [protection] {
      return mmap(nullptr, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
    };
  };
  EXPECT_EQ(outcome(as_plain_worker, map(PROT_READ | PROT_WRITE)), 0);
  EXPECT_EQ(outcome(as_plain_worker, map(PROT_READ | PROT_EXEC)), kKilled);
}

TEST(WorkerSandbox, AllowsOneIoctlAndOnlyWithAMacvtap) {
  auto with_macvtap = [] { return as_worker({.set_mac_address = true}); };
  auto set_mac = [] { return result_of(ioctl(-1, SIOCSIFHWADDR, nullptr)); };
  auto set_flags = [] { return result_of(ioctl(-1, SIOCSIFFLAGS, nullptr)); };
  EXPECT_EQ(outcome(with_macvtap, set_mac), EBADF);
  EXPECT_EQ(outcome(with_macvtap, set_flags), kKilled);
  EXPECT_EQ(outcome(as_plain_worker, set_mac), kKilled);
}

TEST(WorkerSandbox, OpensNoFile) {
  if (!has_landlock()) GTEST_SKIP() << "the kernel has no Landlock";
  auto files_only = [] {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return restrict_files(-1);
  };
  for (const char* path : {"/etc/hosts", "/proc/self/status", "/dev/null"}) {
    EXPECT_EQ(outcome(files_only, [path] { return result_of(open(path, O_RDONLY)); }), EACCES);
  }
}

// Until system calls are restricted, which leaves no bind().
TEST(WorkerSandbox, MakesASocketInItsFolderAndNothingElse) {
  if (!has_landlock()) GTEST_SKIP() << "the kernel has no Landlock";
  std::string path = testing::TempDir() + "vmnet-XXXXXX";
  ASSERT_NE(mkdtemp(path.data()), nullptr);
  auto with_folder = [&path] {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    UniqueFd folder(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    return restrict_files(folder.get());
  };
  auto bind_at = [](const std::string& name) {
    return [name] {
      sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
      name.copy(address.sun_path, sizeof(address.sun_path) - 1);
      UniqueFd made(socket(AF_UNIX, SOCK_DGRAM, 0));
      return result_of(
          bind(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
    };
  };
  EXPECT_EQ(outcome(with_folder, bind_at(path + "/socket")), 0);
  EXPECT_EQ(outcome(with_folder, bind_at(path + "x")), EACCES);
  std::string file = path + "/file";
  auto make = [&file] { return result_of(open(file.c_str(), O_RDWR | O_CREAT, 0600)); };
  auto remove = [&path] { return result_of(unlink((path + "/socket").c_str())); };
  EXPECT_EQ(outcome(with_folder, make), EACCES);
  EXPECT_EQ(outcome(with_folder, remove), EACCES);
  std::filesystem::remove_all(path);
}

TEST(KeeperSandbox, LetsTheseCallsThroughAndNoOther) {
  const std::set<std::string> expected = {
      "shutdown",        "bind",          "getsockname", "getsockopt",
      "setsockopt",      "recvfrom",      "recvmsg",     "sendmsg",
      "sendto",          "poll",          "ppoll",       "clock_gettime",
      "getrandom",       "getpid",        "read",        "write",
      "close",           "getdents64",    "fstat",       "unlinkat",
      "newfstatat",      "setgroups",     "setresgid",   "capset",
      "rt_sigreturn",    "exit_group",    "brk",         "munmap",
      "mremap",          "madvise",       "futex",       "restart_syscall",
      "clock_nanosleep", "rt_sigprocmask"};
  EXPECT_EQ(survived(as_keeper), expected);
}

TEST(KeeperSandbox, MakesNoFileAndRunsNothing) {
  EXPECT_EQ(outcome(as_keeper, [] { return result_of(open("/tmp/x", O_RDWR | O_CREAT, 0600)); }),
            kKilled);
  EXPECT_EQ(outcome(as_keeper, [] { return result_of(open("/tmp", O_RDWR | O_TMPFILE, 0600)); }),
            kKilled);
  EXPECT_EQ(outcome(as_keeper, [] { return result_of(execl("/bin/true", "true", nullptr)); }),
            kKilled);
  EXPECT_EQ(outcome(as_keeper, [] { return static_cast<int>(fork()); }), kKilled);
}

TEST(KeeperSandbox, ReadsWhereDnsServersAreNamedOnlyWhereItMust) {
  if (!has_landlock()) GTEST_SKIP() << "the kernel has no Landlock";
  auto reading = [](bool reads) {
    return [reads] { return restrict_keeper({.uid = geteuid(), .gid = getegid()}, {}, reads); };
  };
  auto may_open = [](const char* path, int flags) {
    return [path, flags] { return result_of(open(path, flags)); };
  };
  EXPECT_EQ(outcome(reading(true), may_open("/etc/passwd", O_RDONLY)), 0);
  EXPECT_EQ(outcome(reading(false), may_open("/etc/passwd", O_RDONLY)), EACCES);
  EXPECT_EQ(outcome(reading(true), may_open("/etc/passwd", O_WRONLY)), EACCES);
  EXPECT_EQ(outcome(reading(true), may_open("/usr/bin/env", O_RDONLY)), EACCES);
}

TEST(KeeperSandbox, BecomesTheUserAndNobodyElse) {
  uid_t own = geteuid();
  EXPECT_EQ(outcome(as_keeper, [own] { return result_of(setresuid(own, own, own)); }), 0);
  EXPECT_EQ(outcome(as_keeper, [own] { return result_of(setresuid(own, own + 1, own)); }), kKilled);
  EXPECT_EQ(outcome(as_keeper, [own] { return result_of(seteuid(own + 1)); }), kKilled);
}

TEST(KeeperSandbox, SpeaksNetlinkAndNoOtherProtocol) {
  auto make = [](int family, int type) {
    return [family, type] { return result_of(socket(family, type | SOCK_CLOEXEC, 0)); };
  };
  EXPECT_EQ(outcome(as_keeper, make(AF_NETLINK, SOCK_RAW)), 0);
  EXPECT_EQ(outcome(as_keeper, make(AF_INET, SOCK_DGRAM)), 0);  // to read iptables' tables
  EXPECT_EQ(outcome(as_keeper, make(AF_INET, SOCK_STREAM)), kKilled);
  EXPECT_EQ(outcome(as_keeper, make(AF_UNIX, SOCK_DGRAM)), kKilled);
  EXPECT_EQ(outcome(as_keeper, make(AF_PACKET, SOCK_RAW)), kKilled);
}

TEST(KeeperSandbox, HasTheKernelsNetworkSettingsAndTheSocketsFolderAndNoOtherFile) {
  if (!has_landlock()) GTEST_SKIP() << "the kernel has no Landlock";
  std::string path = testing::TempDir() + "vmnet-XXXXXX";
  ASSERT_NE(mkdtemp(path.data()), nullptr);
  std::ofstream(path + "/file").close();
  std::filesystem::create_directory(path + "/folder");
  auto with_folder = [&path] {
    SocketFiles files;
    files.directory = UniqueFd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return restrict_keeper({.uid = geteuid(), .gid = getegid()}, files, false);
  };
  auto read = [](const std::string& name) {
    return [name] { return result_of(open(name.c_str(), O_RDONLY)); };
  };
  EXPECT_EQ(outcome(with_folder, read("/proc/sys/net/ipv4/conf/lo/forwarding")), 0);
  EXPECT_EQ(outcome(with_folder, read("/etc/hosts")), EACCES);
  EXPECT_EQ(outcome(with_folder, read("/proc/sys/kernel/core_pattern")), EACCES);
  EXPECT_EQ(outcome(with_folder, read(path + "/file")), EACCES);
  std::string file = path + "/file";
  auto remove = [&file] { return result_of(unlinkat(AT_FDCWD, file.c_str(), 0)); };
  EXPECT_EQ(outcome(as_keeper, remove), EACCES);
  EXPECT_EQ(outcome(with_folder, remove), 0);
  std::filesystem::remove_all(path);
}

}  // namespace
}  // namespace vmnet
