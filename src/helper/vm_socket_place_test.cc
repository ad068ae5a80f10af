// The place of --socket and its lock: who has it, what may take it, when the file is there.

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "helper/bind_vm_socket_test_support.h"

namespace vmnet {
namespace {

using namespace testing;
using ::testing::HasSubstr;

using VmSocketPlaceTest = BindVmSocket;

TEST_F(VmSocketPlaceTest, APlaceIsTakenWithoutAFile) {
  bind_datagram(folder_ / "vm.sock").reset();
  auto vm = take_vm_socket_place(folder_ / "vm.sock", start_.get());
  ASSERT_TRUE(vm) << vm.error().message;
  EXPECT_FALSE(std::filesystem::exists(folder_ / "vm.sock"));
  EXPECT_EQ(mode_of(folder_ / "vm.sock.lock"), S_IFREG | 0600U);
  expect_refused(folder_ / "vm.sock", "another vmnet-helper");
  remove_socket_files(vm->place.files, {});
  EXPECT_TRUE(folder_.is_empty());
}

// Whoever removes the files is told before the file can be there, so that no moment of an end
// leaves it behind.
TEST_F(VmSocketPlaceTest, NewsOfTheFileComesBeforeAndAfter) {
  auto vm = take_vm_socket_place(folder_ / "vm.sock", start_.get());
  ASSERT_TRUE(vm);
  std::vector<SocketFile> told;
  auto note = [&](const SocketFile& news) -> Status {
    EXPECT_EQ(std::filesystem::exists(folder_ / "vm.sock"), !told.empty());
    told.push_back(news);
    return {};
  };
  ASSERT_TRUE(bind_vm_socket(vm->socket.get(), vm->place, SocketType::kDatagram, note));
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0].state, SocketFile::State::kBeingMade);
  EXPECT_EQ(told[1].state, SocketFile::State::kMade);
  remove_socket_files(vm->place.files, told[0]);
  EXPECT_TRUE(folder_.is_empty());
}

TEST_F(VmSocketPlaceTest, WhatTookItsPlaceMeanwhileStays) {
  auto vm = take_vm_socket_place(folder_ / "vm.sock", start_.get());
  ASSERT_TRUE(vm);
  UniqueFd other = bind_datagram(folder_ / "vm.sock");
  SocketFile file;
  auto note = [&](const SocketFile& news) -> Status {
    file = news;
    return {};
  };
  auto bound = bind_vm_socket(vm->socket.get(), vm->place, SocketType::kDatagram, note);
  ASSERT_FALSE(bound);
  EXPECT_THAT(bound.error().message, HasSubstr("cannot bind it"));
  EXPECT_EQ(file.state, SocketFile::State::kGivenUp);
  remove_socket_files(vm->place.files, file);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "vm.sock"));
}

TEST_F(VmSocketPlaceTest, NothingIsBoundWhereNobodyTakesTheNews) {
  auto vm = take_vm_socket_place(folder_ / "vm.sock", start_.get());
  ASSERT_TRUE(vm);
  auto deaf = [](const SocketFile&) -> Status { return fail("gone"); };
  EXPECT_FALSE(bind_vm_socket(vm->socket.get(), vm->place, SocketType::kDatagram, deaf));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "vm.sock"));
}

// A file that may be ours is a socket of the user's.
TEST_F(VmSocketPlaceTest, AFileThatMayBeItsOwnIsASocket) {
  auto vm = take_vm_socket_place(folder_ / "vm.sock", start_.get());
  ASSERT_TRUE(vm);
  std::ofstream(folder_ / "vm.sock") << "mine";
  remove_socket_files(vm->place.files, {.state = SocketFile::State::kBeingMade});
  EXPECT_TRUE(std::filesystem::exists(folder_ / "vm.sock"));
}

bool is_open_at(int fd, const std::string& path) {
  struct stat open{};
  struct stat named{};
  return ::fstat(fd, &open) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         open.st_ino == named.st_ino;
}

// Counters that child processes share with their parent.
struct Shared {
  std::atomic<int> started = 0;
  std::atomic<int> won = 0;
  std::atomic<int> lost = 0;
};

Shared* make_shared_memory() {
  void* memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return new (memory) Shared;
}

void reap(int count) {
  for (int i = 0; i < count; i++) {
    int status = 0;
    ASSERT_GT(::wait(&status), 0);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
  }
}

TEST_F(VmSocketPlaceTest, OfParallelStartsExactlyOneWins) {
  constexpr int kStarts = 8;
  for (int round = 0; round < 25; round++) {
    Shared* shared = make_shared_memory();
    if (round % 2 == 0) bind_datagram(folder_ / "vm.sock").reset();  // with and without a stale one
    for (int i = 0; i < kStarts; i++) {
      pid_t pid = ::fork();
      ASSERT_GE(pid, 0);
      if (pid != 0) continue;
      shared->started++;
      while (shared->started < kStarts) ::sched_yield();
      auto bound = bind(folder_ / "vm.sock");
      (bound ? shared->won : shared->lost)++;
      while (shared->won + shared->lost < kStarts) ::sched_yield();
      if (bound) remove_files(*bound);
      _exit(0);
    }
    reap(kStarts);
    EXPECT_EQ(shared->won, 1) << round;
    EXPECT_TRUE(folder_.is_empty()) << round;
    ::munmap(shared, sizeof(Shared));
  }
}

// Takes the lock as a helper does and removes its file at once, again and again.
[[noreturn]] void lock_and_remove(const std::string& path) {
  while (true) {
    UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (lock.valid() && ::flock(lock.get(), LOCK_EX | LOCK_NB) == 0 &&
        is_open_at(lock.get(), path)) {
      ::unlink(path.c_str());
    }
  }
}

TEST_F(VmSocketPlaceTest, ALockWhoseFileVanishedAsItWasTakenIsNone) {
  std::string lock = folder_ / "vm.sock.lock";
  pid_t other = ::fork();
  ASSERT_GE(other, 0);
  if (other == 0) lock_and_remove(lock);
  int stale = 0;
  for (int i = 0; i < 20000; i++) {
    auto bound = bind(folder_ / "vm.sock");
    if (!bound) continue;
    if (!is_open_at(bound->files.lock.get(), lock)) stale++;
    remove_files(*bound);
  }
  ::kill(other, SIGKILL);
  ASSERT_EQ(::waitpid(other, nullptr, 0), other);
  EXPECT_EQ(stale, 0);
}

}  // namespace
}  // namespace vmnet
