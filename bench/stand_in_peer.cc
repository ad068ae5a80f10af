#include "stand_in_peer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "wire/bytes.h"

namespace vmnet::bench {
namespace {

constexpr size_t kCacheLine = 64;

class DatagramPeer : public Peer {
 public:
  explicit DatagramPeer(UniqueFd socket) : socket_(std::move(socket)) {}

  bool receive(Frames& frames) override {
    point_at(frames, in_, in_parts_, Frames::kCapacity);
    for (iovec& part : in_parts_) part.iov_len = frames.max_frame();
    int received = ::recvmmsg(socket_.get(), in_, Frames::kCapacity, MSG_WAITFORONE, nullptr);
    frames.count = 0;
    if (received < 0) return errno == EINTR;
    for (; frames.count < static_cast<size_t>(received); frames.count++) {
      frames.sizes[frames.count] = in_[frames.count].msg_len;
    }
    // A SEQPACKET peer that has gone; a datagram of no bytes is never sent.
    return received == 0 || in_[0].msg_len > 0;
  }

  bool send(Frames& frames) override {
    point_at(frames, out_, out_parts_, frames.count);
    for (size_t i = 0; i < frames.count; i++) out_parts_[i].iov_len = frames.sizes[i];
    for (size_t sent = 0; sent < frames.count;) {
      int result = ::sendmmsg(socket_.get(), out_ + sent,
                              static_cast<unsigned>(frames.count - sent), MSG_NOSIGNAL);
      if (result < 0 && errno != EINTR && errno != ENOBUFS) return false;
      sent += static_cast<size_t>(std::max(result, 0));
    }
    return true;
  }

 private:
  static void point_at(Frames& frames, mmsghdr* messages, iovec* parts, size_t count) {
    for (size_t i = 0; i < count; i++) {
      parts[i].iov_base = frames.frame(i);
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
  }

  UniqueFd socket_;
  mmsghdr in_[Frames::kCapacity] = {};
  mmsghdr out_[Frames::kCapacity] = {};
  iovec in_parts_[Frames::kCapacity] = {};
  iovec out_parts_[Frames::kCapacity] = {};
};

class StreamPeer : public Peer {
 public:
  explicit StreamPeer(UniqueFd socket) : socket_(std::move(socket)), buffer_(kBuffer) {}

  bool receive(Frames& frames) override {
    frames.count = 0;
    while (true) {
      while (frames.count < Frames::kCapacity && take_frame(frames)) {
      }
      if (frames.count > 0) return true;
      std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
      ssize_t size = ::recv(socket_.get(), buffer_.data() + end_, buffer_.size() - end_, 0);
      if (size == 0 || (size < 0 && errno != EINTR)) return false;
      end_ += static_cast<size_t>(std::max<ssize_t>(size, 0));
    }
  }

  // A frame a message here too, as QEMU and libkrun write to a stream.
  bool send(Frames& frames) override {
    for (size_t i = 0; i < frames.count; i++) {
      // The length lies where the virtio-net header ends, right before the frame.
      uint8_t* start = frames.frame(i) - kLength;
      store_be32(start, static_cast<uint32_t>(frames.sizes[i]));
      parts_[i] = {.iov_base = start, .iov_len = kLength + frames.sizes[i]};
      messages_[i].msg_hdr.msg_iov = &parts_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
    for (size_t sent = 0; sent < frames.count;) {
      int result = ::sendmmsg(socket_.get(), messages_ + sent,
                              static_cast<unsigned>(frames.count - sent), MSG_NOSIGNAL);
      if (result < 0 && errno != EINTR) return false;
      sent += static_cast<size_t>(std::max(result, 0));
      // A blocking send to a stream takes all of a message, but for a signal; none is handled here.
      if (sent > 0 && messages_[sent - 1].msg_len != parts_[sent - 1].iov_len) return false;
    }
    return true;
  }

 private:
  static constexpr size_t kLength = 4;
  static constexpr size_t kBuffer = 256 << 10;

  bool take_frame(Frames& frames) {
    size_t there = end_ - begin_;
    if (there < kLength) return false;
    size_t size = load_be32(buffer_.data() + begin_);
    if (there < kLength + size) return false;
    size_t kept = std::min(size, frames.max_frame());
    std::memcpy(frames.frame(frames.count), buffer_.data() + begin_ + kLength, kept);
    frames.sizes[frames.count++] = kept;
    begin_ += kLength + size;
    return true;
  }

  UniqueFd socket_;
  std::vector<uint8_t> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  mmsghdr messages_[Frames::kCapacity] = {};
  iovec parts_[Frames::kCapacity] = {};
};

class TapPeer : public Peer {
 public:
  explicit TapPeer(UniqueFd tap) : tap_(std::move(tap)) {}

