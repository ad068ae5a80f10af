// recvmmsg(2) and sendmmsg(2). Facts of net/unix/af_unix.c that this relies on: a SEQPACKET end of
// file repeats for every slot of a recvmmsg; a send to a closed datagram peer gives ECONNREFUSED
// once, which also dissolves the connection, then ENOTCONN; POLLOUT comes back when a quarter of
// the send buffer is in use.
#include "platform/datagrams.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace vmnet {
namespace {

// Asked for with SO_SNDBUF and SO_RCVBUF. The sender's buffer is the queue towards the VM (the
// receiver's plays no part in AF_UNIX). The kernel books twice the value, and some 2.3 kB for a
// frame of 1514 bytes: 2 MiB hold 1821 of them, or 61 of 65,550 bytes [measured on 6.18]. That is
// the split of forty 64 KiB segments, so that one read of the host's end fits, and 15 ms at 1.5
// Gbit/s, so that a VM which misses a time slice loses nothing; and a VM that stalls ties up 4 MiB
// at most.
constexpr int kBufferSize = 2 << 20;

// recvmmsg without a wait: the number of messages, or -1 with errno.
int receive_messages(int fd, mmsghdr* messages, size_t count) {
  int received = 0;
  do {
    received = ::recvmmsg(fd, messages, static_cast<unsigned>(count), MSG_DONTWAIT, nullptr);
  } while (received < 0 && errno == EINTR);
  return received;
}

bool peer_has_shut_down(int fd) {
  pollfd entry{.fd = fd, .events = POLLRDHUP, .revents = 0};
  return ::poll(&entry, 1, 0) == 1 && (entry.revents & (POLLRDHUP | POLLHUP)) != 0;
}

// Receive errors that say nothing: no datagram there.
int real_error(int error) { return error == EAGAIN || error == EWOULDBLOCK ? 0 : error; }

void raise_buffer(int fd, int option, int force_option) {
  int current = 0;
  socklen_t size = sizeof(current);
  if (::getsockopt(fd, SOL_SOCKET, option, &current, &size) != 0) return;
  if (current >= 2 * kBufferSize) return;
  // ROOT: CAP_NET_ADMIN gets past net.core.wmem_max; the size is our constant.
  if (::setsockopt(fd, SOL_SOCKET, force_option, &kBufferSize, sizeof(kBufferSize)) == 0) return;
  ::setsockopt(fd, SOL_SOCKET, option, &kBufferSize, sizeof(kBufferSize));
}

SendFault fault_of(int error) {
  switch (error) {
    case EAGAIN:
      return SendFault::kFull;
    case ECONNREFUSED:  // a datagram peer has closed
    case ENOTCONN:      // and that was seen by an earlier send
      return SendFault::kGone;
    case EPERM:       // the peer has connected to someone else
    case ECONNRESET:  // the same, told once
      return SendFault::kTurnedAway;
    case EPIPE:  // shutdown(2); or a SEQPACKET peer has closed, which the next receive tells
      return SendFault::kShut;
    default:  // EMSGSIZE; ENOBUFS and ENOMEM, which on Linux are a lack of memory, not of room
      return SendFault::kFrame;
  }
}

}  // namespace

struct DatagramReceiver::Scratch {
  explicit Scratch(size_t size) : messages(size), parts(size) {}
  std::vector<mmsghdr> messages;
  std::vector<iovec> parts;
};

DatagramReceiver::DatagramReceiver(size_t max_batch)
    : scratch_(std::make_unique<Scratch>(max_batch)) {}
DatagramReceiver::~DatagramReceiver() = default;

size_t DatagramReceiver::max_batch() const { return scratch_->messages.size(); }

Received DatagramReceiver::receive(int fd, ReceiveBatch& batch, size_t min_size) {
  auto& [messages, parts] = *scratch_;
  size_t capacity = std::min(batch.capacity(), messages.size());
  for (size_t i = 0; i < capacity; i++) {
    parts[i] = {.iov_base = batch.slot(i).data(), .iov_len = batch.slot_size()};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  batch.set_count(0);
  Received result;
  int received = receive_messages(fd, messages.data(), capacity);
  if (received < 0) {
    result.error = real_error(errno);
    return result;
  }
  result.called = received > 0;
  auto count = static_cast<size_t>(received);
  result.drained = count < capacity;
  if (count > 0 && messages[count - 1].msg_len == 0 && peer_has_shut_down(fd)) {
    result.end_of_file = true;
    while (count > 0 && messages[count - 1].msg_len == 0) count--;
  }
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) {
    size_t size = messages[i].msg_len;
    if (size < min_size || (messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0) {
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

Status identify_senders(int fd, bool on) {
  int value = on ? 1 : 0;
  if (::setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &value, sizeof(value)) != 0) {
    return fail_errno("cannot ask for the senders' credentials (SO_PASSCRED)", errno);
  }
  return {};
}

namespace {

// The uid of a sender that the kernel did not tell of: nobody's.
constexpr uid_t kNobody = ~uid_t{0};

// What the kernel shows of a datagram that was sent while nobody asked for credentials: pid 0 and
// this uid (kernel.overflowuid), which a user may have (nobody).
constexpr uid_t kOverflowUid = 65534;

void close_descriptors(const cmsghdr* control) {
  const uint8_t* data = CMSG_DATA(control);
  for (size_t left = control->cmsg_len - CMSG_LEN(0); left >= sizeof(int); left -= sizeof(int)) {
    int fd = -1;
    std::copy_n(data, sizeof(fd), reinterpret_cast<uint8_t*>(&fd));
    ::close(fd);
    data += sizeof(fd);
  }
}

void read_credentials(msghdr& message, Sender& sender) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET) continue;
    if (c->cmsg_type == SCM_RIGHTS) close_descriptors(c);
    if (c->cmsg_type == SCM_CREDENTIALS && c->cmsg_len == CMSG_LEN(sizeof(ucred))) {
      ucred credentials{};
      std::copy_n(CMSG_DATA(c), sizeof(credentials), reinterpret_cast<uint8_t*>(&credentials));
      if (credentials.pid == 0 && credentials.uid == kOverflowUid) continue;
      sender.uid = credentials.uid;
      sender.pid = credentials.pid;
    }
  }
}

}  // namespace

