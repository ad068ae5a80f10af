#include "forward/capture.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <latch>
#include <mutex>
#include <optional>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log.h"
#include "forward/capture_ring.h"
#include "forward/wake_up.h"
#include "wire/pcapng.h"

namespace vmnet {
namespace {

using Clock = std::chrono::steady_clock;

// At 10 Gbit/s about 13 ms: longer than the writing thread usually waits for a processor.
constexpr size_t kRingSize = size_t{16} << 20;
constexpr size_t kReplyRingSize = size_t{256} << 10;

// So long frames gather before they are written: few large writes cost less than many small ones,
// and a live reader sees nothing of it.
constexpr std::chrono::milliseconds kGatherTime{2};

// What a write takes at most, so that the rings have room again soon.
constexpr size_t kMaxWrite = size_t{1} << 20;
constexpr size_t kMaxParts = 64;

// How long the end of the helper may be held up.
constexpr std::chrono::milliseconds kEndTime{500};

uint64_t nanoseconds_now() {
  auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(since_1970).count());
}

int milliseconds_until(Clock::time_point time) {
  auto left = std::chrono::ceil<std::chrono::milliseconds>(time - Clock::now()).count();
  return static_cast<int>(std::max<decltype(left)>(left, 0));
}

}  // namespace

// The rings, and the life of the thread that writes them.
class Capture::Writer {
 public:
  Writer(CaptureConfig config, WakeUp frames, WakeUp stop, WakeUp ended)
      : config_(std::move(config)),
        frames_(std::move(frames)),
        stop_(std::move(stop)),
        ended_(std::move(ended)) {}

  enum Source : size_t { kFromVm, kToVm, kReplies };
  static constexpr size_t kSources = 3;

  // The frames of a batch, whose parts `copy(index, place)` copies; `size_of(index)` bytes.
  template <typename SizeOf, typename Copy>
  void add(Source source, size_t count, const SizeOf& size_of, const Copy& copy);

  Status begin();
  void run();
  void stop() const { stop_.raise(); }
  bool wait_until_ended(std::chrono::milliseconds time) const;
  std::latch& running() { return running_; }
  std::mutex& replies_mutex() { return replies_mutex_; }
  const std::string& name() const { return config_.name; }
  CaptureCounts counts() const;

 private:
  using Heads = std::array<std::span<const uint8_t>, kSources>;

  bool wait_for_frames();
  Heads heads();
  std::optional<size_t> oldest_of(const Heads& heads) const;
  bool write_some();
  bool write_all(std::span<iovec> parts);
  bool wait_for_room();
  void write_end();
  void finish(LogLevel level, const std::string& why);

  CaptureConfig config_;
  std::array<CaptureRing, kSources> rings_{CaptureRing(kRingSize), CaptureRing(kRingSize),
                                           CaptureRing(kReplyRingSize)};
  std::mutex replies_mutex_;
  std::atomic<bool> active_ = true;
  std::atomic<bool> sleeping_ = false;
  std::atomic<uint64_t> packets_ = 0;
  std::atomic<uint64_t> bytes_ = 0;
  std::atomic<uint64_t> drops_ = 0;

  WakeUp frames_;
  WakeUp stop_;
  WakeUp ended_;
  std::latch running_{1};

  // Of the thread.
  uint64_t written_ = 0;
  std::optional<Clock::time_point> last_moment_;  // once it is told to stop
};

template <typename SizeOf, typename Copy>
void Capture::Writer::add(Source source, size_t count, const SizeOf& size_of, const Copy& copy) {
  if (count == 0 || !active_.load(std::memory_order_relaxed)) return;
  CaptureRing& ring = rings_[source];
  const auto direction =
      source == kFromVm ? CaptureDirection::kOutbound : CaptureDirection::kInbound;
  const uint64_t now = nanoseconds_now();
  uint64_t packets = 0;
  uint64_t bytes = 0;
  for (size_t i = 0; i < count; i++) {
    const size_t size = size_of(i);
    MutableBytes block = ring.reserve(pcapng_packet_size(size));
    if (block.empty()) continue;
    copy(i, write_pcapng_packet(block, now, direction, size));
    packets++;
    bytes += size;
  }
  ring.publish();
  packets_.fetch_add(packets, std::memory_order_relaxed);
  bytes_.fetch_add(bytes, std::memory_order_relaxed);
  if (packets < count) drops_.fetch_add(count - packets, std::memory_order_relaxed);
  // Pairs with wait_for_frames(): either the thread sees the frames or this sees that it sleeps.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (sleeping_.load(std::memory_order_relaxed) && sleeping_.exchange(false)) frames_.raise();
}