  bool receive(Frames& frames) override {
    pollfd entry{.fd = tap_.get(), .events = POLLIN, .revents = 0};
    ::poll(&entry, 1, -1);
    frames.count = 0;
    while (frames.count < Frames::kCapacity) {
      ssize_t size = ::read(tap_.get(), frames.with_header(frames.count),
                            Frames::kHeader + frames.max_frame());
      if (size < 0 && errno != EAGAIN && errno != EINTR) return false;
      if (size < static_cast<ssize_t>(Frames::kHeader)) break;
      frames.sizes[frames.count++] = static_cast<size_t>(size) - Frames::kHeader;
    }
    return true;
  }

  bool send(Frames& frames) override {
    for (size_t i = 0; i < frames.count; i++) {
      ssize_t size = ::write(tap_.get(), frames.with_header(i), Frames::kHeader + frames.sizes[i]);
      if (size < 0 && (errno == EBADFD || errno == ENODEV)) return false;
    }
    return true;
  }

 private:
  UniqueFd tap_;
};

}  // namespace

Frames::Frames(size_t max_frame)
    : max_frame_(max_frame),
      stride_((kHeader + max_frame + kCacheLine - 1) / kCacheLine * kCacheLine),
      memory_(kCapacity * stride_) {}

std::unique_ptr<Peer> datagram_peer(UniqueFd socket) {
  return std::make_unique<DatagramPeer>(std::move(socket));
}

Result<std::unique_ptr<Peer>> vfkit_peer(const std::string& path) {
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return fail_errno("cannot make a socket", errno);
  sockaddr_un own{.sun_family = AF_UNIX, .sun_path = {}};
  sockaddr_un theirs = own;
  (path + ".vm").copy(own.sun_path, sizeof(own.sun_path) - 1);
  path.copy(theirs.sun_path, sizeof(theirs.sun_path) - 1);
  ::unlink(own.sun_path);
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&own), sizeof(own)) != 0 ||
      ::connect(socket.get(), reinterpret_cast<sockaddr*>(&theirs), sizeof(theirs)) != 0 ||
      ::send(socket.get(), "VFKT", 4, MSG_NOSIGNAL) != 4) {
    return fail_errno("cannot connect to " + path, errno);
  }
  return datagram_peer(std::move(socket));
}

std::unique_ptr<Peer> stream_peer(UniqueFd socket) {
  return std::make_unique<StreamPeer>(std::move(socket));
}

Result<std::unique_ptr<Peer>> tap_peer(UniqueFd tap, bool offload) {
  int header = static_cast<int>(Frames::kHeader);
  unsigned features = offload ? TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 : 0U;
  int flags = ::fcntl(tap.get(), F_GETFL);
  if (::ioctl(tap.get(), TUNSETVNETHDRSZ, &header) != 0 ||
      ::ioctl(tap.get(), TUNSETOFFLOAD, features) != 0 ||
      ::fcntl(tap.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return fail_errno("cannot set the host's TAP up", errno);
  }
  return std::make_unique<TapPeer>(std::move(tap));
}

}  // namespace vmnet::bench
