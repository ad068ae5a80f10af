// Both directions of the cable at once, on real sockets: a stand-in VM at one end, a stand-in for
// the host's interface at the other.
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <new>
#include <numeric>
#include <thread>

#include <gtest/gtest.h>
#include <poll.h>

#include "forward/forwarder.h"
#include "forward/vm_socket.h"
#include "forward/vm_socket_test_support.h"
#include "forward/wake_up.h"

namespace {

// Counts the allocations of the threads that ask for it.
thread_local bool count_allocations = false;
std::atomic<size_t> allocations = 0;

void* counted_allocation(size_t size) {
  if (count_allocations) allocations++;
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) std::abort();
  return memory;
}

}  // namespace

void* operator new(size_t size) { return counted_allocation(size); }
void* operator new[](size_t size) { return counted_allocation(size); }
// NOLINTBEGIN(clang-analyzer-cplusplus.NewDelete): the analyzer takes operator delete for its
// caller.
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t /*size*/) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t /*size*/) noexcept { std::free(memory); }
// NOLINTEND(clang-analyzer-cplusplus.NewDelete)

namespace vmnet {
namespace {

using namespace testing;
using Clock = std::chrono::steady_clock;

class PassTransform : public Transform {
 public:
  size_t process(ReceiveBatch& in, size_t first, SendBatch& out, uint64_t& /*drops*/) override {
    size_t i = first;
    for (; i < in.count() && out.has_room(1, 1); i++) {
      out.begin_frame();
      out.add_part(in.frame(i));
    }
    return i;
  }
};

class CableTest : public ::testing::Test {
 protected:
  CableTest()
      : vm_end_(*VmSocket::connected(UniqueFd(::dup(vm_.ours.get())), kBatch, to_vm_stats_)),
        host_end_(*VmSocket::connected(UniqueFd(::dup(host_.ours.get())), kBatch, to_vm_stats_)),
        to_host_(*vm_end_, *host_end_, pass_, to_host_stats_, kSizes),
        to_vm_(*host_end_, *vm_end_, pass_, to_vm_stats_, kSizes) {
    (void)std::signal(SIGPIPE, SIG_IGN);  // as the helper does
    raise_buffers(vm_.ours.get());
    raise_buffers(host_.ours.get());
    to_host_thread_ = run(to_host_, to_host_end_);
    to_vm_thread_ = run(to_vm_, to_vm_end_);
  }
  ~CableTest() override { stop(); }

  void stop() {
    stop_.raise();
    if (to_host_thread_.joinable()) to_host_thread_.join();
    if (to_vm_thread_.joinable()) to_vm_thread_.join();
  }

