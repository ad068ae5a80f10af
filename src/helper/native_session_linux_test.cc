#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "base/descriptor_passing.h"
#include "forward/wake_up.h"
#include "helper/native_session.h"

namespace vmnet {
namespace {

using std::chrono::milliseconds;

std::string text_of(std::span<const uint8_t> bytes) { return {bytes.begin(), bytes.end()}; }

// A device of pipes and lists.
class FakeDevice final : public NativeDevice {
 public:
  UniqueFd take_descriptor() override { return std::move(device); }
  int request_fd() const override { return asked.fd(); }
  std::span<const uint8_t> next_request() override {
    asked.clear();
    if (next == requests.size()) return {};
    const std::string& request = requests[next++];
    return {reinterpret_cast<const uint8_t*>(request.data()), request.size()};
  }
  int gone_fd() const override { return gone.fd(); }
  void send(std::span<const uint8_t> frame) override { sent.push_back(text_of(frame)); }

  UniqueFd device;
  std::vector<std::string> requests;
  size_t next = 0;
  std::vector<std::string> sent;
  WakeUp asked = WakeUp::create().value();
  WakeUp gone = WakeUp::create().value();
};

// Answers everything, and ticks until it has done so as often as it should.
class FakeResponder final : public FrameResponder {
 public:
  FakeResponder(std::atomic<int>& ticks, const WakeUp& stop) : ticks_(ticks), stop_(stop) {}

  bool handle(std::span<const uint8_t> frame, FrameSink& vm) override {
    std::string answer = "re: " + text_of(frame);
    vm.send({reinterpret_cast<const uint8_t*>(answer.data()), answer.size()});
    stop_.raise();
    return true;
  }
  std::optional<milliseconds> tick(FrameSink& /*vm*/) override {
    if (++ticks_ == 3) return std::nullopt;
    return milliseconds(1);
  }

 private:
  std::atomic<int>& ticks_;
  const WakeUp& stop_;
};

class FakeInterface final : public HostInterface {
 public:
  const Description& description() const override { return description_; }
  Endpoint& endpoint() override { std::abort(); }
  NativeDevice* native_device() override { return &device; }
  bool has_offload() const override { return true; }
  bool takes_udp_segments() const override { return true; }
  std::unique_ptr<FrameResponder> make_responder() override {
    if (!answers) return nullptr;
    return std::make_unique<FakeResponder>(ticks, stop_flag);
  }
  int lost_fd() const override { return lost.fd(); }
  SystemCallNeeds system_call_needs() const override { return {}; }
  Status note_socket_file(const SocketFile& /*file*/) override { return {}; }
  void stop() override {}

  bool answers = true;
  std::atomic<int> ticks = 0;
  FakeDevice device;
  WakeUp lost = WakeUp::create().value();
  WakeUp stop_flag = WakeUp::create().value();

 private:
  Description description_;
};

class NativeSessionTest : public testing::Test {
 protected:
  void SetUp() override { connect(SOCK_DGRAM); }

  void connect(int type) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, type, 0, ends.data()), 0);
    own_.reset(ends[0]);
    vm_.reset(ends[1]);
  }

  NativeSession session() {
    auto watch = PeerWatch::open(own_.get());
    return {interface_, watch ? std::move(*watch) : PeerWatch::blind(), own_.get(),
            interface_.stop_flag.fd()};
  }

  FakeInterface interface_;
  UniqueFd own_;
  UniqueFd vm_;
};

TEST_F(NativeSessionTest, HandsTheDeviceOver) {
  auto pipe = WakeUp::create().value();
  interface_.device.device = UniqueFd(::dup(pipe.fd()));
  auto running = session();
  ASSERT_TRUE(running.hand_over());
  EXPECT_FALSE(interface_.device.device.valid());
  std::array<uint8_t, 16> text{};
  auto received = receive_with_descriptor(vm_.get(), text);
  ASSERT_TRUE(received);
  EXPECT_EQ(text_of({text.data(), received->size}), "TAP");
  EXPECT_TRUE(received->descriptor.valid());
}

TEST_F(NativeSessionTest, HandsOverToAVmThatHasGone) {
  interface_.device.device = UniqueFd(::dup(0));
  vm_.reset();
  auto running = session();
  EXPECT_TRUE(running.hand_over());
  EXPECT_EQ(running.run(), SessionEnd::kVmGone);
}

TEST_F(NativeSessionTest, NothingToHandOverIsAnError) {
  interface_.device.device = UniqueFd(1000000);  // not open
  auto running = session();
  auto handed = running.hand_over();
  ASSERT_FALSE(handed);
  EXPECT_EQ(handed.error().message.find("cannot hand the device to the VM"), 0U);
}

TEST_F(NativeSessionTest, AnswersRequestsInOrder) {
  interface_.device.requests = {"discover", "request"};
  interface_.device.asked.raise();
  auto running = session();
  EXPECT_EQ(running.run(), SessionEnd::kStopped);
  EXPECT_EQ(interface_.device.sent, (std::vector<std::string>{"re: discover", "re: request"}));
}

TEST_F(NativeSessionTest, TicksUntilThereIsNoMore) {
  std::thread stopper([this] {
    while (interface_.ticks < 3) std::this_thread::sleep_for(milliseconds(1));
    interface_.stop_flag.raise();
  });
  auto running = session();
  EXPECT_EQ(running.run(), SessionEnd::kStopped);
  stopper.join();
  EXPECT_EQ(interface_.ticks, 3);
}

TEST_F(NativeSessionTest, WithoutAResponderNothingIsRead) {
  interface_.answers = false;
  interface_.device.requests = {"discover"};
  interface_.device.asked.raise();
  interface_.stop_flag.raise();
  auto running = session();
  EXPECT_EQ(running.run(), SessionEnd::kStopped);
  EXPECT_EQ(interface_.device.next, 0U);
}

TEST_F(NativeSessionTest, EndsWithTheDevice) {
  interface_.device.gone.raise();
  auto running = session();
  EXPECT_EQ(running.run(), SessionEnd::kVmGone);
}

TEST_F(NativeSessionTest, ALostKeeperIsAnErrorThoughTheDeviceGoesToo) {
  interface_.device.gone.raise();
  interface_.lost.raise();
  auto running = session();
  EXPECT_EQ(running.run(), SessionEnd::kInterfaceLost);
}

TEST_F(NativeSessionTest, EndsWithTheVmsSocketOfEitherKind) {
  for (int type : {SOCK_DGRAM, SOCK_SEQPACKET}) {
    connect(type);
    auto running = session();
    vm_.reset();
    EXPECT_EQ(running.run(), SessionEnd::kVmGone);
  }
}

}  // namespace
}  // namespace vmnet
