#include "forward/stream_socket.h"

#include <cerrno>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include "platform/datagrams.h"

namespace vmnet {
namespace {

using Clock = std::chrono::steady_clock;

// Of the queue's clients so many are judged before main looks at its other tasks again.
constexpr int kMaxAdmissions = 16;

bool has_hung_up(int fd) {
  pollfd entry{.fd = fd, .events = 0, .revents = 0};
  return ::poll(&entry, 1, 0) == 1;
}

ssize_t receive(int fd, std::span<uint8_t> room) {
  ssize_t size = 0;
  do {
    // Descriptors sent along are closed by the kernel: there is no room for them.
    size = ::recv(fd, room.data(), room.size(), MSG_DONTWAIT);
  } while (size < 0 && errno == EINTR);
  return size;
}

}  // namespace

Result<std::unique_ptr<StreamSocket>> StreamSocket::connected(UniqueFd socket, size_t max_frame,
                                                              DirectionStats& replies) {
  auto arrived = WakeUp::create();
  if (!arrived) return pass(arrived);
  auto changed = WakeUp::create();
  if (!changed) return pass(changed);
  return std::unique_ptr<StreamSocket>(new StreamSocket({}, std::move(socket), std::nullopt,
                                                        max_frame, std::move(*arrived),
                                                        std::move(*changed), replies));
}

Result<std::unique_ptr<StreamSocket>> StreamSocket::listening(UniqueFd socket, uid_t permitted_uid,
                                                              size_t max_frame,
                                                              DirectionStats& replies) {
  auto arrived = WakeUp::create();
  if (!arrived) return pass(arrived);
  auto changed = WakeUp::create();
  if (!changed) return pass(changed);
  return std::unique_ptr<StreamSocket>(new StreamSocket(std::move(socket), {}, permitted_uid,
                                                        max_frame, std::move(*arrived),
                                                        std::move(*changed), replies));
}

StreamSocket::StreamSocket(UniqueFd listener, UniqueFd client, std::optional<uid_t> permitted_uid,
                           size_t max_frame, WakeUp arrived, WakeUp changed,
                           DirectionStats& replies)
    : max_frame_(max_frame),
      listener_(std::move(listener)),
      permitted_uid_(permitted_uid),
      arrived_(std::move(arrived)),
      client_changed_(std::move(changed)),
      replies_(replies),
      epoch_(client.valid() ? 1 : 0),
      client_(std::move(client)),
      sender_(max_frame),
      reading_(client_.get()),
      extractor_(max_frame) {}

int StreamSocket::ready_fd() const { return reading_ >= 0 ? reading_ : arrived_.fd(); }

Transfer StreamSocket::read(ReceiveBatch& batch) {
  batch.set_count(0);
  Transfer transfer;
  if (reading_ < 0) {
    arrived_.clear();
    std::scoped_lock lock(mutex_);
    reading_ = client_.get();
    if (reading_ < 0) return transfer;
  }
  // What a small batch left of the last read.
  extract(batch, transfer);
  if (batch.count() > 0) return transfer;
  auto room = extractor_.room();
  ssize_t size = receive(reading_, room);
  if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    transfer.drained = true;
    return transfer;
  }
  transfer.batched_calls = 1;
  if (size <= 0) {
    end_client(transfer);
    return transfer;
  }
  transfer.drained = static_cast<size_t>(size) < room.size();
  extractor_.received(static_cast<size_t>(size));
  extract(batch, transfer);
  return transfer;
}

void StreamSocket::extract(ReceiveBatch& batch, Transfer& transfer) {
  size_t count = 0;
  while (count < batch.capacity()) {
    auto frame = extractor_.next();
    if (frame.empty()) break;
    transfer.bytes += frame.size();
    batch.place(count++, frame);
  }
  batch.set_count(count);
  transfer.frames = count;
  transfer.drops += extractor_.take_drops();
  // The frames before it are good, and stay where they are until the next read.
  if (extractor_.bad_length()) end_client(transfer);
}

// By the reading thread. A client that has shut down its sending alone has ended too.
void StreamSocket::end_client(Transfer& transfer) {
  auto length = extractor_.bad_length();
  if (!length && extractor_.inside_frame()) transfer.drops++;
  transfer.gone = !is_bound();
  transfer.drained = true;
  extractor_.reset();
  {
    std::scoped_lock lock(mutex_);
    if (length) {
      fault_ = fmt::format("a length of {} bytes where the next frame begins, {} at most", *length,
                           max_frame_);
      faults_++;
    }
    if (!is_bound()) return;
    client_.reset();
    epoch_++;
  }
  reading_ = -1;
  client_changed_.raise();
}