  // Sends with waiting, as a VM does; counts what goes.
  static void send_all(int fd, size_t count, const Frame& frame) {
    for (size_t i = 0; i < count; i++) {
      ASSERT_EQ(::send(fd, frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
    }
  }

  static size_t receive_count(int fd, size_t count) {
    size_t received = 0;
    Frame buffer(2000);
    while (received < count) {
      pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
      if (::poll(&entry, 1, 10000) != 1) break;
      while (::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT) > 0) received++;
    }
    return received;
  }

  int vm() const { return vm_.vm.get(); }
  int host() const { return host_.vm.get(); }

  static constexpr size_t kBatch = 64;
  static constexpr BatchSizes kSizes = {.read_slots = kBatch, .slot_size = 1514};

  SocketPair vm_{SOCK_DGRAM};
  SocketPair host_{SOCK_DGRAM};
  DirectionStats to_host_stats_;
  DirectionStats to_vm_stats_;
  PassTransform pass_;
  std::unique_ptr<VmSocket> vm_end_;
  std::unique_ptr<VmSocket> host_end_;
  Forwarder to_host_;
  Forwarder to_vm_;
  ForwardEnd to_host_end_ = ForwardEnd::kStopped;
  ForwardEnd to_vm_end_ = ForwardEnd::kStopped;
  std::thread to_host_thread_;
  std::thread to_vm_thread_;

 private:
  std::thread run(Forwarder& forwarder, ForwardEnd& end) {
    return std::thread([&] {
      count_allocations = true;
      end = forwarder.run(stop_.fd());
    });
  }

  WakeUp stop_ = *WakeUp::create();
};

// In portions that fit the sockets' queues: nothing is lost however slowly this machine runs.
constexpr size_t kPortion = 500;
constexpr int kPortions = 40;

TEST_F(CableTest, CarriesBothDirectionsAtOnceWithoutAllocating) {
  size_t before = allocations;
  for (int i = 0; i < kPortions; i++) {
    std::thread from_vm([&] { send_all(vm(), kPortion, frame_of(1514, 1)); });
    std::thread to_vm([&] { EXPECT_EQ(receive_count(vm(), kPortion), kPortion); });
    std::thread from_host([&] { send_all(host(), kPortion, frame_of(60, 2)); });
    EXPECT_EQ(receive_count(host(), kPortion), kPortion);
    from_vm.join();
    to_vm.join();
    from_host.join();
  }
  stop();
  EXPECT_EQ(allocations, before);
  EXPECT_EQ(to_host_stats_.counts().packets, kPortion * kPortions);
  EXPECT_EQ(to_host_stats_.counts().bytes, kPortion * kPortions * 1514);
  EXPECT_EQ(to_vm_stats_.counts().packets, kPortion * kPortions);
  EXPECT_EQ(to_host_stats_.counts().drops + to_vm_stats_.counts().drops, 0U);
  EXPECT_EQ(to_host_stats_.counts().slow, 0U);
}

TEST_F(CableTest, AVmThatStopsReadingHoldsUpNothingElse) {
  // Flood a VM that does not read, until frames towards it are lost.
  std::atomic<bool> flooding = true;
  std::thread flood([&] {
    while (flooding) send_to(host(), frame_of(1514, 1));
  });
  ASSERT_TRUE(wait_until([&] { return to_vm_stats_.counts().drops > 0; }));
  for (int i = 0; i < kPortions; i++) {
    std::thread from_vm([&] { send_all(vm(), kPortion, frame_of(1514, 2)); });
    EXPECT_EQ(receive_count(host(), kPortion), kPortion);
    from_vm.join();
  }
  EXPECT_EQ(to_host_stats_.counts().drops, 0U);

  // It reads again: what is sent now arrives.
  flooding = false;
  flood.join();
  receive_all(vm());
  ASSERT_TRUE(wait_until([&] {
    send_to(host(), frame_of(77, 7));
    auto frames = receive_all(vm());
    return !frames.empty() && frames.back() == frame_of(77, 7);
  }));
}

TEST_F(CableTest, EveryFrameSizeIsSurvived) {
  uint64_t good = 0;
  uint64_t sent = 0;
  for (size_t size = 0; size <= 70000; size = size < 1600 ? size + 1 : size + 997) {
    Frame frame = frame_of(size, 1);
    ASSERT_EQ(::send(vm(), frame.data(), frame.size(), 0), static_cast<ssize_t>(size));
    sent++;
    if (size < 14 || size > 1514) continue;
    good++;
    ASSERT_EQ(receive_count(host(), 1), 1U) << size;  // at once: this is not about queues
  }
  EXPECT_TRUE(wait_until([&] {
    auto counts = to_host_stats_.counts();
    return counts.packets + counts.drops == sent;
  }));
  EXPECT_EQ(to_host_stats_.counts().packets, good);
  EXPECT_TRUE(receive_all(host()).empty());
}

TEST_F(CableTest, ADescriptorShutDownByAnotherHolderEndsTheDirectionRatherThanSpins) {
  ASSERT_EQ(::shutdown(vm_.ours.get(), SHUT_RD), 0);
  to_host_thread_.join();
  EXPECT_EQ(to_host_end_, ForwardEnd::kSourceGone);
}

TEST_F(CableTest, AClosedVmEndsTheDirectionTowardsIt) {
  vm_.vm.reset();
  send_to(host(), frame_of(60, 1));
  to_vm_thread_.join();
  EXPECT_EQ(to_vm_end_, ForwardEnd::kTargetGone);
}

}  // namespace
}  // namespace vmnet
