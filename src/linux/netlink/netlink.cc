#include "linux/netlink/netlink.h"

#include <cerrno>
#include <cstring>
#include <string>

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

namespace vmnet {
namespace {

// Large enough for one message of a dump: the kernel fills at most 32 KiB a read.
constexpr size_t kReceiveSize = 32768;

// How often an interrupted dump is repeated, or a part of it not received: only a host in constant
// change or without memory gets that far.
constexpr int kMaxDumpAttempts = 10;

int on_attribute(const nlattr* attribute, void* data) {
  (*static_cast<const std::function<void(const nlattr*)>*>(data))(attribute);
  return MNL_CB_OK;
}

void* as_user_data(const std::function<void(const nlattr*)>& handle) {
  return const_cast<std::function<void(const nlattr*)>*>(&handle);
}

}  // namespace

void for_each_attribute(const nlmsghdr* message, size_t header_size,
                        const std::function<void(const nlattr*)>& handle) {
  mnl_attr_parse(message, static_cast<unsigned>(header_size), on_attribute, as_user_data(handle));
}

void for_each_nested(const nlattr* nest, const std::function<void(const nlattr*)>& handle) {
  mnl_attr_parse_nested(nest, on_attribute, as_user_data(handle));
}

std::string attribute_text(const nlattr* attribute) {
  const auto* text = static_cast<const char*>(mnl_attr_get_payload(attribute));
  return {text, strnlen(text, mnl_attr_get_payload_len(attribute))};
}

NetlinkMessage::NetlinkMessage(uint16_t type, uint16_t flags)
    : header_(mnl_nlmsg_put_header(buffer_.data())) {
  header_->nlmsg_type = type;
  header_->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
}

void NetlinkMessage::put_string(uint16_t type, std::string_view text) {
  mnl_attr_put_strz(header_, type, std::string(text).c_str());
}

Result<NetlinkSocket> NetlinkSocket::open(int protocol) {
  NetlinkSocket socket(mnl_socket_open2(protocol, SOCK_CLOEXEC));
  if (!socket.socket_) return fail_errno("cannot open a netlink socket", errno);
  if (mnl_socket_bind(socket.socket_.get(), 0, MNL_SOCKET_AUTOPID) < 0) {
    return fail_errno("cannot bind a netlink socket", errno);
  }
  timeval timeout{.tv_sec = kNetlinkTimeout.count(), .tv_usec = 0};
  setsockopt(socket.fd(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  // Acknowledgements without a copy of the request (Linux 4.3), and strict checking of dump
  // requests (4.20), which makes the kernel filter for us. Older kernels refuse them, harmlessly.
  int on = 1;
  mnl_socket_setsockopt(socket.socket_.get(), NETLINK_CAP_ACK, &on, sizeof(on));
  mnl_socket_setsockopt(socket.socket_.get(), NETLINK_GET_STRICT_CHK, &on, sizeof(on));
  return socket;
}

Status NetlinkSocket::send(NetlinkMessage& message, std::string_view what) {
  message.header()->nlmsg_seq = ++sequence_;
  ssize_t sent = 0;
  do {
    sent = mnl_socket_sendto(socket_.get(), message.header(), message.header()->nlmsg_len);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return fail_errno(what, errno);
  return {};
}

Status NetlinkSocket::request(NetlinkMessage& message, std::string_view what) {
  message.header()->nlmsg_flags |= NLM_F_ACK;
  return query(message, what, [](const nlmsghdr*) {});
}

NetlinkSocket::Answer NetlinkSocket::read_answer(
    std::span<const uint8_t> data, const std::function<void(const nlmsghdr*)>& handle) const {
  Answer answer;
  int left = static_cast<int>(data.size());
  const auto* message = reinterpret_cast<const nlmsghdr*>(data.data());
  for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
    if (message->nlmsg_seq != sequence_) continue;  // the rest of an answer given up before
    if ((message->nlmsg_flags & NLM_F_DUMP_INTR) != 0) answer.interrupted = true;
    if (message->nlmsg_type == NLMSG_DONE) {
      answer.complete = true;
    } else if (message->nlmsg_type == NLMSG_ERROR) {
      const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message));
      answer.complete = true;
      answer.error = -error->error;
    } else if (message->nlmsg_type >= NLMSG_MIN_TYPE) {
      handle(message);
      answer.handled = true;
    }
  }
  return answer;
}

Status NetlinkSocket::query(NetlinkMessage& message, std::string_view what,
                            const std::function<void(const nlmsghdr*)>& handle,
                            const std::function<void()>& restart) {
  std::array<uint8_t, kReceiveSize> buffer{};
  bool dump = (message.header()->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
  bool one_message = !dump && (message.header()->nlmsg_flags & NLM_F_ACK) == 0;
  int losses = 0;
  for (int attempt = 0; attempt < kMaxDumpAttempts; attempt++) {
    if (attempt > 0 && restart) restart();
    if (auto sent = send(message, what); !sent) return sent;
    Answer answer;
    while (!answer.complete && !(one_message && answer.handled)) {
      ssize_t size = mnl_socket_recvfrom(socket_.get(), buffer.data(), buffer.size());
      if (size < 0 && errno == EINTR) continue;
      if (size < 0 && errno == EAGAIN) {
        return fail_errno(what, ETIMEDOUT, "the kernel did not answer");
      }
      // A dump has to be read to its end: before, the kernel begins no other on this socket
      // (EBUSY).
      if (size < 0 && dump && ++losses < kMaxDumpAttempts) {
        answer.interrupted = true;
        continue;
      }
      if (size < 0) return fail_errno(what, errno);
      Answer part = read_answer({buffer.data(), static_cast<size_t>(size)}, handle);
      part.interrupted = part.interrupted || answer.interrupted;
      answer = part;
    }
    if (answer.error != 0) return fail_errno(what, answer.error);
    if (!answer.interrupted) return {};
  }
  return fail_errno(what, EBUSY, "the host's network keeps changing; try again");
}

Status NetlinkSocket::join_group(int group) {
  if (mnl_socket_setsockopt(socket_.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0) {
    return fail_errno("cannot listen to network events", errno);
  }
  return {};
}

bool NetlinkSocket::read_events(const std::function<void(const nlmsghdr*)>& handle) {
  std::array<uint8_t, kReceiveSize> buffer{};
  while (true) {
    ssize_t size = recv(fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0) return errno != ENOBUFS;
    int left = static_cast<int>(size);
    const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data());
    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) handle(message);
  }
}

}  // namespace vmnet
