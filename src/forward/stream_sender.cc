#include "forward/stream_sender.h"

#include <algorithm>
#include <cerrno>

#include <sys/socket.h>

#include "wire/bytes.h"

namespace vmnet {

StreamSender::StreamSender(size_t max_frame)
    : max_frame_(max_frame),
      lengths_(kMaxFrames),
      memory_(std::make_unique_for_overwrite<uint8_t[]>(kLengthSize + max_frame)) {
  parts_.reserve(kMaxParts);
  frames_.reserve(kMaxFrames);
}

void StreamSender::begin() {
  parts_.clear();
  frames_.clear();
  if (!rest_.empty()) parts_.push_back({.iov_base = rest_.data(), .iov_len = rest_.size()});
}

bool StreamSender::add(std::span<const iovec> frame) {
  if (frames_.size() == kMaxFrames || parts_.size() + 1 + frame.size() > kMaxParts) return false;
  auto& length = lengths_[frames_.size()];
  frames_.push_back({.first_part = parts_.size(), .size = kLengthSize});
  parts_.push_back({.iov_base = length.data(), .iov_len = length.size()});
  parts_.insert(parts_.end(), frame.begin(), frame.end());
  for (const iovec& part : frame) frames_.back().size += part.iov_len;
  store_be32(length.data(), static_cast<uint32_t>(frames_.back().size - kLengthSize));
  return true;
}

StreamSender::Sent StreamSender::send(int fd) {
  msghdr message{};
  message.msg_iov = parts_.data();
  message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(parts_.size());
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(fd, &message, MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  if (sent > 0) return account(static_cast<size_t>(sent));
  // Memory may come back as room does.
  bool full =
      sent == 0 || errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM;
  return {.fault = full ? Fault::kFull : Fault::kGone};
}

StreamSender::Sent StreamSender::account(size_t sent) {
  size_t of_rest = std::min(sent, rest_.size());
  rest_ = rest_.subspan(of_rest);
  sent -= of_rest;
  Sent result;
  while (sent > 0) {
    const Frame& frame = frames_[result.frames];
    size_t taken = std::min(sent, frame.size);
    if (taken < frame.size) keep_rest(result.frames, taken);
    sent -= taken;
    result.frames++;
    result.bytes += frame.size - kLengthSize;
  }
  return result;
}

void StreamSender::keep_rest(size_t frame, size_t sent) {
  uint8_t* end = memory_.get();
  size_t left = frames_[frame].size;
  for (size_t i = frames_[frame].first_part; left > 0; i++) {
    const auto* bytes = static_cast<const uint8_t*>(parts_[i].iov_base);
    size_t skipped = std::min(sent, parts_[i].iov_len);
    sent -= skipped;
    left -= parts_[i].iov_len;
    end = std::copy(bytes + skipped, bytes + parts_[i].iov_len, end);
  }
  rest_ = {memory_.get(), end};
}

void StreamSender::reset() { rest_ = {}; }

}  // namespace vmnet
