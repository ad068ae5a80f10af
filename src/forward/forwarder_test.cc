#include "forward/forwarder.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "forward/wake_up.h"

namespace vmnet {
namespace {

using namespace std::chrono_literals;
using Frame = std::vector<uint8_t>;
using Clock = std::chrono::steady_clock;

constexpr auto kLongEnough = 10s;  // to fail rather than to hang

// An endpoint in memory: the test feeds it from one thread and sees what was written to it.
class FakeEndpoint : public Endpoint {
 public:
  FakeEndpoint() : ready_(*WakeUp::create()) {}

  void feed(const std::vector<Frame>& frames) {
    std::scoped_lock lock(mutex_);
    incoming_.insert(incoming_.end(), frames.begin(), frames.end());
    ready_.raise();
  }
  void close() {
    std::scoped_lock lock(mutex_);
    gone_ = true;
    ready_.raise();
  }
  void break_writes() {
    std::scoped_lock lock(mutex_);
    write_gone_ = true;
  }
  void be_ready_for_nothing() { ready_.raise(); }

  std::vector<Frame> wait_for_written(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kLongEnough, [&] { return written_.size() >= count; });
    return written_;
  }
  std::vector<size_t> write_sizes() {
    std::scoped_lock lock(mutex_);
    return write_sizes_;
  }

  int ready_fd() const override { return ready_.fd(); }

  Transfer read(ReceiveBatch& batch) override {
    std::scoped_lock lock(mutex_);
    Transfer transfer;
    size_t count = std::min(batch.capacity(), incoming_.size());
    for (size_t i = 0; i < count; i++) {
      const Frame& frame = incoming_.front();
      std::ranges::copy(frame, batch.slot(i).begin());
      batch.set_size(i, frame.size());
      incoming_.pop_front();
    }
    batch.set_count(count);
    transfer.frames = count;
    transfer.batched_calls = count > 0 ? 1 : 0;
    if (incoming_.empty()) {
      transfer.gone = gone_;
      if (!stay_ready) ready_.clear();
    }
    return transfer;
  }

  Transfer write(const SendBatch& batch) override {
    std::scoped_lock lock(mutex_);
    if (write_gone_) return {.drops = batch.count(), .gone = true};
    for (size_t i = 0; i < batch.count(); i++) {
      Frame frame;
      for (const iovec& part : batch.parts_of(i)) {
        const auto* bytes = static_cast<const uint8_t*>(part.iov_base);
        frame.insert(frame.end(), bytes, bytes + part.iov_len);
      }
      written_.push_back(frame);
    }
    write_sizes_.push_back(batch.count());
    changed_.notify_all();
    return {.frames = batch.count(), .bytes = batch.count(), .batched_calls = 1};
  }

  bool stay_ready = false;

 private:
  WakeUp ready_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Frame> incoming_;
  std::vector<Frame> written_;
  std::vector<size_t> write_sizes_;
  bool gone_ = false;
  bool write_gone_ = false;
};

// Frames that begin with 0 are malformed, those that begin with 1 fit nowhere, others pass.
class PickyTransform : public Transform {
 public:
  size_t process(ReceiveBatch& in, size_t first, SendBatch& out, uint64_t& drops) override {
    size_t i = first;
    for (; i < in.count() && out.has_room(1, 1); i++) {
      if (in.frame(i)[0] == 1) return i;
      if (in.frame(i)[0] == 0) {
        drops++;
        continue;
      }
      out.begin_frame();
      out.add_part(in.frame(i));
    }
    return i;
  }
};

class ForwarderTest : public ::testing::Test {
 protected:
  ~ForwarderTest() override { stop(); }

  void start(const BatchSizes& sizes = {.slot_size = 100}) {
    forwarder_.emplace(from_, to_, transform_, stats_, sizes);
    if (responder_ != nullptr) forwarder_->enable_ticks(*responder_, *sink_);
    thread_ = std::thread([this] { end_ = forwarder_->run(stop_.fd()); });
  }
  ForwardEnd wait_for_end() {
    thread_.join();
    return end_;
  }
  ForwardEnd stop() {
    stop_.raise();
    if (thread_.joinable()) thread_.join();
    return end_;
  }

  FakeEndpoint from_;
  FakeEndpoint to_;
  PickyTransform transform_;
  DirectionStats stats_;
  FrameResponder* responder_ = nullptr;
  FrameSink* sink_ = nullptr;

