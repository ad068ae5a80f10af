#include "linux/privilege/keeper.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <optional>

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/descriptor_passing.h"
#include "base/log.h"
#include "linux/privilege/inherited_state.h"
#include "linux/privilege/keeper_sandbox.h"
#include "linux/privilege/user_ids.h"

namespace vmnet {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kNever = Clock::time_point::max();

// Route changes come in bursts: they are followed once for all that came within this time.
constexpr std::chrono::milliseconds kRouteDelay{100};

// Rules that are gone are put back within 100 ms, unless others make networks meanwhile.
constexpr std::chrono::milliseconds kTablesDelay{30};

// How often the files that name the host's DNS servers are looked at. A descriptor that tells of
// changes (inotify) would be one of the 128 that all of root's processes have together.
constexpr std::chrono::seconds kDnsInterval{2};

// Longer than the network's lock is waited for, and the clean-up takes.
constexpr int kEndTimeout = 15000;  // milliseconds

// The keeper's one message, with the device's descriptor attached where it is good news.
struct StartReport {
  bool ok = false;
  int os_errno = 0;
  InterfaceFacts facts;
  std::array<char, 1024> error{};
};
static_assert(std::is_trivially_copyable_v<StartReport>);

Status send_report(int channel, const StartReport& report, int device) {
  return send_with_descriptor(channel, {reinterpret_cast<const uint8_t*>(&report), sizeof(report)},
                              device);
}

Result<StartReport> receive_report(int channel, UniqueFd& device) {
  StartReport report;
  auto received =
      receive_with_descriptor(channel, {reinterpret_cast<uint8_t*>(&report), sizeof(report)});
  if (!received) return pass(received);
  if (received->size != sizeof(report)) return fail("the keeper died while it made the interface");
  device = std::move(received->descriptor);
  return report;
}

// The report, unless `stop_fd` becomes readable first.
Result<StartReport> await_report(int channel, int stop_fd, UniqueFd& device) {
  std::array<pollfd, 2> entries = {pollfd{.fd = channel, .events = POLLIN, .revents = 0},
                                   pollfd{.fd = stop_fd, .events = POLLIN, .revents = 0}};
  while (poll(entries.data(), entries.size(), -1) < 0) {
  }
  if (entries[1].revents != 0) return fail_errno("stopped while starting", ECANCELED);
  return receive_report(channel, device);
}

// Becomes a process that the user cannot signal and that shares nothing with the worker but the
// channel and standard error.
Status leave_worker(std::span<const int> workers_own) {
  for (int fd : workers_own) close(fd);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return fail_errno("cannot open /dev/null", errno);
  dup2(null, STDIN_FILENO);
  dup2(null, STDOUT_FILENO);
  close(null);
  if (setsid() < 0) return fail_errno("cannot start a session", errno);
  // What ends the helper is told over the channel; these would end the clean-up.
  struct sigaction ignore{};
  ignore.sa_handler = SIG_IGN;
  for (int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) sigaction(signal, &ignore, nullptr);
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return fail_errno("cannot forbid tracing", errno);
  // With the user's real uid the user could kill it, or stop it while it has the helpers' lock. So
  // with file capabilities too: its CAP_SETUID makes it as good as root already. Only a user
  // namespace may have no root to become.
  const bool is_root = geteuid() == 0;
  const bool becomes_root = setresgid(0, 0, 0) == 0 && setresuid(0, 0, 0) == 0;
  if (is_root && !becomes_root) return fail_errno("cannot become root", errno);
  return reset_inherited_state();
}

// For poll: milliseconds, rounded up; -1 where nothing is due.
int time_until(Clock::time_point due) {
  if (due == kNever) return -1;
  auto left = std::max(due - Clock::now(), Clock::duration::zero());
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
}

// The next of what `delay` asks for, or has been waited for already.
void bring_forward(Clock::time_point& due, std::optional<std::chrono::milliseconds> delay) {
  if (delay) due = std::min(due, Clock::now() + *delay);
}

// Takes a message of the worker's; false: it has ended. What the worker says need not be true: in
// the user's folder, with the user's rights, something of that name is removed or is not. Each
// message goes a state on, so they are few, whoever has taken the worker over.
bool hear_worker(int channel, SocketFile& file) {
  SocketFile news;
  ssize_t size = recv(channel, &news, sizeof(news), MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  bool in_order = news.state > file.state && news.state <= SocketFile::State::kGivenUp;
  if (size != sizeof(news) || !in_order) return false;
  file = news;
  return true;
}

// What the worker has said still; from here on it can say nothing more.
void hear_all_of_worker(int channel, SocketFile& file) {
  if (shutdown(channel, SHUT_RD) != 0) return;
  while (hear_worker(channel, file)) {
  }
}

// What the keeper follows while the worker lives: each thing is due at a time of its own, and a VM,
// which can make events all the time, cannot put off what is due.
class Watch {
 public:
  Watch(int channel, HostNetwork& network, SocketFile& file)
      : channel_(channel), network_(network), file_(file) {
    if (network.has_subnet()) dns_due_ = Clock::now();
  }

  // Until the worker has ended, the VM has lost its right to the device, or the network its subnet.
  void run() {
    while (hear_events() && keep_subnet()) follow_what_is_due();
  }

 private:
  bool hear_events();
  bool keep_subnet();
  void follow_what_is_due();

  // An error to the worker too, which would take a device that goes for the VM's end.
  bool give_up() {
    shutdown(channel_, SHUT_RDWR);
    return false;
  }

  int channel_;
  HostNetwork& network_;
  SocketFile& file_;
  Clock::time_point routes_due_ = kNever;
  Clock::time_point tables_due_ = kNever;
  Clock::time_point subnet_due_ = kNever;
  Clock::time_point dns_due_ = kNever;
};

bool Watch::hear_events() {
  std::array<pollfd, 6> entries = {
      pollfd{.fd = channel_, .events = POLLIN, .revents = 0},
      pollfd{.fd = network_.device_events_fd(), .events = POLLIN, .revents = 0},
      // Not looked at while a change waits to be followed.
      pollfd{.fd = routes_due_ != kNever ? -1 : network_.route_events_fd(), .events = POLLIN},
      pollfd{.fd = network_.table_events_fd(), .events = POLLIN, .revents = 0},
      pollfd{.fd = network_.vm_ends_fd(), .events = POLLIN, .revents = 0},
      pollfd{.fd = subnet_due_ != kNever ? -1 : network_.subnet_events_fd(), .events = POLLIN}};
  const auto due = std::min({routes_due_, tables_due_, subnet_due_, dns_due_});
  while (poll(entries.data(), entries.size(), time_until(due)) < 0) {
  }
  if (entries[0].revents != 0 && !hear_worker(channel_, file_)) return false;
  if (entries[1].revents != 0 && network_.read_device_events()) return give_up();
  if (entries[2].revents != 0 && network_.read_route_events()) {
    routes_due_ = Clock::now() + kRouteDelay;
  }
  if (entries[3].revents != 0) bring_forward(tables_due_, network_.read_table_events());
  if (entries[4].revents != 0) bring_forward(tables_due_, network_.read_vm_ends());
  if (entries[5].revents != 0 && network_.read_subnet_events()) {
    subnet_due_ = Clock::now() + kRouteDelay;
  }
  return true;
}

bool Watch::keep_subnet() {
  if (Clock::now() >= dns_due_) {
    dns_due_ = Clock::now() + kDnsInterval;
    if (network_.dns_servers_changed()) subnet_due_ = Clock::now();
  }
  if (Clock::now() < subnet_due_) return true;
  subnet_due_ = kNever;
  (void)network_.read_subnet_events();
  return network_.may_keep_subnet() || give_up();
}

void Watch::follow_what_is_due() {
  if (Clock::now() >= tables_due_) {
    tables_due_ = network_.restore_tables(channel_) ? kNever : Clock::now() + kTablesDelay;
  }
  if (Clock::now() >= routes_due_) {
    network_.read_route_events();
    routes_due_ = network_.follow_routes(channel_) ? kNever : Clock::now() + kRouteDelay;
  }
}

// Of a start that failed: there is only the lock.
void remove_files(const RealUser& user, const SocketFiles& files) {
  if (!files.directory.valid()) return;
  auto removed = as_real_user(user, [&files]() -> Status {
    remove_socket_files(files, {});
    return {};
  });
  if (!removed) log_error("socket", "cannot remove it: {}", removed.error().message);
}

// The keeper's last act: it needs no rights of its own any more.
void remove_files_and_rights(const RealUser& user, const SocketFiles& files,
                             const SocketFile& socket) {
  if (!files.directory.valid()) return;
  if (auto became = become_real_user(user); !became) {
    log_error("socket", "cannot remove it: {}", became.error().message);
    return;
  }
  remove_socket_files(files, socket);
}

StartReport failure_report(const Error& error) {
  StartReport report{.ok = false, .os_errno = error.os_errno};
  error.message.copy(report.error.data(), report.error.size() - 1);
  return report;
}

// The keeper's whole life.
int run_keeper(int channel, const NetworkConfig& config, const RealUser& user,
               const SocketFiles& files) {
  auto limits = read_limits();
  auto network = limits ? HostNetwork::set_up(config, user.uid, *limits, channel) : pass(limits);
  StartReport report = network ? StartReport{.ok = true, .facts = network->facts()}
                               : failure_report(network.error());
  if (network) {
    if (auto restricted = restrict_keeper(user, files, network->has_subnet()); !restricted) {
      network->tear_down();
      report = failure_report(restricted.error());
    }
  }
  if (!report.ok) {
    remove_files_and_rights(user, files, {});
    (void)send_report(channel, report, -1);
    return 1;
  }
  // Who holds the device is watched by this process alone, which the user must not be able to hold
  // up by the log. So what there is to say is said before the VM has the device, or has it no more.
  const bool watches_holder = config.hand_over_device;
  if (watches_holder) {
    network->warn_of_firewall();
    hold_log();
  }
  SocketFile socket;
  // A worker that was told nothing waits for this process to tell or to end.
  auto sent = send_report(channel, report, network->take_device_fd().get());
  if (sent) {
    if (!watches_holder) network->warn_of_firewall();
    Watch(channel, *network, socket).run();
    hear_all_of_worker(channel, socket);
  } else {
    log_warn("network", "the interface is given up: {}", sent.error().message);
  }
  // The user's files last: their file system may be slow, or never answer.
  network->tear_down();
  if (watches_holder) release_log();
  remove_files_and_rights(user, files, socket);
  return 0;
}

}  // namespace

Result<KeeperStart> start_keeper(const NetworkConfig& config, const RealUser& user,
                                 const SocketFiles& files, std::span<const int> workers_own,
                                 int stop_fd) {
  std::array<int, 2> channel{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel.data()) != 0) {
    return fail_errno("cannot make a socketpair", errno);
  }
  KeeperStart start;
  start.channel = UniqueFd(channel[0]);
  UniqueFd keeper_end(channel[1]);
  start.keeper = fork();
  if (start.keeper < 0) {
    int fork_error = errno;
    remove_files(user, files);
    return fail_errno("cannot fork the keeper", fork_error);
  }
  if (start.keeper == 0) {
    start.channel.reset();
    if (auto left = leave_worker(workers_own); !left) {
      (void)send_report(keeper_end.get(), failure_report(left.error()), -1);
      _exit(1);
    }
    _exit(run_keeper(keeper_end.get(), config, user, files));
  }
  keeper_end.reset();
  auto report = await_report(start.channel.get(), stop_fd, start.device);
  if (report && report->ok && start.device.valid()) {
    start.facts = report->facts;
    return start;
  }
  end_keeper(start.keeper, std::move(start.channel));
  remove_files(user, files);  // where the keeper did not come to it
  if (!report) return pass(report);
  return std::unexpected(Error{.message = report->error.data(), .os_errno = report->os_errno});
}

Status tell_keeper(int channel, const SocketFile& file) {
  while (send(channel, &file, sizeof(file), MSG_DONTWAIT) < 0) {
    if (errno != EINTR) return fail_errno("cannot tell the keeper of the socket's file", errno);
  }
  return {};
}

void end_keeper(pid_t keeper, UniqueFd channel) {
  shutdown(channel.get(), SHUT_WR);
  pollfd entry{.fd = channel.get(), .events = POLLIN, .revents = 0};
  int ended = 0;
  do {
    ended = poll(&entry, 1, kEndTimeout);
  } while (ended < 0 && errno == EINTR);
  if (ended == 0) {
    log_warn("network", "the keeper is still cleaning up after {} s", kEndTimeout / 1000);
    return;
  }
  int status = 0;
  if (waitpid(keeper, &status, 0) == keeper && WIFSIGNALED(status)) {
    log_warn("network", "the keeper was ended by signal {}; what it left the next helper removes",
             WTERMSIG(status));
  }
}

}  // namespace vmnet
