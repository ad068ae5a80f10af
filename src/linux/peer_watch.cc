// unix_diag (sock_diag(7)): UNIX_DIAG_PEER is the inode of the peer, 0 once the peer has been
// closed, absent without a peer. It finds sockets of its own network namespace only (else: ENOENT)
// and needs no privilege.
#include "platform/peer_watch.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>

#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/unix_diag.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/thread.h"

namespace vmnet {
namespace {

constexpr uint32_t kAnyState = ~uint32_t{0};

Result<UniqueFd> open_diag_socket() {
  UniqueFd diag(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!diag.valid()) return fail_errno("cannot open a unix_diag socket", errno);
  return diag;
}

// In the network namespace behind `namespace_fd`, on a thread made for it: setns(2) changes the
// calling thread alone, so this one can never be stranded there.
Result<UniqueFd> open_diag_socket_in(int namespace_fd) {
  Result<UniqueFd> diag = fail("");
  auto visit = [&] {
    // ROOT: the namespace is that of the VM's socket; nothing but a netlink socket is made in it.
    if (::setns(namespace_fd, CLONE_NEWNET) != 0) {
      diag = fail_errno("cannot enter the network namespace of the VM's socket", errno,
                        "it needs CAP_SYS_ADMIN");
    } else {
      diag = open_diag_socket();
    }
  };
  auto visitor = Thread::start(visit);
  if (!visitor) return pass(visitor);
  visitor->join();
  return diag;
}

enum class Peer { kAlive, kGone, kNotFound, kUnknown };

int read_peer(const nlattr* attribute, void* data) {
  if (mnl_attr_get_type(attribute) == UNIX_DIAG_PEER &&
      mnl_attr_validate(attribute, MNL_TYPE_U32) == 0) {
    bool gone = mnl_attr_get_u32(attribute) == 0;
    *static_cast<Peer*>(data) = gone ? Peer::kGone : Peer::kAlive;
  }
  return MNL_CB_OK;
}

}  // namespace

struct PeerWatch::State {
  UniqueFd diag;
  uint32_t inode = 0;
  uint32_t sequence = 0;

  Peer ask();
  bool send_request();
  Peer read_answer();
};

bool PeerWatch::State::send_request() {
  alignas(nlmsghdr) std::array<uint8_t, 256> buffer{};
  nlmsghdr* header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
  header->nlmsg_flags = NLM_F_REQUEST;
  header->nlmsg_seq = ++sequence;
  auto* request =
      static_cast<unix_diag_req*>(mnl_nlmsg_put_extra_header(header, sizeof(unix_diag_req)));
  request->sdiag_family = AF_UNIX;
  request->udiag_states = kAnyState;
  request->udiag_ino = inode;
  request->udiag_show = UDIAG_SHOW_PEER;
  request->udiag_cookie[0] = ~uint32_t{0};  // any (INET_DIAG_NOCOOKIE)
  request->udiag_cookie[1] = ~uint32_t{0};
  return ::send(diag.get(), buffer.data(), header->nlmsg_len, MSG_DONTWAIT) > 0;
}

// The kernel has queued its answer by the time that send() returns, so this never waits.
Peer PeerWatch::State::read_answer() {
  alignas(nlmsghdr) std::array<uint8_t, 1024> buffer{};
  while (true) {
    ssize_t size = ::recv(diag.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size <= 0) return Peer::kUnknown;
    const auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data());
    if (!mnl_nlmsg_ok(header, static_cast<int>(size))) return Peer::kUnknown;
    if (header->nlmsg_seq != sequence) continue;  // a late answer to an earlier question
    if (header->nlmsg_type == NLMSG_ERROR) {
      const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(header));
      bool complete = mnl_nlmsg_get_payload_len(header) >= sizeof(nlmsgerr);
      return complete && error->error == -ENOENT ? Peer::kNotFound : Peer::kUnknown;
    }
    if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY) return Peer::kUnknown;
    Peer peer = Peer::kGone;  // no attribute: no peer
    mnl_attr_parse(header, sizeof(unix_diag_msg), read_peer, &peer);
    return peer;
  }
}

Peer PeerWatch::State::ask() { return send_request() ? read_answer() : Peer::kUnknown; }

PeerWatch::PeerWatch(std::unique_ptr<State> state) : state_(std::move(state)) {}
PeerWatch::PeerWatch(PeerWatch&& other) noexcept = default;
PeerWatch& PeerWatch::operator=(PeerWatch&& other) noexcept = default;
PeerWatch::~PeerWatch() = default;

Result<PeerWatch> PeerWatch::open(int socket) {
  struct stat status{};
  if (::fstat(socket, &status) != 0) return fail_errno("cannot inspect the VM's socket", errno);
  auto diag = open_diag_socket();
  if (!diag) return pass(diag);
  auto state = std::make_unique<State>();
  state->diag = std::move(*diag);
  state->inode = static_cast<uint32_t>(status.st_ino);
  Peer peer = state->ask();
  if (peer == Peer::kNotFound) {
    // ROOT: SIOCGSKNS (Linux 4.10) opens the namespace of a socket that the user already holds.
    UniqueFd space(::ioctl(socket, SIOCGSKNS));
    if (!space.valid()) {
      return fail_errno("cannot find the network namespace of the VM's socket", errno,
                        "it needs CAP_NET_ADMIN");
    }
    auto there = open_diag_socket_in(space.get());
    if (!there) return pass(there);
    state->diag = std::move(*there);
    peer = state->ask();
  }
  if (peer == Peer::kUnknown || peer == Peer::kNotFound) {
    return fail(
        "cannot watch the VM's socket: unix_diag does not answer; is CONFIG_UNIX_DIAG there?");
  }
  return PeerWatch(std::move(state));
}

PeerWatch PeerWatch::blind() { return PeerWatch(nullptr); }

bool PeerWatch::peer_gone() { return state_ && state_->ask() == Peer::kGone; }

UniqueFd open_process_watch(pid_t pid) {
  if (pid <= 0) return {};
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

}  // namespace vmnet