 private:
  WakeUp stop_ = *WakeUp::create();
  std::optional<Forwarder> forwarder_;
  std::thread thread_;
  ForwardEnd end_ = ForwardEnd::kStopped;
};

TEST_F(ForwarderTest, MovesFramesInOrder) {
  start();
  std::vector<Frame> frames;
  for (uint8_t i = 2; i < 250; i++) frames.push_back({i, i, i});
  from_.feed(frames);
  EXPECT_EQ(to_.wait_for_written(frames.size()), frames);
  EXPECT_EQ(stop(), ForwardEnd::kStopped);
  EXPECT_EQ(stats_.counts().packets, frames.size());
  EXPECT_EQ(stats_.counts().drops, 0U);
}

TEST_F(ForwarderTest, WritesInPiecesWhatDoesNotFitOneBatch) {
  start({.read_slots = 10, .slot_size = 100, .write_frames = 4, .write_parts = 4});
  std::vector<Frame> frames(10, Frame{7});
  from_.feed(frames);
  EXPECT_EQ(to_.wait_for_written(10), frames);
  stop();
  EXPECT_EQ(to_.write_sizes(), (std::vector<size_t>{4, 4, 2}));
}

TEST_F(ForwarderTest, CountsMalformedFramesAndGoesOn) {
  start();
  from_.feed({{0}, {5}, {0}, {6}});
  EXPECT_EQ(to_.wait_for_written(2), (std::vector<Frame>{{5}, {6}}));
  stop();
  EXPECT_EQ(stats_.counts().drops, 2U);
  EXPECT_EQ(stats_.counts().packets, 2U);
}

TEST_F(ForwarderTest, LosesAFrameThatFitsNoBatchRatherThanStandingStill) {
  start();
  from_.feed({{5}, {1}, {6}});
  EXPECT_EQ(to_.wait_for_written(2), (std::vector<Frame>{{5}, {6}}));
  stop();
  EXPECT_EQ(stats_.counts().drops, 1U);
}

TEST_F(ForwarderTest, StopsWhileIdle) {
  start();
  auto before = Clock::now();
  EXPECT_EQ(stop(), ForwardEnd::kStopped);
  EXPECT_LT(Clock::now() - before, kLongEnough);
}

TEST_F(ForwarderTest, StopsUnderAnEndlessFlood) {
  std::atomic<bool> flooding = true;
  std::thread flood([&] {
    while (flooding) from_.feed(std::vector<Frame>(64, Frame{9}));
  });
  start({.read_slots = 4, .slot_size = 100, .write_frames = 4, .write_parts = 4});
  to_.wait_for_written(100);
  EXPECT_EQ(stop(), ForwardEnd::kStopped);
  flooding = false;
  flood.join();
}

TEST_F(ForwarderTest, DeliversTheLastFramesOfASourceThatGoes) {
  from_.feed({{5}});
  from_.close();
  start();
  EXPECT_EQ(wait_for_end(), ForwardEnd::kSourceGone);
  EXPECT_EQ(to_.wait_for_written(1).size(), 1U);
}

TEST_F(ForwarderTest, EndsWhenTheTargetIsGone) {
  to_.break_writes();
  start();
  from_.feed({{5}, {6}});
  EXPECT_EQ(wait_for_end(), ForwardEnd::kTargetGone);
  EXPECT_EQ(stats_.counts().drops, 2U);
}

TEST_F(ForwarderTest, EndsRatherThanSpinsOnASourceThatIsReadyForNothing) {
  from_.stay_ready = true;
  from_.be_ready_for_nothing();
  start();
  EXPECT_EQ(wait_for_end(), ForwardEnd::kSourceGone);
}

class CountingResponder : public FrameResponder {
 public:
  explicit CountingResponder(std::optional<std::chrono::milliseconds> delay) : delay_(delay) {}
  bool handle(std::span<const uint8_t> /*frame*/, FrameSink& /*vm*/) override { return false; }
  std::optional<std::chrono::milliseconds> tick(FrameSink& vm) override {
    vm.send({});
    return delay_;
  }

 private:
  std::optional<std::chrono::milliseconds> delay_;
};

class CountingSink : public FrameSink {
 public:
  void send(std::span<const uint8_t> /*frame*/) override {
    std::scoped_lock lock(mutex_);
    count_++;
    changed_.notify_all();
  }
  bool wait_for(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kLongEnough, [&] { return count_ >= count; });
  }
  int count() {
    std::scoped_lock lock(mutex_);
    return count_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
};

TEST_F(ForwarderTest, TicksWithoutTraffic) {
  CountingResponder responder(2ms);
  CountingSink sink;
  responder_ = &responder;
  sink_ = &sink;
  start();
  EXPECT_TRUE(sink.wait_for(5));
  stop();
}

TEST_F(ForwarderTest, TicksUnderAnEndlessFlood) {
  CountingResponder responder(1ms);
  CountingSink sink;
  responder_ = &responder;
  sink_ = &sink;
  std::atomic<bool> flooding = true;
  std::thread flood([&] {
    while (flooding) from_.feed(std::vector<Frame>(64, Frame{0}));
  });
  start({.read_slots = 4, .slot_size = 100, .write_frames = 4, .write_parts = 4});
  EXPECT_TRUE(sink.wait_for(5));
  stop();
  flooding = false;
  flood.join();
}

TEST_F(ForwarderTest, AResponderWithNothingDueTicksOnce) {
  CountingResponder responder(std::nullopt);
  CountingSink sink;
  responder_ = &responder;
  sink_ = &sink;
  start();
  from_.feed({{5}});
  to_.wait_for_written(1);
  from_.feed({{5}});
  to_.wait_for_written(2);
  stop();
  EXPECT_EQ(sink.count(), 1);
}

}  // namespace
}  // namespace vmnet
