#include "helper/native_session.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <poll.h>

#include "base/descriptor_passing.h"

namespace vmnet {
namespace {

using std::chrono::milliseconds;

// How often to ask whether the VM's end of the socket is still there: its close raises no event.
constexpr milliseconds kPeerInterval{500};

// So many requests are answered before the end is looked for again.
constexpr int kMaxRequests = 64;

constexpr std::array<uint8_t, 3> kMessage = {'T', 'A', 'P'};

}  // namespace

NativeSession::NativeSession(HostInterface& interface, PeerWatch watch, int vm_socket, int stop_fd)
    : interface_(interface),
      device_(*interface.native_device()),
      responder_(interface.make_responder()),
      watch_(std::move(watch)),
      vm_socket_(vm_socket),
      stop_fd_(stop_fd) {
  if (responder_) next_tick_ = Clock::now();
}

Status NativeSession::hand_over() {
  // Closed here once it is sent: the device ends with the VM's last copy.
  UniqueFd device = device_.take_descriptor();
  auto sent = send_with_descriptor(vm_socket_, kMessage, device.get());
  bool vm_gone = !sent && (sent.error().os_errno == ECONNREFUSED ||
                           sent.error().os_errno == ECONNRESET || sent.error().os_errno == EPIPE);
  if (sent || vm_gone) return {};
  return fail("cannot hand the device to the VM: " + sent.error().message);
}

SessionEnd NativeSession::run() {
  while (true) {
    tick_if_due();
    std::array<pollfd, 5> entries = {
        pollfd{.fd = stop_fd_, .events = POLLIN, .revents = 0},
        pollfd{.fd = interface_.lost_fd(), .events = POLLIN, .revents = 0},
        pollfd{.fd = device_.gone_fd(), .events = POLLIN, .revents = 0},
        pollfd{.fd = responder_ ? device_.request_fd() : -1, .events = POLLIN, .revents = 0},
        // What the VM's program sends is not read; a SEQPACKET socket tells of its end.
        pollfd{.fd = vm_socket_, .events = 0, .revents = 0}};
    if (poll(entries.data(), entries.size(), poll_timeout()) < 0) continue;
    if (entries[0].revents != 0) return SessionEnd::kStopped;
    // Before the device: a keeper that ends takes it along.
    if (entries[1].revents != 0) return SessionEnd::kInterfaceLost;
    if (entries[2].revents != 0 || entries[4].revents != 0) return SessionEnd::kVmGone;
    if (watch_.peer_gone()) return SessionEnd::kVmGone;
    if (entries[3].revents != 0) answer_requests();
  }
}

void NativeSession::tick_if_due() {
  if (!next_tick_ || Clock::now() < *next_tick_) return;
  auto delay = responder_->tick(device_);
  constexpr milliseconds kShortest{1};
  next_tick_.reset();
  if (delay) next_tick_ = Clock::now() + std::max(*delay, kShortest);
}

void NativeSession::answer_requests() {
  for (int i = 0; i < kMaxRequests; i++) {
    auto request = device_.next_request();
    if (request.empty()) return;
    responder_->handle(request, device_);
  }
}

int NativeSession::poll_timeout() const {
  auto wait = Clock::duration(kPeerInterval);
  if (next_tick_) wait = std::min(wait, *next_tick_ - Clock::now());
  wait = std::max(wait, Clock::duration::zero());
  return static_cast<int>(std::chrono::ceil<milliseconds>(wait).count());
}

}  // namespace vmnet
