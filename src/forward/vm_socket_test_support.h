// What tests of the VM's socket share: folders, clients and batches.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/unique_fd.h"
#include "forward/stats.h"
#include "forward/vm_socket.h"
#include "platform/frame_batch_test_support.h"

namespace vmnet::testing {

inline constexpr std::chrono::seconds kLongEnough{10};  // to fail rather than to hang

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string path = ::testing::TempDir() + "vmnet-XXXXXX";
    path_ = ::mkdtemp(path.data());
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  bool is_empty() const { return std::filesystem::is_empty(path_); }

 private:
  std::string path_;
};

// Linux's default as it counts it; on macOS the largest datagram, and the receiver's is the queue.
inline void set_buffers(int fd) {
  constexpr int kSend = 106496;
  constexpr int kReceive = 4 << 20;
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSend, sizeof(kSend));
  ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kReceive, sizeof(kReceive));
}

// The types of AF_UNIX sockets that keep datagrams apart: macOS has no SOCK_SEQPACKET.
inline std::vector<int> packet_socket_types() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET, 0));
  if (!fd.valid()) return {SOCK_DGRAM};
  return {SOCK_DGRAM, SOCK_SEQPACKET};
}

struct SocketPair {
  explicit SocketPair(int type) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, type, 0, ends.data()), 0);
    ours = UniqueFd(ends[0]);
    vm = UniqueFd(ends[1]);
    for (int end : ends) set_buffers(end);
  }
  UniqueFd ours;
  UniqueFd vm;
};

inline sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return address;
}

inline UniqueFd make_datagram_socket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM, 0));
  if (!fd.valid()) std::abort();
  set_buffers(fd.get());
  return fd;
}

inline bool connect_to_path(int fd, const std::string& path) {
  sockaddr_un address = address_of(path);
  return ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
}

inline UniqueFd bind_datagram(const std::string& path) {
  UniqueFd fd = make_datagram_socket();
  sockaddr_un address = address_of(path);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0) << path;
  return fd;
}

// As a VM does: binds its own path, connects to the helper's.
class Client {
 public:
  Client(const std::string& path, const std::string& helper)
      : fd_(bind_datagram(path)), connected_(connect_to_path(fd_.get(), helper)) {}

  bool connected() const { return connected_; }
  int fd() const { return fd_.get(); }
  void close() { fd_.reset(); }

  bool send(const Frame& frame) const {
    return ::send(fd_.get(), frame.data(), frame.size(), MSG_DONTWAIT) >= 0;
  }
  bool greet() const { return ::send(fd_.get(), "VFKT", 4, MSG_DONTWAIT) == 4; }

 private:
  UniqueFd fd_;
  bool connected_;
};

inline bool send_to(int fd, const Frame& frame) {
  return ::send(fd, frame.data(), frame.size(), MSG_DONTWAIT) >= 0;
}

// All datagrams that are there.
inline std::vector<Frame> receive_all(int fd) {
  std::vector<Frame> frames;
  std::vector<uint8_t> buffer(70000);
  while (true) {
    ssize_t size = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0) return frames;
    frames.emplace_back(buffer.begin(), buffer.begin() + size);
    if (size == 0 && frames.size() > 100000) return frames;  // end of file of a SEQPACKET
  }
}

inline void fill(SendBatch& batch, const std::vector<Frame>& frames) {
  batch.clear();
  for (const Frame& frame : frames) {
    batch.begin_frame();
    // In two parts, as a split segment's header and payload are.
    std::span<const uint8_t> bytes(frame);
    batch.add_part(bytes.first(bytes.size() / 2));
    batch.add_part(bytes.subspan(bytes.size() / 2));
  }
}

inline size_t count_of_open_descriptors() {
  auto entries = std::filesystem::directory_iterator("/dev/fd");
  return static_cast<size_t>(std::distance(begin(entries), end(entries)));
}

template <typename Condition>
bool wait_until(const Condition& condition) {
  auto end = std::chrono::steady_clock::now() + kLongEnough;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

inline constexpr size_t kMaxFrame = 1514;
inline constexpr size_t kBatch = 64;

// A VM's socket, read and written by the test's own thread.
class VmSocketTest : public ::testing::Test {
 protected:
  // As the helper does.
  VmSocketTest() { (void)std::signal(SIGPIPE, SIG_IGN); }

  std::vector<Frame> read() {
    last_read_ = socket_->read(in_);
    return frames_in(in_);
  }
  Transfer write(const std::vector<Frame>& frames) {
    fill(out_, frames);
    return socket_->write(out_);
  }

  DirectionStats replies_;
  ReceiveBatch in_{kBatch, kMaxFrame};
  SendBatch out_{4096, 8192};
  std::unique_ptr<VmSocket> socket_;
  Transfer last_read_;
};

// One end of a socketpair.
class ConnectedVmSocketTest : public VmSocketTest, public ::testing::WithParamInterface<int> {
 protected:
  ConnectedVmSocketTest() : pair_(GetParam()) {
    auto socket = VmSocket::connected(std::move(pair_.ours), kBatch, replies_);
    if (socket) socket_ = std::move(*socket);
  }
  int vm() const { return pair_.vm.get(); }
  void close_vm() { pair_.vm.reset(); }

  SocketPair pair_;
};

// One that waits at path() for its client.
class BoundVmSocketTest : public VmSocketTest {
 protected:
  BoundVmSocketTest() {
    auto socket = VmSocket::bound(bind_datagram(path()), ::geteuid(), kBatch, replies_);
    if (socket) socket_ = std::move(*socket);
  }

  std::string path() const { return folder_ / "helper"; }
  std::string path(const std::string& name) const { return folder_ / name; }

  TemporaryFolder folder_;
};

}  // namespace vmnet::testing
