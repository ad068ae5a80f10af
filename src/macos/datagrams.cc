// recvmsg_x and sendmsg_x, or one datagram a call where they are missing or fail. On macOS
// SO_SNDBUF is the largest datagram and the receiver's SO_RCVBUF the queue; a full queue is ENOBUFS
// and raises no event when it empties. No datagram tells its sender's ids. The caller ignores
// SIGPIPE: there is no MSG_NOSIGNAL.
#include "platform/datagrams.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <thread>
#include <vector>

#include <sys/socket.h>

#include "macos/message_batches.h"

namespace vmnet {
namespace {

constexpr int kSendBuffer = 1 << 20;  // more than the largest frame
// 128 of the largest frames that TSO makes: a VM that misses a time slice of 10 ms at 6 Gbit/s
// loses none. The original's size with offload (its change 274); without, it is memory that nothing
// fills.
constexpr int kReceiveBuffer = 8 << 20;
constexpr int kSmallestBuffer = 1 << 16;

// A full queue of the peer: so long, and so often a batch, until the rest is dropped. Waiting
// longer holds up the frames that come after more than it saves.
constexpr std::chrono::microseconds kRoomWait{50};
constexpr int kMaxRoomWaits = 10;

// Receive errors that say nothing: no datagram there.
int real_error(int error) { return error == EAGAIN || error == EWOULDBLOCK ? 0 : error; }

// One recvmsg without a wait: the datagram's length, or -1 with errno.
ssize_t receive_one(int fd, msghdr& message) {
  ssize_t size = 0;
  do {
    size = ::recvmsg(fd, &message, MSG_DONTWAIT);
  } while (size < 0 && errno == EINTR);
  return size;
}

int buffer_size(int fd, int option) {
  int size = 0;
  socklen_t length = sizeof(size);
  return ::getsockopt(fd, SOL_SOCKET, option, &size, &length) == 0 ? size : 0;
}

// As much of `wanted` as kern.ipc.maxsockbuf allows: a larger size is refused as a whole.
void raise_buffer(int fd, int option, int wanted) {
  int current = buffer_size(fd, option);
  for (int size = wanted; size >= kSmallestBuffer && size > current; size /= 2) {
    if (::setsockopt(fd, SOL_SOCKET, option, &size, sizeof(size)) == 0) return;
  }
}

SendFault fault_of(int error) {
  switch (error) {
    case ENOBUFS:  // the peer's receive buffer is full
    case EAGAIN:
      return SendFault::kFull;
    case ECONNRESET:  // the peer has closed: told once,
    case ECONNREFUSED:
    case ENOTCONN:  // and that was seen by an earlier call
    case EDESTADDRREQ:
      return SendFault::kGone;
    case EPIPE:
      return SendFault::kShut;
    default:
      return SendFault::kFrame;
  }
}

}  // namespace

// A slot is followed by one spare byte, so that a datagram too long for the slot shows by its
// length whether or not the call says MSG_TRUNC.
struct DatagramReceiver::Scratch {
  explicit Scratch(size_t size)
      : calls(find_message_batch_calls()), messages(size), parts(size * 2) {}

  MessageBatchCalls calls;
  std::vector<MessageWithLength> messages;
  std::vector<iovec> parts;
  uint8_t spare = 0;

  void prepare(ReceiveBatch& batch, size_t capacity) {
    for (size_t i = 0; i < capacity; i++) {
      iovec* part = &parts[i * 2];
      part[0] = {.iov_base = batch.slot(i).data(), .iov_len = batch.slot_size()};
      part[1] = {.iov_base = &spare, .iov_len = 1};
      messages[i] = {};
      messages[i].header.msg_iov = part;
      messages[i].header.msg_iovlen = 2;
    }
  }

  // The number of datagrams, or -1 with errno.
  ssize_t receive(int fd, size_t capacity) {
    if (calls.receive != nullptr) {
      ssize_t received = 0;
      do {
        received =
            calls.receive(fd, messages.data(), static_cast<unsigned>(capacity), MSG_DONTWAIT);
      } while (received < 0 && errno == EINTR);
      if (received >= 0 || !means_unusable(errno)) return received;
      calls.receive = nullptr;
    }
    return receive_each(fd, capacity);
  }

