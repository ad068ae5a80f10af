#include "forward/vm_socket.h"

#include <algorithm>
#include <cerrno>

#include <sys/socket.h>

#include "platform/config.h"

namespace vmnet {
namespace {

using Clock = std::chrono::steady_clock;

// A waiting socket looks at this many batches of strangers' datagrams before the forwarder may
// look at its stop signal again.
constexpr int kMaxAdmissionRounds = 4;

// A path ends with its NUL, if it has one; an abstract name begins with one.
std::string path_of(const Sender& sender) {
  if (!sender.has_name()) return {};
  std::string_view name(sender.address.sun_path,
                        sender.address_size - offsetof(sockaddr_un, sun_path));
  return std::string(name.front() == '\0' ? name : name.substr(0, name.find('\0')));
}

}  // namespace

Result<std::unique_ptr<VmSocket>> VmSocket::connected(UniqueFd socket, size_t max_batch,
                                                      DirectionStats& replies) {
  auto changed = WakeUp::create();
  if (!changed) return pass(changed);
  return std::unique_ptr<VmSocket>(
      new VmSocket(std::move(socket), std::nullopt, max_batch, std::move(*changed), replies));
}

Result<std::unique_ptr<VmSocket>> VmSocket::bound(UniqueFd socket, uid_t permitted_uid,
                                                  size_t max_batch, DirectionStats& replies) {
  auto changed = WakeUp::create();
  if (!changed) return pass(changed);
  if (auto on = identify_senders(socket.get(), true); !on) return pass(on);
  return std::unique_ptr<VmSocket>(
      new VmSocket(std::move(socket), permitted_uid, max_batch, std::move(*changed), replies));
}

VmSocket::VmSocket(UniqueFd socket, std::optional<uid_t> permitted_uid, size_t max_batch,
                   WakeUp changed, DirectionStats& replies)
    : socket_(std::move(socket)),
      permitted_uid_(permitted_uid),
      client_changed_(std::move(changed)),
      replies_(replies),
      epoch_(permitted_uid ? 0 : 1),
      receiver_(max_batch),
      sender_(max_batch) {}

Transfer VmSocket::read(ReceiveBatch& batch) {
  uint64_t epoch = epoch_.load(std::memory_order_acquire);
  if (is_attached(epoch) && !filtering_) return read_frames(batch, epoch);
  batch.set_count(0);
  Transfer transfer;
  for (int round = 0; round < kMaxAdmissionRounds; round++) {
    Transfer admitted = admit(batch);
    transfer.drops += admitted.drops;
    transfer.batched_calls += admitted.batched_calls;
    if (admitted.batched_calls == 0) break;
    if (batch.count() == 0) continue;
    transfer.frames = admitted.frames;
    transfer.bytes = admitted.bytes;
    break;
  }
  return transfer;
}

Transfer VmSocket::read_frames(ReceiveBatch& batch, uint64_t epoch) {
  Received received = receiver_.receive(socket_.get(), batch, kEthernetHeaderSize);
  // The writing thread's send may have found the client gone. From that call on, before anyone here
  // has taken note, everybody may send again, and nobody's credentials are kept. A socket that is
  // still connected after the read was so all the time since the epoch began.
  bool connected = !is_bound() || batch.count() == 0 || is_connected(socket_.get());
  if (!connected || (is_bound() && is_disconnect(received.error))) client_gone(epoch);
  // Gone, as this thread saw or another: what was read may be the next client's, or a stranger's.
  if (epoch_.load(std::memory_order_acquire) != epoch) {
    received.drops += batch.count();
    received.bytes = 0;
    batch.set_count(0);
  }
  return {.frames = batch.count(),
          .bytes = received.bytes,
          .drops = received.drops,
          .batched_calls = received.called ? 1U : 0U,
          .drained = received.drained,
          .gone = received.end_of_file};
}

bool VmSocket::is_permitted(const Sender& sender) const {
  if (!sender.has_name()) return false;  // no way to connect back
  // Where the kernel cannot tell, the socket's mode (0600) alone decides who can send.
  return !sender.uid || *sender.uid == *permitted_uid_ || *sender.uid == 0;
}

// One batch of datagrams, each judged by its sender: before there is a client, and from then until
// what was queued before the connect is used up.
Transfer VmSocket::admit(ReceiveBatch& batch) {
  std::scoped_lock lock(client_mutex_);
  bool was_attached = is_attached(epoch_.load(std::memory_order_relaxed));
  int error = 0;
  auto datagrams = identified_receiver_.receive(socket_.get(), batch, error);
  Transfer transfer{.batched_calls = datagrams.empty() ? 0U : 1U};
  bool attached = was_attached;
  size_t kept = 0;
  for (size_t i = 0; i < datagrams.size(); i++) {
    const auto& datagram = datagrams[i];
    bool first = !attached;
    bool taken = is_permitted(datagram.sender) &&
                 (attached ? datagram.sender.same_name(client_) : attach(datagram.sender));
    attached = attached || taken;
    if (!taken) refused_.fetch_add(1, std::memory_order_relaxed);
    bool is_frame = datagram.size >= kEthernetHeaderSize && !datagram.truncated;
    if (taken && is_frame) {
      batch.put(kept++, i, datagram.size);
      transfer.bytes += datagram.size;
    } else if (!taken || !first || datagram.truncated) {  // a greeting is no loss
      transfer.drops++;
    }
  }
  batch.set_count(kept);
  transfer.frames = kept;
  if (was_attached && is_disconnect(error)) {
    detach();
  } else if (was_attached &&
             datagrams.size() < std::min(batch.capacity(), identified_receiver_.kMaxBatch)) {
    // Drained since the connect: from here on the kernel lets nobody but the client through.
    filtering_ = false;
    // It worked in the other direction; failing here costs speed only.
    [[maybe_unused]] auto off = identify_senders(socket_.get(), false);
  }
  return transfer;
}

// With client_mutex_ held.
bool VmSocket::attach(const Sender& sender) {
  if (!connect_to(socket_.get(), sender)) {
    unreachable_errno_ = errno;
    unreachable_ = sender;
    return false;
  }
  client_ = sender;
  unreachable_errno_ = 0;
  filtering_ = true;
  epoch_.fetch_add(1, std::memory_order_release);
  client_changed_.raise();
  return true;
}

// With client_mutex_ held. The senders' credentials are asked for before anyone new can send.
void VmSocket::detach() {
  [[maybe_unused]] auto on = identify_senders(socket_.get(), true);
  disconnect(socket_.get());
  epoch_.fetch_add(1, std::memory_order_release);
  client_changed_.raise();
}

void VmSocket::client_gone(uint64_t epoch) {
  if (!is_bound()) return;
  std::scoped_lock lock(client_mutex_);
  if (is_attached(epoch) && epoch_.load(std::memory_order_relaxed) == epoch) detach();
}

VmEnd::Client VmSocket::client() const {
  std::scoped_lock lock(client_mutex_);
  uint64_t epoch = epoch_.load(std::memory_order_relaxed);
  return {.epoch = epoch,
          .attached = is_attached(epoch),
          .pid = client_.pid,
          .path = path_of(client_),
          .unreachable_path = path_of(unreachable_),
          .unreachable_errno = unreachable_errno_,
          .fault = {},
          .faults = 0};
}

Transfer VmSocket::write(const SendBatch& batch) {
  Writing writing{.epoch = epoch_.load(std::memory_order_acquire), .deadline = {}, .transfer = {}};
  size_t next = is_attached(writing.epoch) ? 0 : batch.count();
  while (next < batch.count()) {
    // A frame without a byte must never be sent: QEMU stops reading for good on one.
    if (batch.size_of(next) == 0) {
      next++;
      continue;
    }
    size_t end = next;
    while (end < batch.count() && end - next < sender_.max_batch() && batch.size_of(end) > 0) end++;
    sender_.prepare(batch, next, end - next);
    if (!send_run(batch, next, end, writing)) break;
    next = end;
  }
  writing.transfer.drops = batch.count() - writing.transfer.frames;
  return writing.transfer;
}

bool VmSocket::send_run(const SendBatch& batch, size_t first, size_t end, Writing& writing) {
  Transfer& transfer = writing.transfer;
  size_t next = first;
  while (next < end) {
    auto sent = sender_.send(socket_.get(), next - first, end - first);
    for (size_t i = 0; i < sent.frames; i++) transfer.bytes += batch.size_of(next + i);
    next += sent.frames;
    transfer.frames += sent.frames;
    if (sent.frames > 0) {
      transfer.batched_calls++;
      stalled_ = false;
    }
    switch (sent.fault) {
      case SendFault::kNone:
        break;
      case SendFault::kFrame:
        next++;
        break;
      case SendFault::kFull:
        stalled_ = stalled_ || !wait_until_room(writing);
        if (stalled_) return false;
        break;
      case SendFault::kGone:
      case SendFault::kTurnedAway:
        transfer.gone = sent.fault == SendFault::kGone && !is_bound();
        client_gone(writing.epoch);
        return false;
      case SendFault::kShut:
        return false;
    }
  }
  return true;
}

// Several waits of one batch share kMaxWriteWait.
bool VmSocket::wait_until_room(Writing& writing) const {
  auto now = Clock::now();
  if (!writing.deadline) writing.deadline = now + kMaxWriteWait;
  auto left = std::chrono::ceil<std::chrono::milliseconds>(*writing.deadline - now);
  return left.count() > 0 && wait_for_room(socket_.get(), left, writing.waits++);
}

void VmSocket::send(std::span<const uint8_t> frame) {
  uint64_t epoch = epoch_.load(std::memory_order_acquire);
  SendFault fault = SendFault::kFrame;
  if (is_attached(epoch) && !frame.empty()) fault = send_datagram(socket_.get(), frame);
  if (fault == SendFault::kGone || fault == SendFault::kTurnedAway) client_gone(epoch);
  if (fault == SendFault::kNone) {
    replies_.add({.frames = 1, .bytes = frame.size(), .single_calls = 1});
  } else {
    replies_.add_drops(1);
  }
}

}  // namespace vmnet
