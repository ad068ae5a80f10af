#include "helper/session.h"

#include <algorithm>
#include <limits>

#include <poll.h>

#include "base/log.h"
#include "helper/stop_signals.h"

namespace vmnet {
namespace {

// How often the VM's end is asked for: a silent end is noticed within two seconds.
constexpr std::chrono::milliseconds kPeerCheck{500};

// At most one line in this time about clients that come, go or are refused: a guest cannot flood
// the log.
constexpr std::chrono::milliseconds kClientLogInterval{250};

void wait_for(const WakeUp& flag) {
  pollfd entry{.fd = flag.fd(), .events = POLLIN, .revents = 0};
  while (poll(&entry, 1, -1) < 1) {
  }
}

ForwardOptions forward_options(const NetworkConfig& config) {
  return {.tso = config.enable_tso, .checksum_offload = config.enable_checksum_offload};
}

}  // namespace

Result<std::unique_ptr<Session>> Session::create(const SessionConfig& config,
                                                 HostInterface& interface, VmSocket& vm,
                                                 PeerWatch& watch, DirectionStats& to_vm_stats) {
  auto go = WakeUp::create();
  if (!go) return pass(go);
  auto stop = WakeUp::create();
  if (!stop) return pass(stop);
  auto ended = WakeUp::create();
  if (!ended) return pass(ended);
  return std::unique_ptr<Session>(
      new Session(config, interface, vm, watch, to_vm_stats, std::move(*go), std::move(*stop), std::move(*ended)));
}

Session::Session(const SessionConfig& config, HostInterface& interface, VmSocket& vm,
                 PeerWatch& watch, DirectionStats& to_vm_stats, WakeUp go, WakeUp stop,
                 WakeUp ended)
    : config_(config),
      interface_(interface),
      vm_(vm),
      watch_(watch),
      to_vm_stats_(to_vm_stats),
      responder_(interface.make_responder()),
      to_vm_(forward_options(config.network)),
      to_host_(forward_options(config.network), responder_.get(), vm),
      vm_forwarder_(interface.endpoint(), vm, to_vm_, to_vm_stats,
                    ToVm::batch_sizes(forward_options(config.network))),
      host_forwarder_(vm, interface.endpoint(), to_host_, to_host_stats_,
                      ToHost::batch_sizes(forward_options(config.network))),
      go_(std::move(go)),
      stop_threads_(std::move(stop)),
      thread_ended_(std::move(ended)) {
  if (responder_) host_forwarder_.enable_ticks(*responder_, vm);
  if (config.stats_interval) next_stats_ = Clock::now() + *config.stats_interval;
}

Session::~Session() {
  stop_threads_.raise();
  go_.raise();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void Session::start_threads() {
  // Signals are the main thread's: the new threads inherit the blocked ones.
  block_stop_signals(true);
  threads_[0] = std::thread([this] { run_thread(vm_forwarder_, ForwardEnd::kTargetGone); });
  threads_[1] = std::thread([this] { run_thread(host_forwarder_, ForwardEnd::kSourceGone); });
  block_stop_signals(false);
  threads_ready_.wait();
}

// `vm_end` is the end that means the VM's side of this direction.
void Session::run_thread(Forwarder& forwarder, ForwardEnd vm_end) {
  threads_ready_.count_down();
  wait_for(go_);
  ForwardEnd end = forwarder.run(stop_threads_.fd());
  if (end == ForwardEnd::kStopped) return;
  (end == vm_end ? vm_gone_ : interface_gone_).store(true);
  thread_ended_.raise();
}

SessionEnd Session::run() {
  next_peer_check_ = Clock::now() + kPeerCheck;
  go_.raise();
  SessionEnd end = wait_for_end();
  stop_threads_.raise();
  for (std::thread& thread : threads_) thread.join();
  return end;
}

SessionEnd Session::wait_for_end() {
  while (true) {
    std::array<pollfd, 5> entries = {
        pollfd{.fd = config_.stop_fd, .events = POLLIN, .revents = 0},
        pollfd{.fd = interface_.lost_fd(), .events = POLLIN, .revents = 0},
        pollfd{.fd = thread_ended_.fd(), .events = POLLIN, .revents = 0},
        pollfd{.fd = vm_.client_changed().fd(), .events = POLLIN, .revents = 0},
        pollfd{.fd = client_process_.get(), .events = POLLIN, .revents = 0}};
    if (poll(entries.data(), entries.size(), poll_timeout()) < 0) continue;
    if (entries[0].revents != 0) return SessionEnd::kStopped;
    if (entries[1].revents != 0) return SessionEnd::kInterfaceLost;
    if (auto end = end_of_threads()) return *end;
    if (entries[3].revents != 0) look_at_client();
    if (entries[4].revents != 0) {
      // The process has died; whether the socket died with it is for the kernel to say.
      client_process_.reset();
      next_peer_check_ = Clock::now();
    }
    if (auto end = check_peer()) return *end;
    log_client_if_due();
    print_stats_if_due();
  }
}

std::optional<SessionEnd> Session::end_of_threads() const {
  if (interface_gone_.load()) return SessionEnd::kInterfaceLost;
  if (vm_gone_.load()) return SessionEnd::kVmGone;
  return std::nullopt;
}

std::optional<SessionEnd> Session::check_peer() {
  if (Clock::now() < next_peer_check_) return std::nullopt;
  next_peer_check_ = Clock::now() + kPeerCheck;
  client_ = vm_.client();
  if (!client_.attached || !watch_.peer_gone()) return std::nullopt;
  if (!vm_.is_bound()) return SessionEnd::kVmGone;
  vm_.client_gone(client_.epoch);
  return std::nullopt;
}

void Session::look_at_client() {
  vm_.client_changed().clear();
  client_ = vm_.client();
  client_process_.reset();
  if (client_.attached && client_.pid > 0) client_process_ = open_process_watch(client_.pid);
}

void Session::log_client_if_due() {
  uint64_t refused = vm_.refused();
  bool news = vm_.is_bound() && (client_.epoch != logged_epoch_ || refused != logged_refused_);
  if (!news || Clock::now() < next_client_log_) return;
  next_client_log_ = Clock::now() + kClientLogInterval;
  if (client_.epoch != logged_epoch_) {
    if (client_.attached) {
      log_info("socket", "client '{}' connected", escaped(client_.path, 200));
    } else {
      log_info("socket", "client disconnected; waiting for the next one");
    }
  }
  if (refused != logged_refused_) {
    log_warn("socket", "refused {} datagrams of others than the client", refused - logged_refused_);
  }
  logged_epoch_ = client_.epoch;
  logged_refused_ = refused;
}

void Session::print_stats_if_due() {
  if (!next_stats_ || Clock::now() < *next_stats_) return;
  *next_stats_ += *config_.stats_interval;
  // After a suspend: one line, not one for each interval missed.
  *next_stats_ = std::max(*next_stats_, Clock::now());
  log_info("stats", "{}", stats_json(to_vm_stats_.counts(), to_host_stats_.counts()));
}

int Session::poll_timeout() const {
  Clock::time_point next = next_peer_check_;
  if (next_stats_) next = std::min(next, *next_stats_);
  auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count();
  return static_cast<int>(std::clamp<decltype(left)>(left, 0, std::numeric_limits<int>::max()));
}

}  // namespace vmnet