  ssize_t receive_each(int fd, size_t capacity) {
    size_t count = 0;
    for (; count < capacity; count++) {
      ssize_t size = receive_one(fd, messages[count].header);
      if (size < 0) break;
      messages[count].length = static_cast<size_t>(size);
    }
    return count > 0 ? static_cast<ssize_t>(count) : -1;
  }
};

DatagramReceiver::DatagramReceiver(size_t max_batch)
    : scratch_(std::make_unique<Scratch>(max_batch)) {}
DatagramReceiver::~DatagramReceiver() = default;

size_t DatagramReceiver::max_batch() const { return scratch_->messages.size(); }

Received DatagramReceiver::receive(int fd, ReceiveBatch& batch, size_t min_size) {
  size_t capacity = std::min(batch.capacity(), scratch_->messages.size());
  scratch_->prepare(batch, capacity);
  batch.set_count(0);
  Received result;
  ssize_t received = scratch_->receive(fd, capacity);
  if (received < 0) {
    result.error = real_error(errno);
    return result;
  }
  result.called = received > 0;
  size_t kept = 0;
  for (size_t i = 0; i < static_cast<size_t>(received); i++) {
    size_t size = scratch_->messages[i].length;
    if (size < min_size || size > batch.slot_size()) {
      result.drops++;
      continue;
    }
    batch.put(kept, i, size);
    result.bytes += size;
    kept++;
  }
  batch.set_count(kept);
  return result;
}

Status identify_senders(int /*fd*/, bool /*on*/) { return {}; }

struct IdentifiedReceiver::Scratch {
  std::array<Datagram, kMaxBatch> datagrams{};
};

IdentifiedReceiver::IdentifiedReceiver() : scratch_(std::make_unique<Scratch>()) {}
IdentifiedReceiver::~IdentifiedReceiver() = default;

// recvmsg_x gives no names, so this is one call a datagram.
std::span<const IdentifiedReceiver::Datagram> IdentifiedReceiver::receive(int fd,
                                                                          ReceiveBatch& batch,
                                                                          int& error) {
  size_t capacity = std::min(batch.capacity(), kMaxBatch);
  size_t count = 0;
  error = 0;
  for (; count < capacity; count++) {
    Datagram& datagram = scratch_->datagrams.at(count);
    datagram = {};
    uint8_t spare = 0;
    std::array<iovec, 2> parts = {
        iovec{.iov_base = batch.slot(count).data(), .iov_len = batch.slot_size()},
        iovec{.iov_base = &spare, .iov_len = 1}};
    msghdr message{};
    message.msg_name = &datagram.sender.address;
    message.msg_namelen = sizeof(datagram.sender.address);
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    ssize_t size = receive_one(fd, message);
    if (size < 0) {
      error = real_error(errno);
      break;
    }
    datagram.size = static_cast<size_t>(size);
    datagram.truncated = datagram.size > batch.slot_size();
    // The length of a sender without a name counts an empty path here; that of a path its padding.
    const char* path = datagram.sender.address.sun_path;
    auto path_size = strnlen(path, sizeof(datagram.sender.address.sun_path));
    datagram.sender.address_size =
        static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_size);
  }
  return std::span(scratch_->datagrams).first(count);
}

struct DatagramSender::Scratch {
  explicit Scratch(size_t size) : calls(find_message_batch_calls()), messages(size) {}
  MessageBatchCalls calls;
  std::vector<MessageWithLength> messages;

  // The number of datagrams sent, or -1 with errno.
  ssize_t send(int fd, size_t from, size_t end) {
    if (calls.send != nullptr) {
      ssize_t sent =
          calls.send(fd, &messages[from], static_cast<unsigned>(end - from), MSG_DONTWAIT);
      if (sent >= 0 || !means_unusable(errno)) return sent;
      calls.send = nullptr;
    }
    return ::sendmsg(fd, &messages[from].header, MSG_DONTWAIT) < 0 ? -1 : 1;
  }
};

DatagramSender::DatagramSender(size_t max_batch) : scratch_(std::make_unique<Scratch>(max_batch)) {}
DatagramSender::~DatagramSender() = default;

size_t DatagramSender::max_batch() const { return scratch_->messages.size(); }

void DatagramSender::prepare(const SendBatch& batch, size_t first, size_t count) {
  for (size_t i = 0; i < count; i++) {
    std::span<const iovec> parts = batch.parts_of(first + i);
    msghdr& header = scratch_->messages[i].header;
    // A send only reads, but struct msghdr has no const form.
    header.msg_iov = const_cast<iovec*>(parts.data());
    header.msg_iovlen = static_cast<decltype(header.msg_iovlen)>(parts.size());
  }
}

DatagramSender::Sent DatagramSender::send(int fd, size_t from, size_t end) {
  ssize_t sent = 0;
  do {
    sent = scratch_->send(fd, from, end);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return {.frames = 0, .fault = fault_of(errno)};
  if (sent == 0) return {.frames = 0, .fault = SendFault::kFull};
  return {.frames = static_cast<size_t>(sent), .fault = SendFault::kNone};
}

SendFault send_datagram(int fd, std::span<const uint8_t> frame) {
  ssize_t sent = 0;
  do {
    sent = ::send(fd, frame.data(), frame.size(), MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? fault_of(errno) : SendFault::kNone;
}

bool wait_for_room(int /*fd*/, std::chrono::milliseconds /*timeout*/, int earlier_waits) {
  if (earlier_waits >= kMaxRoomWaits) return false;
  std::this_thread::sleep_for(kRoomWait);
  return true;
}

void raise_buffers(int fd) {
  raise_buffer(fd, SO_SNDBUF, kSendBuffer);
  raise_buffer(fd, SO_RCVBUF, kReceiveBuffer);
}

bool is_disconnect(int error) { return error == ECONNRESET || error == ENOTCONN; }

}  // namespace vmnet
