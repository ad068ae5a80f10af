#include "helper/open_vm_socket.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "helper/bind_vm_socket_test_support.h"

namespace vmnet {
namespace {

using namespace testing;
using ::testing::HasSubstr;

// ---------------------------------------------------------------- --fd

TEST(AdoptVmSocket, TakesAnyKindOfPair) {
  auto types = packet_socket_types();
  types.push_back(SOCK_STREAM);
  for (int type : types) {
    SocketPair pair(type);
    ASSERT_EQ(::fcntl(pair.ours.get(), F_SETFD, 0), 0);
    int number = pair.ours.release();
    auto socket = adopt_vm_socket(number);
    ASSERT_TRUE(socket) << socket.error().message;
    EXPECT_EQ(socket->socket.get(), number);
    EXPECT_EQ(socket->type == SocketType::kStream, type == SOCK_STREAM);
    EXPECT_EQ(::fcntl(number, F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(::fcntl(number, F_GETFL) & O_NONBLOCK, 0);
  }
}

TEST(AdoptVmSocket, TheTypeAskedForMustBeTheSockets) {
  SocketPair stream(SOCK_STREAM);
  auto socket = adopt_vm_socket(stream.ours.get(), SocketType::kDatagram);
  ASSERT_FALSE(socket);
  EXPECT_THAT(socket.error().message, HasSubstr("--socket-type dgram: "));
  EXPECT_THAT(socket.error().message, HasSubstr("of type stream"));
  EXPECT_TRUE(adopt_vm_socket(stream.ours.release(), SocketType::kStream));
  for (int type : packet_socket_types()) {
    SocketPair pair(type);
    EXPECT_FALSE(adopt_vm_socket(pair.ours.get(), SocketType::kStream));
    EXPECT_TRUE(adopt_vm_socket(pair.ours.release(), SocketType::kDatagram));
  }
}

void expect_refused(int fd, const std::string& reason) {
  auto socket = adopt_vm_socket(fd);
  ASSERT_FALSE(socket);
  EXPECT_THAT(socket.error().message, HasSubstr(fmt::format("--fd {}: ", fd)));
  EXPECT_THAT(socket.error().message, HasSubstr(reason));
}

TEST(AdoptVmSocket, RefusesWhatIsNoVmSocket) {
  expect_refused(-1, "not a descriptor");
  expect_refused(1, "own");
  expect_refused(2, "own");
  expect_refused(999, "no such open descriptor");
  UniqueFd file(::open("/dev/null", O_RDWR | O_CLOEXEC));
  expect_refused(file.get(), "not a socket");
  UniqueFd udp(::socket(AF_INET, SOCK_DGRAM, 0));
  expect_refused(udp.get(), "not an AF_UNIX socket");
  UniqueFd lonely(::socket(AF_UNIX, SOCK_DGRAM, 0));
  expect_refused(lonely.get(), "not connected");
  EXPECT_GE(::fcntl(lonely.get(), F_GETFD), 0) << "still open";
}

// ---------------------------------------------------------------- --socket

TEST_F(BindVmSocket, ClientsReachTheSocketAtItsPath) {
  auto bound = bind(folder_ / "vm.sock");
  ASSERT_TRUE(bound) << bound.error().message;
  Client client(folder_ / "client", folder_ / "vm.sock");
  EXPECT_TRUE(client.connected());
  EXPECT_TRUE(client.send(frame_of(60, 1)));
  EXPECT_EQ(receive_all(bound->socket.get()).size(), 1U);
  EXPECT_EQ(::fcntl(bound->socket.get(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(::fcntl(bound->files.lock.get(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(::fcntl(bound->files.directory.get(), F_GETFD), FD_CLOEXEC);
}

TEST_F(BindVmSocket, RemovingItsFilesLeavesNothing) {
  auto bound = bind(folder_ / "vm.sock");
  ASSERT_TRUE(bound);
  EXPECT_FALSE(folder_.is_empty());
  remove_files(*bound);
  EXPECT_TRUE(folder_.is_empty());
  remove_files(*bound);
}

TEST_F(BindVmSocket, ARelativePathStartsAtTheStartDirectory) {
  std::filesystem::path here = std::filesystem::current_path();
  std::filesystem::create_directory(folder_ / "sub");
  auto bound = bind("sub/vm.sock");
  ASSERT_TRUE(bound) << bound.error().message;
  EXPECT_EQ(std::filesystem::current_path(), here);
  EXPECT_TRUE(Client(folder_ / "client", folder_ / "sub/vm.sock").connected());
  remove_files(*bound);
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "sub"));
}

TEST_F(BindVmSocket, APathLongerThanAnAddressWorksToo) {
  std::string deep = folder_ / std::string(100, 'd');
  std::filesystem::create_directory(deep);
  std::string path = deep + "/vm.sock";
  ASSERT_GT(path.size(), 107U);
  std::filesystem::path here = std::filesystem::current_path();
  for (int round = 0; round < 2; round++) {  // the second takes a stale one's place
    auto bound = bind(path);
    ASSERT_TRUE(bound) << bound.error().message;
    EXPECT_TRUE(S_ISSOCK(mode_of(path)));
    if (round == 1) remove_files(*bound);
  }
  EXPECT_TRUE(std::filesystem::is_empty(deep));
  EXPECT_EQ(std::filesystem::current_path(), here);
}

TEST_F(BindVmSocket, ModesAreTheUsersOwnUnderAnyUmask) {
  for (mode_t mask : std::initializer_list<mode_t>{0, 022, 077, 0777}) {
    mode_t saved = ::umask(mask);
    auto bound = bind(folder_ / "vm.sock");
    EXPECT_EQ(::umask(saved), mask);
    ASSERT_TRUE(bound) << bound.error().message;
    EXPECT_EQ(mode_of(folder_ / "vm.sock"), S_IFSOCK | 0600U);
    EXPECT_EQ(mode_of(folder_ / "vm.sock.lock"), S_IFREG | 0600U);
    remove_files(*bound);
  }
}

TEST_F(BindVmSocket, TheModeIsRightFromBirth) {
  pid_t watcher = ::fork();
  ASSERT_GE(watcher, 0);
  if (watcher == 0) {  // looks at the socket as often as it can, until it is killed
    while (true) {
      struct stat status{};
      if (::lstat((folder_ / "vm.sock").c_str(), &status) == 0 &&
          status.st_mode != (S_IFSOCK | 0600U)) {
        _exit(1);
      }
    }
  }
  mode_t saved = ::umask(0);
  for (int i = 0; i < 500; i++) {
    auto bound = bind(folder_ / "vm.sock");
    ASSERT_TRUE(bound);
    remove_files(*bound);
  }
  ::umask(saved);
  ::kill(watcher, SIGKILL);
  int status = 0;
  ASSERT_EQ(::waitpid(watcher, &status, 0), watcher);
  EXPECT_TRUE(WIFSIGNALED(status)) << "the watcher saw another mode";
}

TEST_F(BindVmSocket, TakesTheUsersOwnStaleSocketsPlace) {
  bind_datagram(folder_ / "vm.sock").reset();  // nobody holds it
  auto bound = bind(folder_ / "vm.sock");
  ASSERT_TRUE(bound) << bound.error().message;
  EXPECT_TRUE(Client(folder_ / "client", folder_ / "vm.sock").connected());
}

TEST_F(BindVmSocket, TakesThePlaceOfAHelperThatWasKilled) {
  {
    auto killed = bind(folder_ / "vm.sock");
  }  // its files stay, its lock does not
  auto bound = bind(folder_ / "vm.sock");
  ASSERT_TRUE(bound) << bound.error().message;
  remove_files(*bound);
  EXPECT_TRUE(folder_.is_empty());
}

TEST_F(BindVmSocket, ASecondHelperIsRefused) {
  auto first = bind(folder_ / "vm.sock");
  ASSERT_TRUE(first);
  expect_refused(folder_ / "vm.sock", "another vmnet-helper");
  EXPECT_TRUE(Client(folder_ / "client", folder_ / "vm.sock").connected());
}

TEST_F(BindVmSocket, TheLockLivesAsLongAsAnyProcessHoldsIt) {
  auto first = bind(folder_ / "vm.sock");
  ASSERT_TRUE(first);
  UniqueFd kept(::dup(first->files.lock.get()));  // as a forked keeper does
  first->files.lock.reset();
  first->socket.reset();
  expect_refused(folder_ / "vm.sock", "another vmnet-helper");
  kept.reset();
  EXPECT_TRUE(bind(folder_ / "vm.sock"));
}

TEST_F(BindVmSocket, RefusesWhatIsInTheWayAndLeavesItIntact) {
  std::ofstream(folder_ / "file") << "mine";
  std::filesystem::create_directory(folder_ / "folder");
  std::filesystem::create_symlink("file", folder_ / "link");
  std::filesystem::create_symlink("nowhere", folder_ / "dangling");
  bind_datagram(folder_ / "stale").reset();
  std::filesystem::create_symlink("stale", folder_ / "link-to-stale");
  ASSERT_EQ(::mkfifo((folder_ / "fifo").c_str(), 0600), 0);
  for (const char* name : {"file", "folder", "link", "dangling", "link-to-stale", "fifo"}) {
    mode_t before = mode_of(folder_ / name);
    expect_refused(folder_ / name, "no socket is in the way");
    EXPECT_EQ(mode_of(folder_ / name), before);
    EXPECT_FALSE(std::filesystem::exists(folder_ / (std::string(name) + ".lock")));
  }
  std::string content;
  std::ifstream(folder_ / "file") >> content;
  EXPECT_EQ(content, "mine");
}

TEST_F(BindVmSocket, RefusesASocketThatSomeoneUses) {
  UniqueFd used = bind_datagram(folder_ / "datagram");
  expect_refused(folder_ / "datagram", "a program is using this socket");
  UniqueFd stream(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address = address_of(folder_ / "stream");
  ASSERT_EQ(::bind(stream.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(::listen(stream.get(), 1), 0);
  expect_refused(folder_ / "stream", "a program is using this socket");
  // One that is connected to someone else turns our probe away with EPERM: it is in use, too.
  UniqueFd other = bind_datagram(folder_ / "other");
  address = address_of(folder_ / "other");
  ASSERT_EQ(::connect(used.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  expect_refused(folder_ / "datagram", "a program is using this socket");
  EXPECT_TRUE(S_ISSOCK(mode_of(folder_ / "datagram")));
  EXPECT_TRUE(S_ISSOCK(mode_of(folder_ / "stream")));
}

TEST_F(BindVmSocket, RefusesAnotherUsersStaleSocket) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to make another user's file";
  bind_datagram(folder_ / "vm.sock").reset();
  ASSERT_EQ(::chown((folder_ / "vm.sock").c_str(), 1000, 1000), 0);
  expect_refused(folder_ / "vm.sock", "another user (uid 1000)");
  EXPECT_TRUE(S_ISSOCK(mode_of(folder_ / "vm.sock")));
}

TEST_F(BindVmSocket, RefusesALockFileThatIsNone) {
  std::ofstream(folder_ / "a.lock") << "precious";
  std::filesystem::create_directory(folder_ / "b.lock");
  std::ofstream target(folder_ / "target");
  std::filesystem::create_symlink("target", folder_ / "c.lock");
  ASSERT_EQ(::mkfifo((folder_ / "d.lock").c_str(), 0600), 0);
  std::filesystem::create_symlink("nowhere", folder_ / "e.lock");
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    mode_t before = mode_of(folder_ / (std::string(name) + ".lock"));
    expect_refused(folder_ / name, std::string(name) + ".lock'");
    EXPECT_EQ(mode_of(folder_ / (std::string(name) + ".lock")), before);
    EXPECT_FALSE(std::filesystem::exists(folder_ / name));
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "nowhere"));
}

TEST_F(BindVmSocket, RefusesPathsThatNameNoFile) {
  EXPECT_FALSE(bind(""));
  expect_refused("/", "not the path of a file");
  expect_refused("folder/", "not the path of a file");
  expect_refused(".", "not the path of a file");
  expect_refused("x/..", "not the path of a file");
  expect_refused("missing/vm.sock", "cannot open its folder");
  constexpr size_t kMaxName = sizeof(sockaddr_un::sun_path) - 1;  // the system's own
  expect_refused(folder_ / std::string(kMaxName + 1, 'n'), std::to_string(kMaxName) + " bytes");
  EXPECT_TRUE(folder_.is_empty());
}

TEST_F(BindVmSocket, RemovesNoFileThatIsNotItsOwnAnyMore) {
  auto bound = bind(folder_ / "vm.sock");
  ASSERT_TRUE(bound);
  std::filesystem::remove(folder_ / "vm.sock");
  std::filesystem::remove(folder_ / "vm.sock.lock");
  std::ofstream(folder_ / "vm.sock") << "new";
  std::ofstream(folder_ / "vm.sock.lock") << "new";
  remove_files(*bound);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "vm.sock"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "vm.sock.lock"));
}

}  // namespace
}  // namespace vmnet
