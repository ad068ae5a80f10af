#include "forward/client_monitor.h"

#include <fmt/format.h>
#include <poll.h>

#include "base/log.h"

namespace vmnet {
namespace {

constexpr std::chrono::milliseconds kLogInterval{200};  // of two lines at most

bool is_readable(int fd) {
  pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
  return fd >= 0 && ::poll(&entry, 1, 0) == 1;
}

std::string name_of(const VmEnd::Client& client) {
  if (!client.path.empty()) return fmt::format("'{}'", escaped(client.path));
  return client.pid != 0 ? fmt::format("of process {}", client.pid) : "without a name";
}

}  // namespace

ClientMonitor::ClientMonitor(VmEnd& socket, PeerWatch watch)
    : socket_(socket),
      watch_(std::move(watch)),
      epoch_(socket.client().epoch),
      logged_epoch_(epoch_) {}

std::array<int, 3> ClientMonitor::wake_fds() const {
  return {socket_.client_changed().fd(), client_process_.get(), socket_.admission_fd()};
}

bool ClientMonitor::check() {
  socket_.client_changed().clear();
  socket_.accept_clients();
  VmEnd::Client client = socket_.client();
  if (client.epoch != epoch_) follow(client);
  log_news(client);
  if (!client.attached) return true;
  // A process that has ended says all it can say: whether its socket lives on is asked below, now
  // and from time to time (a child may have inherited it).
  if (is_readable(client_process_.get())) client_process_.reset();
  if (!watch_.peer_gone()) return true;
  if (!socket_.is_bound()) return false;
  socket_.client_gone(client.epoch);
  client = socket_.client();
  follow(client);
  log_news(client);
  return true;
}

void ClientMonitor::follow(const VmEnd::Client& client) {
  epoch_ = client.epoch;
  client_process_ = client.attached ? open_process_watch(client.pid) : UniqueFd();
}

void ClientMonitor::log_news(const VmEnd::Client& client) {
  uint64_t refused = socket_.refused();
  auto now = Clock::now();
  bool news = client.epoch != logged_epoch_ || refused != logged_refused_ ||
              client.faults != logged_faults_;
  if (!news || now < next_log_) return;
  next_log_ = now + kLogInterval;
  if (client.faults != logged_faults_) {
    log_warn("socket", "ended the client, whose stream cannot be followed: {}", client.fault);
  }
  if (client.epoch != logged_epoch_ && client.attached) {
    log_info("socket", "client {} connected", name_of(client));
  } else if (client.epoch != logged_epoch_) {
    log_info("socket", "the client has gone; waiting for the next");
  }
  if (refused != logged_refused_ && client.unreachable_errno != 0) {
    log_warn("socket", "cannot connect back to client '{}': {}", client.unreachable_path,
             errno_text(client.unreachable_errno));
  } else if (refused != logged_refused_) {
    log_warn("socket", "refused {} {}", refused - logged_refused_, socket_.what_is_refused());
  }
  logged_epoch_ = client.epoch;
  logged_refused_ = refused;
  logged_faults_ = client.faults;
}

}  // namespace vmnet