CaptureCounts Capture::Writer::counts() const {
  return {.packets = packets_.load(std::memory_order_relaxed),
          .bytes = bytes_.load(std::memory_order_relaxed),
          .drops = drops_.load(std::memory_order_relaxed)};
}

Status Capture::Writer::begin() {
  std::vector<uint8_t> start = pcapng_start(config_.application, config_.interface_name);
  ssize_t size = ::write(config_.file.get(), start.data(), start.size());
  if (size != static_cast<ssize_t>(start.size())) {
    return fail_errno("--capture: cannot write to " + config_.name, size < 0 ? errno : ENOSPC);
  }
  written_ = start.size();
  return {};
}

void Capture::Writer::run() {
  running_.count_down();
  while (active_.load() && wait_for_frames()) {
    while (write_some()) {
    }
  }
  if (active_.load()) {
    while (write_some()) {
    }
  }
  if (active_.exchange(false)) write_end();
  ended_.raise();
}

// False: told to stop, or the reader has gone.
bool Capture::Writer::wait_for_frames() {
  sleeping_.store(true);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  std::array<pollfd, 3> entries = {pollfd{.fd = stop_.fd(), .events = POLLIN, .revents = 0},
                                   pollfd{.fd = frames_.fd(), .events = POLLIN, .revents = 0},
                                   // That a FIFO's reader has gone shows without being asked for.
                                   pollfd{.fd = config_.file.get(), .events = 0, .revents = 0}};
  if (!oldest_of(heads())) {
    while (::poll(entries.data(), entries.size(), -1) < 0) {
    }
  }
  sleeping_.store(false);
  frames_.clear();
  if (entries[2].revents != 0) {
    finish(LogLevel::kWarn, "its reader has gone");
    return false;
  }
  // What comes meanwhile is written in one.
  return ::poll(entries.data(), 1, static_cast<int>(kGatherTime.count())) <= 0;
}

// Where a ring is found empty, others may have been filled after it was looked at by who had
// filled it before: it is looked at again, so that an answer never comes before its question.
Capture::Writer::Heads Capture::Writer::heads() {
  Heads heads;
  for (int round = 0; round < 2; round++) {
    for (size_t i = 0; i < kSources; i++) {
      if (heads[i].empty()) heads[i] = rings_[i].oldest();
    }
  }
  return heads;
}

// The source whose next frame is the oldest.
std::optional<size_t> Capture::Writer::oldest_of(const Heads& heads) const {
  std::optional<size_t> oldest;
  for (size_t i = 0; i < kSources; i++) {
    if (heads[i].empty()) continue;
    if (!oldest || pcapng_packet_time(heads[i].data()) < pcapng_packet_time(heads[*oldest].data()))
      oldest = i;
  }
  return oldest;
}

// Writes what is there, in the order of time, until a ring must be looked at again. False: there
// was nothing, or the capture has ended.
bool Capture::Writer::write_some() {
  Heads next = heads();
  std::array<size_t, kSources> taken{};
  std::array<iovec, kMaxParts> parts{};
  size_t count = 0;
  size_t size = 0;
  std::optional<size_t> last;
  bool full = false;
  while (size < kMaxWrite) {
    auto source = oldest_of(next);
    if (!source) break;
    if (source != last && count == kMaxParts) break;
    const size_t block = pcapng_block_size(next[*source].data());
    full = written_ + size + block > config_.max_bytes;
    if (full) break;
    if (source != last) {
      parts[count++] = {.iov_base = const_cast<uint8_t*>(next[*source].data()), .iov_len = 0};
    }
    parts[count - 1].iov_len += block;
    last = source;
    size += block;
    taken[*source] += block;
    next[*source] = next[*source].subspan(block);
    if (next[*source].empty()) break;  // its next frames may be older than the others'
  }
  if (count > 0 && !write_all({parts.data(), count})) return false;
  written_ += size;
  for (size_t i = 0; i < kSources; i++) {
    if (taken[i] > 0) rings_[i].release(taken[i]);
  }
  if (!full) return count > 0;
  finish(LogLevel::kInfo, "it has the size of --capture-size");
  return false;
}

bool Capture::Writer::write_all(std::span<iovec> parts) {
  while (!parts.empty()) {
    ssize_t size = ::writev(config_.file.get(), parts.data(), static_cast<int>(parts.size()));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      if (wait_for_room()) continue;
      return false;
    }
    if (size <= 0) {
      finish(LogLevel::kWarn, size < 0 && errno == EPIPE ? "its reader has gone"
                                                         : errno_text(size < 0 ? errno : ENOSPC));
      return false;
    }
    auto left = static_cast<size_t>(size);
    while (!parts.empty() && left >= parts.front().iov_len) {
      left -= parts.front().iov_len;
      parts = parts.subspan(1);
    }
    if (left > 0) {
      parts.front().iov_base = static_cast<uint8_t*>(parts.front().iov_base) + left;
      parts.front().iov_len -= left;
    }
  }
  return true;
}