Transfer StreamSocket::write(const SendBatch& batch) {
  Transfer transfer;
  std::optional<Clock::time_point> deadline;
  std::unique_lock lock(mutex_);
  const uint64_t epoch = epoch_;
  size_t next = 0;
  while (next < batch.count() && client_.valid() && epoch_ == epoch) {
    sender_.begin();
    size_t end = next;
    while (end < batch.count() && sender_.can_carry(batch.size_of(end)) &&
           sender_.add(batch.parts_of(end))) {
      end++;
    }
    if (end == next && !sender_.can_carry(batch.size_of(next))) {
      next++;
      continue;
    }
    auto sent = sender_.send(client_.get());
    next += sent.frames;
    transfer.frames += sent.frames;
    transfer.bytes += sent.bytes;
    if (sent.fault == StreamSender::Fault::kGone) break;
    if (sent.fault == StreamSender::Fault::kNone) {
      transfer.batched_calls++;
      stalled_ = false;
      continue;
    }
    if (!deadline) deadline = Clock::now() + kMaxWriteWait;
    stalled_ = stalled_ || !wait_for_room(lock, *deadline);
    if (stalled_) break;
  }
  transfer.drops = batch.count() - transfer.frames;
  return transfer;
}

// The client may go meanwhile, and another one come.
bool StreamSocket::wait_for_room(std::unique_lock<std::mutex>& lock,
                                 Clock::time_point deadline) const {
  auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  if (left.count() <= 0) return false;
  pollfd entry{.fd = client_.get(), .events = POLLOUT, .revents = 0};
  lock.unlock();
  int ready = ::poll(&entry, 1, static_cast<int>(left.count()));
  lock.lock();
  return ready != 0;
}

void StreamSocket::send(std::span<const uint8_t> frame) {
  std::unique_lock lock(mutex_);
  bool sent = false;
  if (client_.valid() && sender_.can_carry(frame.size())) {
    sender_.begin();
    // sendmsg only reads, but struct iovec has no const form.
    iovec part{.iov_base = const_cast<uint8_t*>(frame.data()), .iov_len = frame.size()};
    sender_.add({&part, 1});
    sent = sender_.send(client_.get()).frames == 1;
  }
  lock.unlock();
  if (sent) {
    replies_.add({.frames = 1, .bytes = frame.size(), .single_calls = 1});
  } else {
    replies_.add_drops(1);
  }
}

VmEnd::Client StreamSocket::client() const {
  std::scoped_lock lock(mutex_);
  const uint64_t epoch = epoch_;
  return {.epoch = epoch,
          .attached = epoch % 2 == 1,
          .pid = pid_,
          .path = {},
          .unreachable_path = {},
          .unreachable_errno = 0,
          .fault = fault_,
          .faults = faults_};
}

int StreamSocket::admission_fd() const { return next_ || cannot_accept_ ? -1 : listener_.get(); }

void StreamSocket::accept_clients() {
  if (!listener_.valid()) return;
  cannot_accept_ = false;
  for (int i = 0; i < kMaxAdmissions; i++) {
    if (!next_) next_ = accept_stream_client(listener_.get());
    if (!next_) {
      cannot_accept_ = errno != EAGAIN && errno != EWOULDBLOCK;
      return;
    }
    bool permitted = next_->uid && (*next_->uid == *permitted_uid_ || *next_->uid == 0);
    switch (permitted ? client_state() : State::kAlive) {
      case State::kNone:
        attach(std::move(next_->socket), next_->pid);
        break;
      case State::kEnding:
        return;
      case State::kAlive:
        refused_.fetch_add(1, std::memory_order_relaxed);
        break;
    }
    next_.reset();
  }
}

StreamSocket::State StreamSocket::client_state() const {
  std::scoped_lock lock(mutex_);
  if (!client_.valid()) return State::kNone;
  return has_hung_up(client_.get()) ? State::kEnding : State::kAlive;
}

void StreamSocket::attach(UniqueFd socket, pid_t pid) {
  raise_buffers(socket.get());
  std::scoped_lock lock(mutex_);
  client_ = std::move(socket);
  pid_ = pid;
  sender_.reset();
  stalled_ = false;
  epoch_++;
  arrived_.raise();
  client_changed_.raise();
}

}  // namespace vmnet
