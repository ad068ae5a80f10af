#include "helper/session.h"

#include <algorithm>

#include <poll.h>

#include "base/log.h"

namespace vmnet {
namespace {

void wait_for(const WakeUp& flag) {
  pollfd entry{.fd = flag.fd(), .events = POLLIN, .revents = 0};
  while (poll(&entry, 1, -1) < 1) {
  }
}

DataPathOptions data_path(const NetworkConfig& config, const HostInterface& interface) {
  return {.tso = config.enable_tso,
          .checksum_offload = config.enable_checksum_offload,
          .engine = interface.has_offload(),
          .merge_udp = interface.takes_udp_segments(),
          .mtu = interface.description().mtu};
}

BatchSizes to_host_sizes(const DataPathOptions& options, const VmEnd& vm) {
  auto shape = vm.read_shape(options.max_frame() + kMaxTagsSize);
  return {.read_slots = shape.slots,
          .slot_size = shape.slot_size,
          .write_frames = kBatchFrames,
          .write_parts = 2 * kBatchFrames};
}

// A virtio-net header and the largest frame that a host's end brings.
constexpr size_t kMaxHostFrame = VirtioHeader::kSize + kMaxOffloadFrameSize + kMaxTagsSize;

// A few of the host's large frames fill a batch of sends; as many small ones as the VM may queue
// are taken at once.
BatchSizes to_vm_sizes() {
  constexpr size_t kSends = 512;
  return {.read_slots = kBatchFrames,
          .slot_size = kMaxHostFrame,
          .write_frames = kSends,
          .write_parts = kSends};
}

}  // namespace

Result<std::unique_ptr<Session>> Session::create(const SessionConfig& config,
                                                 HostInterface& interface, VmEnd& vm,
                                                 PeerWatch watch, DirectionStats& to_vm_stats) {
  auto go = WakeUp::create();
  if (!go) return pass(go);
  auto stop = WakeUp::create();
  if (!stop) return pass(stop);
  auto ended = WakeUp::create();
  if (!ended) return pass(ended);
  return std::unique_ptr<Session>(new Session(config, interface, vm, std::move(watch), to_vm_stats,
                                              std::move(*go), std::move(*stop), std::move(*ended)));
}

Session::Session(const SessionConfig& config, HostInterface& interface, VmEnd& vm, PeerWatch watch,
                 DirectionStats& to_vm_stats, WakeUp go, WakeUp stop, WakeUp ended)
    : config_(config),
      interface_(interface),
      to_vm_stats_(to_vm_stats),
      responder_(interface.make_responder()),
      to_vm_(data_path(config.network, interface), &paths_),
      to_host_(data_path(config.network, interface), kBatchFrames, responder_.get(), &vm, &paths_),
      vm_forwarder_(interface.endpoint(), vm, to_vm_, to_vm_stats, to_vm_sizes()),
      host_forwarder_(vm, interface.endpoint(), to_host_, to_host_stats_,
                      to_host_sizes(data_path(config.network, interface), vm)),
      go_(std::move(go)),
      stop_threads_(std::move(stop)),
      thread_ended_(std::move(ended)),
      client_monitor_(vm, std::move(watch)) {
  if (responder_) host_forwarder_.enable_ticks(*responder_, vm);
  if (config.stats_interval) next_stats_ = Clock::now() + *config.stats_interval;
}

Session::~Session() {
  stop_threads_.raise();
  go_.raise();
  for (Thread& thread : threads_) thread.join();
}

Status Session::start_threads() {
  auto to_vm = Thread::start([this] { run_thread(vm_forwarder_, ForwardEnd::kTargetGone); });
  if (!to_vm) return pass(to_vm);
  threads_[0] = std::move(*to_vm);
  auto to_host = Thread::start([this] { run_thread(host_forwarder_, ForwardEnd::kSourceGone); });
  if (!to_host) return pass(to_host);
  threads_[1] = std::move(*to_host);
  threads_ready_.wait();
  return {};
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
  go_.raise();
  SessionEnd end = wait_for_end();
  stop_threads_.raise();
  for (Thread& thread : threads_) thread.join();
  return end;
}

SessionEnd Session::wait_for_end() {
  while (true) {
    auto client = client_monitor_.wake_fds();
    std::array<pollfd, 6> entries = {
        pollfd{.fd = config_.stop_fd, .events = POLLIN, .revents = 0},
        pollfd{.fd = interface_.lost_fd(), .events = POLLIN, .revents = 0},
        pollfd{.fd = thread_ended_.fd(), .events = POLLIN, .revents = 0},
        pollfd{.fd = client[0], .events = POLLIN, .revents = 0},
        pollfd{.fd = client[1], .events = POLLIN, .revents = 0},
        pollfd{.fd = client[2], .events = POLLIN, .revents = 0}};
    if (poll(entries.data(), entries.size(), poll_timeout()) < 0) continue;
    if (entries[0].revents != 0) return SessionEnd::kStopped;
    if (entries[1].revents != 0) return SessionEnd::kInterfaceLost;
    if (auto end = end_of_threads()) return *end;
    if (!client_monitor_.check()) return SessionEnd::kVmGone;
    print_stats_if_due();
  }
}

std::optional<SessionEnd> Session::end_of_threads() const {
  if (interface_gone_.load()) return SessionEnd::kInterfaceLost;
  if (vm_gone_.load()) return SessionEnd::kVmGone;
  return std::nullopt;
}

void Session::print_stats_if_due() {
  if (!next_stats_ || Clock::now() < *next_stats_) return;
  *next_stats_ += *config_.stats_interval;
  // After a suspend: one line, not one for each interval missed.
  *next_stats_ = std::max(*next_stats_, Clock::now());
  std::optional<CaptureCounts> capture;
  if (config_.capture != nullptr) capture = config_.capture->counts();
  log_info("stats", "{}", stats_json(to_vm_stats_.counts(), to_host_stats_.counts(), capture));
}

int Session::poll_timeout() const {
  auto wait = Clock::duration(ClientMonitor::kInterval);
  if (next_stats_) wait = std::min(wait, *next_stats_ - Clock::now());
  wait = std::max(wait, Clock::duration::zero());
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(wait).count());
}

}  // namespace vmnet