// In a FIFO. Once told to stop not for long.
bool Capture::Writer::wait_for_room() {
  std::array<pollfd, 2> entries = {
      pollfd{.fd = config_.file.get(), .events = POLLOUT, .revents = 0},
      pollfd{.fd = last_moment_ ? -1 : stop_.fd(), .events = POLLIN, .revents = 0}};
  int ready =
      ::poll(entries.data(), entries.size(), last_moment_ ? milliseconds_until(*last_moment_) : -1);
  if (ready == 0) {
    finish(LogLevel::kWarn, "its reader is too slow for the last frames");
    return false;
  }
  if (ready > 0 && entries[1].revents != 0) last_moment_ = Clock::now() + (kEndTime / 2);
  return true;
}

void Capture::Writer::write_end() {
  CaptureCounts counts = this->counts();
  std::vector<uint8_t> end =
      pcapng_end(nanoseconds_now(), counts.packets + counts.drops, counts.drops);
  if (written_ + end.size() <= config_.max_bytes) {
    std::array<iovec, 1> parts = {iovec{.iov_base = end.data(), .iov_len = end.size()}};
    (void)write_all(parts);
  }
  log_info("capture", "{}: {} frames, {} lost", escaped(name()), counts.packets, counts.drops);
}

void Capture::Writer::finish(LogLevel level, const std::string& why) {
  active_.store(false);
  log_line(level, "capture", fmt::format("{}: the capture ends: {}", escaped(config_.name), why));
}

bool Capture::Writer::wait_until_ended(std::chrono::milliseconds time) const {
  pollfd entry{.fd = ended_.fd(), .events = POLLIN, .revents = 0};
  const auto deadline = Clock::now() + time;
  int ready = 0;
  do {
    ready = ::poll(&entry, 1, milliseconds_until(deadline));
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

Result<std::unique_ptr<Capture>> Capture::create(CaptureConfig config) {
  auto frames = WakeUp::create();
  if (!frames) return pass(frames);
  auto stop = WakeUp::create();
  if (!stop) return pass(stop);
  auto ended = WakeUp::create();
  if (!ended) return pass(ended);
  auto writer = std::make_shared<Writer>(std::move(config), std::move(*frames), std::move(*stop),
                                         std::move(*ended));
  if (auto begun = writer->begin(); !begun) return pass(begun);
  return std::unique_ptr<Capture>(new Capture(std::move(writer)));
}

Capture::Capture(std::shared_ptr<Writer> writer) : writer_(std::move(writer)) {}

Capture::~Capture() {
  if (!thread_.running()) return;
  writer_->stop();
  if (writer_->wait_until_ended(kEndTime)) {
    thread_.join();
  } else {
    log_warn("capture", "{}: the last frames are lost: it takes no more", escaped(writer_->name()));
  }
}

Status Capture::start_thread() {
  auto thread = Thread::start([writer = writer_] { writer->run(); });
  if (!thread) return pass(thread);
  thread_ = std::move(*thread);
  writer_->running().wait();
  return {};
}

void Capture::add_from_vm(ReceiveBatch& batch) {
  writer_->add(
      Writer::kFromVm, batch.count(), [&](size_t i) { return batch.frame(i).size(); },
      [&](size_t i, MutableBytes place) {
        std::memcpy(place.data(), batch.frame(i).data(), place.size());
      });
}

void Capture::add_to_vm(const SendBatch& batch) {
  writer_->add(
      Writer::kToVm, batch.count(), [&](size_t i) { return batch.size_of(i); },
      [&](size_t i, MutableBytes place) {
        for (const iovec& part : batch.parts_of(i)) {
          std::memcpy(place.data(), part.iov_base, part.iov_len);
          place = place.subspan(part.iov_len);
        }
      });
}

void Capture::add_reply(std::span<const uint8_t> frame) {
  const std::scoped_lock one_at_a_time(writer_->replies_mutex());
  writer_->add(
      Writer::kReplies, 1, [&](size_t) { return frame.size(); },
      [&](size_t, MutableBytes place) { std::memcpy(place.data(), frame.data(), place.size()); });
}

CaptureCounts Capture::counts() const { return writer_->counts(); }

}  // namespace vmnet