struct IdentifiedReceiver::Scratch {
  // Room for the credentials and nothing else: with them first, the kernel has no room left to
  // install descriptors that a sender passed along, and closes them.
  struct alignas(cmsghdr) Control {
    std::array<uint8_t, CMSG_SPACE(sizeof(ucred))> bytes;
  };

  std::array<mmsghdr, kMaxBatch> messages{};
  std::array<iovec, kMaxBatch> parts{};
  std::array<Control, kMaxBatch> controls{};
  std::array<Datagram, kMaxBatch> datagrams{};
};

IdentifiedReceiver::IdentifiedReceiver() : scratch_(std::make_unique<Scratch>()) {}
IdentifiedReceiver::~IdentifiedReceiver() = default;

std::span<const IdentifiedReceiver::Datagram> IdentifiedReceiver::receive(int fd,
                                                                          ReceiveBatch& batch,
                                                                          int& error) {
  Scratch& s = *scratch_;
  size_t capacity = std::min(batch.capacity(), kMaxBatch);
  for (size_t i = 0; i < capacity; i++) {
    s.datagrams.at(i) = {};
    s.parts.at(i) = {.iov_base = batch.slot(i).data(), .iov_len = batch.slot_size()};
    s.messages.at(i).msg_hdr = {.msg_name = &s.datagrams.at(i).sender.address,
                                .msg_namelen = sizeof(sockaddr_un),
                                .msg_iov = &s.parts.at(i),
                                .msg_iovlen = 1,
                                .msg_control = s.controls.at(i).bytes.data(),
                                .msg_controllen = s.controls.at(i).bytes.size(),
                                .msg_flags = 0};
  }
  int received = receive_messages(fd, s.messages.data(), capacity);
  error = received < 0 ? real_error(errno) : 0;
  auto count = static_cast<size_t>(std::max(received, 0));
  for (size_t i = 0; i < count; i++) {
    msghdr& message = s.messages.at(i).msg_hdr;
    Datagram& datagram = s.datagrams.at(i);
    datagram.size = s.messages.at(i).msg_len;
    datagram.truncated = (message.msg_flags & MSG_TRUNC) != 0;
    // A path of 108 bytes has no room for its NUL, but the kernel counts it in: 111 of 110 bytes.
    datagram.sender.address_size =
        std::min<socklen_t>(message.msg_namelen, sizeof(datagram.sender.address));
    datagram.sender.uid = kNobody;
    read_credentials(message, datagram.sender);
  }
  return std::span(s.datagrams).first(count);
}

struct DatagramSender::Scratch {
  explicit Scratch(size_t size) : messages(size) {}
  std::vector<mmsghdr> messages;
};

DatagramSender::DatagramSender(size_t max_batch)
    : scratch_(std::make_unique<Scratch>(std::min<size_t>(max_batch, UIO_MAXIOV))) {}
DatagramSender::~DatagramSender() = default;

size_t DatagramSender::max_batch() const { return scratch_->messages.size(); }

void DatagramSender::prepare(const SendBatch& batch, size_t first, size_t count) {
  for (size_t i = 0; i < count; i++) {
    std::span<const iovec> parts = batch.parts_of(first + i);
    // sendmmsg only reads, but struct msghdr has no const form.
    scratch_->messages[i].msg_hdr.msg_iov = const_cast<iovec*>(parts.data());
    scratch_->messages[i].msg_hdr.msg_iovlen = parts.size();
  }
}

DatagramSender::Sent DatagramSender::send(int fd, size_t from, size_t end) {
  int sent = 0;
  do {
    sent = ::sendmmsg(fd, &scratch_->messages[from], static_cast<unsigned>(end - from),
                      MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return {.frames = 0, .fault = fault_of(errno)};
  return {.frames = static_cast<size_t>(sent), .fault = SendFault::kNone};
}

SendFault send_datagram(int fd, std::span<const uint8_t> frame) {
  ssize_t sent = 0;
  do {
    sent = ::send(fd, frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? fault_of(errno) : SendFault::kNone;
}

bool wait_for_room(int fd, std::chrono::milliseconds timeout, int /*earlier_waits*/) {
  pollfd entry{.fd = fd, .events = POLLOUT, .revents = 0};
  // A signal cuts the wait short: rare, and the caller tries again anyway.
  return ::poll(&entry, 1, static_cast<int>(timeout.count())) != 0;
}

void raise_buffers(int fd) {
  raise_buffer(fd, SO_SNDBUF, SO_SNDBUFFORCE);
  raise_buffer(fd, SO_RCVBUF, SO_RCVBUFFORCE);
}

bool is_disconnect(int error) { return error == ECONNRESET; }

}  // namespace vmnet
