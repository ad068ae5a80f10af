#include "forward/capture.h"

#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "forward/vm_socket_test_support.h"
#include "wire/bytes.h"
#include "wire/pcapng.h"

namespace vmnet {
namespace {

using namespace testing;

struct Captured {
  uint32_t direction = 0;
  uint64_t time = 0;
  std::vector<uint8_t> frame;
};

// The frames of a file, whose other blocks are passed over.
std::vector<Captured> frames_of(const std::vector<uint8_t>& file) {
  std::vector<Captured> frames;
  for (size_t at = 0; at + 12 <= file.size(); at += pcapng_block_size(&file[at])) {
    if (at + pcapng_block_size(&file[at]) > file.size()) break;  // torn
    if (load_native<uint32_t>(&file[at]) != 6) continue;
    uint32_t size = load_native<uint32_t>(&file[at + 20]);
    uint32_t flags = load_native<uint32_t>(&file[at + pcapng_block_size(&file[at]) - 12]);
    frames.push_back(
        {flags, pcapng_packet_time(&file[at]), {&file[at + 28], &file[at + 28 + size]}});
  }
  return frames;
}

std::vector<uint8_t> content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void add_one(Capture& capture, const std::vector<uint8_t>& frame) {
  SendBatch batch(1, 1);
  batch.begin_frame();
  batch.add_part(frame);
  capture.add_to_vm(batch);
}

class CaptureTest : public ::testing::Test {
 protected:
  CaptureTest() { (void)std::signal(SIGPIPE, SIG_IGN); }  // as the helper does

  std::unique_ptr<Capture> start(int fd, uint64_t max_bytes = uint64_t{1} << 40) const {
    auto capture = Capture::create({.file = UniqueFd(fd),
                                    .name = path_,
                                    .max_bytes = max_bytes,
                                    .application = "test",
                                    .interface_name = "vm"});
    EXPECT_TRUE(capture) << capture.error().message;
    EXPECT_TRUE((*capture)->start_thread());
    return std::move(*capture);
  }
  std::unique_ptr<Capture> start_file(uint64_t max_bytes = uint64_t{1} << 40) const {
    return start(::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600), max_bytes);
  }

  TemporaryFolder folder_;
  std::string path_ = folder_ / "capture";
};

TEST_F(CaptureTest, HasFramesOfAllSourcesInTheOrderOfTime) {
  auto capture = start_file();
  ReceiveBatch received(2, 2000);
  for (uint8_t i = 0; i < 100; i++) {
    auto frame = frame_of(60, i);
    for (size_t slot = 0; slot < 2; slot++) {
      std::ranges::copy(frame, received.slot(slot).begin());
      received.set_size(slot, frame.size());
    }
    received.set_count(2);
    capture->add_from_vm(received);
    capture->add_reply(frame);
    add_one(*capture, frame);
  }
  EXPECT_EQ(capture->counts().packets, 400U);
  EXPECT_EQ(capture->counts().bytes, 400U * 60);
  capture.reset();
  auto frames = frames_of(content_of(path_));
  ASSERT_EQ(frames.size(), 400U);
  for (size_t i = 0; i < frames.size(); i++) {
    EXPECT_EQ(frames[i].frame, frame_of(60, static_cast<uint8_t>(i / 4)));
    EXPECT_EQ(frames[i].direction, i % 4 < 2 ? 2U : 1U) << i;
    if (i > 0) {
      EXPECT_GE(frames[i].time, frames[i - 1].time);
    }
  }
}

TEST_F(CaptureTest, AFrameOfSeveralPartsIsOne) {
  auto capture = start_file();
  std::array<uint8_t, 3> head = {1, 2, 3};
  std::array<uint8_t, 4> rest = {4, 5, 6, 7};
  SendBatch batch(1, 2);
  batch.begin_frame();
  batch.add_part(head);
  batch.add_part(rest);
  capture->add_to_vm(batch);
  capture.reset();
  auto frames = frames_of(content_of(path_));
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_THAT(frames[0].frame, ::testing::ElementsAre(1, 2, 3, 4, 5, 6, 7));
}

TEST_F(CaptureTest, EndsBeforeTheFileIsTooLarge) {
  auto capture = start_file(10'000);
  auto frame = frame_of(1000, 1);
  for (int i = 0; i < 20; i++) add_one(*capture, frame);
  capture.reset();
  auto content = content_of(path_);
  EXPECT_LE(content.size(), 10'000U);
  EXPECT_EQ(frames_of(content).size(), 9U);
}

TEST_F(CaptureTest, AReaderThatDoesNotReadCostsFramesAndTimeOnlyAtTheEnd) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  UniqueFd reader(::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  auto capture = start(::open(path_.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  auto frame = frame_of(1500, 1);
  constexpr int kMoreThanFits = 20'000;
  for (int i = 0; i < kMoreThanFits; i++) add_one(*capture, frame);
  CaptureCounts counts = capture->counts();
  EXPECT_GT(counts.drops, 0U);
  EXPECT_EQ(counts.packets + counts.drops, size_t{kMoreThanFits});
  capture.reset();
}

// What a FIFO takes is seldom a whole number of blocks.
TEST_F(CaptureTest, ASlowReaderGetsWholeBlocks) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  UniqueFd reader(::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  auto capture = start(::open(path_.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  std::vector<uint8_t> got;
  std::thread slow([&] {
    std::array<uint8_t, 5001> buffer{};
    while (true) {
      ssize_t size = ::read(reader.get(), buffer.data(), buffer.size());
      if (size == 0) return;
      if (size < 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        continue;
      }
      got.insert(got.end(), buffer.begin(), buffer.begin() + size);
    }
  });
  constexpr int kFrames = 2000;
  for (int i = 0; i < kFrames; i++) add_one(*capture, frame_of(1500, static_cast<uint8_t>(i)));
  capture.reset();
  slow.join();
  auto frames = frames_of(got);
  EXPECT_GT(frames.size(), 50U);
  for (size_t i = 0; i < frames.size(); i++) {
    EXPECT_EQ(frames[i].frame, frame_of(1500, static_cast<uint8_t>(i)));
  }
}

TEST_F(CaptureTest, AReaderThatHasGoneEndsItAndNothingElse) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  UniqueFd reader(::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  auto capture = start(::open(path_.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  reader.reset();
  uint64_t before = ~uint64_t{0};
  for (int i = 0; i < 1000 && capture->counts().packets != before; i++) {
    before = capture->counts().packets;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    add_one(*capture, frame_of(60, 1));
  }
  EXPECT_EQ(capture->counts().packets, before) << "frames are taken no more";
}

TEST_F(CaptureTest, AFileThatTakesNothingIsAnError) {
  UniqueFd read_only(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  auto capture = Capture::create({.file = std::move(read_only), .name = "x", .max_bytes = 1000});
  ASSERT_FALSE(capture);
  EXPECT_THAT(capture.error().message, ::testing::HasSubstr("--capture"));
}

}  // namespace
}  // namespace vmnet
