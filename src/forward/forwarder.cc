#include "forward/forwarder.h"

#include <algorithm>
#include <array>
#include <limits>

#include <poll.h>

namespace vmnet {
namespace {

// So many full batches are moved before the stop signal and the tick get a look.
constexpr int kMaxRounds = 16;

// An endpoint that says so often in a row that it is ready, and then has nothing, is broken (its
// descriptor was shut down by another process that holds it): end rather than spin.
constexpr int kMaxEmptyWakeUps = 1000;

}  // namespace

Forwarder::Forwarder(Endpoint& from, Endpoint& to, Transform& transform, DirectionStats& stats,
                     const BatchSizes& sizes)
    : from_(from),
      to_(to),
      transform_(transform),
      stats_(stats),
      in_(sizes.read_slots, sizes.slot_size),
      out_(sizes.write_frames, sizes.write_parts) {}

void Forwarder::enable_ticks(FrameResponder& responder, FrameSink& vm) {
  responder_ = &responder;
  vm_ = &vm;
  next_tick_ = Clock::now();
}

ForwardEnd Forwarder::run(int stop_fd) {
  while (true) {
    tick_if_due();
    switch (wait(stop_fd)) {
      case Ready::kStop:
        return ForwardEnd::kStopped;
      case Ready::kNothing:
        break;
      case Ready::kFrames:
        if (auto end = drain()) return *end;
        if (empty_wake_ups_ >= kMaxEmptyWakeUps) return ForwardEnd::kSourceGone;
        break;
    }
  }
}

void Forwarder::tick_if_due() {
  if (!next_tick_ || Clock::now() < *next_tick_) return;
  auto delay = responder_->tick(*vm_);
  // A tick that is due again at once would leave no time for frames.
  constexpr std::chrono::milliseconds kShortest{1};
  next_tick_.reset();
  if (delay) next_tick_ = Clock::now() + std::max(*delay, kShortest);
}

// Milliseconds, rounded up so that the tick is due when poll returns; -1 without a tick.
int Forwarder::poll_timeout() const {
  if (!next_tick_) return -1;
  auto left = std::chrono::ceil<std::chrono::milliseconds>(*next_tick_ - Clock::now()).count();
  return static_cast<int>(std::clamp<decltype(left)>(left, 0, std::numeric_limits<int>::max()));
}

Forwarder::Ready Forwarder::wait(int stop_fd) {
  std::array<pollfd, 2> entries = {pollfd{.fd = from_.ready_fd(), .events = POLLIN, .revents = 0},
                                   pollfd{.fd = stop_fd, .events = POLLIN, .revents = 0}};
  // Interrupted or out of memory: as if nothing had come.
  if (::poll(entries.data(), entries.size(), poll_timeout()) <= 0) return Ready::kNothing;
  if (entries[1].revents != 0) return Ready::kStop;
  return Ready::kFrames;
}

std::optional<ForwardEnd> Forwarder::drain() {
  for (int round = 0; round < kMaxRounds; round++) {
    Transfer read = from_.read(in_);
    stats_.add_read(read);
    if (!deliver()) return ForwardEnd::kTargetGone;
    if (read.gone) return ForwardEnd::kSourceGone;
    bool took_something = read.batched_calls + read.single_calls > 0;
    if (round == 0) empty_wake_ups_ = took_something ? 0 : empty_wake_ups_ + 1;
    // Another read would only be told so again; what comes meanwhile ends the poll at once.
    if (in_.count() == 0 || read.drained) break;
  }
  return std::nullopt;
}

bool Forwarder::deliver() {
  size_t first = 0;
  while (first < in_.count()) {
    out_.clear();
    uint64_t drops = 0;
    size_t next = transform_.process(in_, first, out_, drops);
    if (next == first && out_.count() == 0) {  // it fits no batch: a loss rather than a standstill
      next++;
      drops++;
    }
    stats_.add_drops(drops);
    first = next;
    if (out_.count() == 0) continue;
    Transfer written = to_.write(out_);
    stats_.add(written);
    if (written.gone) return false;
  }
  return true;
}

}  // namespace vmnet
