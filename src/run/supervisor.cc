// The stages: start the helper and wait for its line, start COMMAND, wait until one of the two ends
// or a signal says so, then end what is left: COMMAND, the rest of the process group, the helper.
#include "run/supervisor.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <functional>
#include <optional>
#include <set>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/descriptor_passing.h"
#include "base/log.h"
#include "base/unique_fd.h"
#include "platform/run_platform.h"
#include "platform/signal_watch.h"
#include "run/child_process.h"
#include "run/helper_line.h"
#include "run/socket_pair.h"
#include "run/terminal.h"

namespace vmnet {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::string_view kPart = "vmnet-run";
constexpr int kHelperFd = 3;
constexpr int kCommandFd = 4;
constexpr int kFailure = 1;

// Long enough for sudo to ask a slow user database and for macOS to make its first network.
constexpr seconds kHelperStartWait{60};
// It follows the line at once.
constexpr seconds kTapWait{10};
// Told to end, a VM may shut its guest down first; without a network it has less reason to.
constexpr seconds kCommandEndWait{30};
constexpr seconds kCutOffCommandEndWait{10};
// A VM that ends closes its socket, and so ends the helper, some time before it is gone itself.
constexpr seconds kCommandOutlivesHelper{2};
constexpr seconds kGroupEndWait{5};
// The helper notices a closed socket within 2 s; then it removes what it made.
constexpr seconds kHelperEndWait{10};
constexpr seconds kKillWait{2};
// How often to look at what sends no signal: grandchildren, a terminal's foreground.
constexpr milliseconds kTick{50};

// A process that we started, and how it ended.
struct Child {
  pid_t pid = -1;
  std::optional<int> wait_status;

  bool running() const { return pid > 0 && !wait_status; }
};

// SIGCONT: a stopped process would not see a signal that ends it.
void send_signal(pid_t pid, int number) {
  ::kill(pid, number);
  ::kill(pid, SIGCONT);
}

class Supervisor {
 public:
  Supervisor(SignalWatch signals, TerminalGroup& terminal)
      : signals_(std::move(signals)), terminal_(terminal) {}

  // All stages. The exit status.
  int run(const HelperCommand& helper, const std::vector<std::string>& command, bool tap,
          SocketType socket_type);

 private:
  using Condition = std::function<bool()>;

  Status start_helper(const HelperCommand& command, UniqueFd socket);
  Status wait_for_line();
  Status print_line();
  Status start_with_tap(const std::vector<std::string>& command, int socket);
  Status start_command(const std::vector<std::string>& command, UniqueFd network);
  Status watch_command();
  void end_command();
  void end_group();
  void end_helper();
  std::vector<pid_t> rest_of_group() const;

  // Handles signals and ended children until `done` or the deadline. Says whether it is done.
  bool wait_until(const Condition& done, Clock::time_point deadline);
  bool wait_for(const Condition& done, Clock::duration patience) {
    return wait_until(done, Clock::now() + patience);
  }
  void wait_for_event(Clock::time_point deadline);
  void handle_signals();
  void handle_ending_signal(const ReceivedSignal& signal);
  void reap();

  SignalWatch signals_;
  TerminalGroup& terminal_;
  Child helper_;
  Child command_;
  bool helper_through_sudo_ = false;
  std::optional<HelperLine> line_;                               // while it is on its way
  pollfd awaited_ = {.fd = -1, .events = POLLIN, .revents = 0};  // beside signals
  bool ticking_ = false;         // there is something to look at every kTick
  std::optional<int> ended_by_;  // the first signal that told us to end
};

int Supervisor::run(const HelperCommand& helper, const std::vector<std::string>& command, bool tap,
                    SocketType socket_type) {
  auto sockets = make_socket_pair(socket_type);
  if (!sockets) {
    log_error(kPart, "{}", sockets.error().message);
    return kFailure;
  }
  Status result = start_helper(helper, std::move(sockets->helper));
  if (result) result = wait_for_line();
  if (result)
    result = tap ? start_with_tap(command, sockets->command.get())
                 : start_command(command, std::move(sockets->command));
  if (result) result = watch_command();
  // Said before the rest is waited for; after a signal there is nothing to say.
  if (!result && !ended_by_) log_error(kPart, "{}", result.error().message);
  end_command();
  end_group();
  sockets->command.reset();  // without its peer the helper ends, even where we may not signal it
  end_helper();
  end_group();  // what the helper left, should it have died
  if (ended_by_) return 128 + *ended_by_;
  if (!result || !command_.wait_status) return kFailure;
  return exit_status(*command_.wait_status);
}

Status Supervisor::start_helper(const HelperCommand& command, UniqueFd socket) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return fail_errno("cannot create a pipe", errno);
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  for (int end : ends) ::fcntl(end, F_SETFD, FD_CLOEXEC);
  ::fcntl(reader.get(), F_SETFL, O_NONBLOCK);
  // The terminal's input is COMMAND's.
  UniqueFd no_input(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!no_input.valid()) return fail_errno("cannot open /dev/null", errno);

  helper_through_sudo_ = command.through_sudo;
  auto pid = start_program({.arguments = command.arguments,
                            .fds = {{.target = STDIN_FILENO, .source = no_input.get()},
                                    {.target = STDOUT_FILENO, .source = writer.get()},
                                    {.target = kHelperFd, .source = socket.get()}},
                            .signal_mask = signals_.original_mask(),
                            // sudo would set the terminal up that COMMAND is to have.
                            .new_session = command.through_sudo,
                            .ends_with_parent = false});
  if (!pid) return pass(pid);
  helper_.pid = *pid;
  line_.emplace(std::move(reader));
  return {};
}

Status Supervisor::wait_for_line() {
  awaited_ = {.fd = line_->reader(), .events = POLLIN, .revents = 0};
  bool in_time = wait_for(
      [this] {
        line_->read_more();
        return line_->complete() || line_->failed() || !helper_.running() || ended_by_;
      },
      kHelperStartWait);
  awaited_.fd = -1;
  if (ended_by_) return fail("told to end before the network was there");
  if (line_->complete()) return print_line();
  if (!in_time) {
    return fail(fmt::format("vmnet-helper has not made a network in {} s; ending it",
                            kHelperStartWait.count()));
  }
  // It has said why on standard error; what is missing is its status.
  wait_for([this] { return !helper_.running(); }, kKillWait);
  return fail(fmt::format(
      "vmnet-helper did not start ({}){}",
      helper_.wait_status ? describe_end(*helper_.wait_status) : "it closed its standard output",
      helper_through_sudo_ ? "; where sudo has refused it, its sudoers rule is missing" : ""));
}

Status Supervisor::print_line() {
  awaited_ = {.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
  Status result;
  wait_until(
      [&] {
        if (awaited_.revents != 0) result = line_->print_some();
        awaited_.revents = 0;
        return !result || line_->printed() || ended_by_;
      },
      Clock::time_point::max());
  awaited_.fd = -1;
  line_.reset();
  return result;
}

// The socket stays open here, as a sign to the helper that the network is wanted; the device is
// COMMAND's alone.
Status Supervisor::start_with_tap(const std::vector<std::string>& command, int socket) {
  awaited_ = {.fd = socket, .events = POLLIN, .revents = 0};
  bool in_time = wait_for(
      [this] { return awaited_.revents != 0 || !helper_.running() || ended_by_; }, kTapWait);
  bool came = awaited_.revents != 0;
  awaited_.fd = -1;
  if (ended_by_) return fail("told to end before COMMAND was started");
  if (!came) return fail(in_time ? "vmnet-helper ended early" : "vmnet-helper sent no TAP device");
  std::array<uint8_t, 16> message{};
  auto received = receive_with_descriptor(socket, message);
  if (!received) return pass(received);
  if (!received->descriptor.valid()) return fail("vmnet-helper sent no TAP device");
  return start_command(command, std::move(received->descriptor));
}

Status Supervisor::start_command(const std::vector<std::string>& command, UniqueFd network) {
  if (ended_by_) return fail("told to end before COMMAND was started");
  auto pid = start_program({.arguments = command,
                            .fds = {{.target = kCommandFd, .source = network.get()}},
                            .signal_mask = signals_.original_mask(),
                            .new_session = false,
                            .ends_with_parent = true});
  if (!pid) return pass(pid);
  command_.pid = *pid;
  return {};
}

// Until COMMAND has ended or has been told to; an error where it lost its helper.
Status Supervisor::watch_command() {
  auto told_or_ended = [this] { return !command_.running() || ended_by_; };
  wait_until([&] { return told_or_ended() || !helper_.running(); }, Clock::time_point::max());
  bool helper_ended_well = helper_.wait_status && exit_status(*helper_.wait_status) == 0;
  if (helper_ended_well) wait_for(told_or_ended, kCommandOutlivesHelper);
  if (told_or_ended()) return {};
  send_signal(command_.pid, SIGTERM);
  return fail(
      fmt::format("vmnet-helper ended ({}); ending COMMAND", describe_end(*helper_.wait_status)));
}

// Waits for COMMAND, which has been told to end or has ended.
void Supervisor::end_command() {
  auto command_ended = [this] { return !command_.running(); };
  seconds patience = ended_by_ ? kCommandEndWait : kCutOffCommandEndWait;
  if (wait_for(command_ended, patience)) return;
  log_warn(kPart, "COMMAND has not ended in {} s; killing it", patience.count());
  send_signal(command_.pid, SIGKILL);
  wait_for(command_ended, kKillWait);
}

// Those whom COMMAND left behind in our process group. A pipeline's other programs are in it too,
// but are no descendants of ours.
std::vector<pid_t> Supervisor::rest_of_group() const {
  std::set<pid_t> of_helper = {helper_.pid};
  for (const Descendant& process : living_descendants(helper_.pid)) of_helper.insert(process.pid);
  std::vector<pid_t> rest;
  for (const Descendant& process : living_descendants(::getpid())) {
    if (process.group == ::getpgrp() && !of_helper.contains(process.pid)) {
      rest.push_back(process.pid);
    }
  }
  return rest;
}

void Supervisor::end_group() {
  std::set<pid_t> told;
  auto all_ended = [&] {
    auto rest = rest_of_group();
    for (pid_t pid : rest) {
      if (told.insert(pid).second) send_signal(pid, SIGTERM);
    }
    return rest.empty();
  };
  ticking_ = true;
  if (!wait_for(all_ended, kGroupEndWait)) {
    log_warn(kPart, "processes that COMMAND left behind have not ended in {} s; killing them",
             kGroupEndWait.count());
    wait_for(
        [this] {
          auto rest = rest_of_group();
          for (pid_t pid : rest) ::kill(pid, SIGKILL);
          return rest.empty();
        },
        kKillWait);
  }
  ticking_ = false;
}

void Supervisor::end_helper() {
  auto helper_ended = [this] { return !helper_.running(); };
  if (helper_ended()) return;
  int number = ended_by_ == SIGINT ? SIGINT : SIGTERM;
  // sudo passes it on (sudo(8), Signal handling).
  send_signal(helper_.pid, number);
  if (wait_for(helper_ended, kHelperEndWait)) return;
  log_warn(kPart, "vmnet-helper (process {}) has not ended in {} s; killing it", helper_.pid,
           kHelperEndWait.count());
  send_signal(helper_.pid, SIGKILL);
  wait_for(helper_ended, kKillWait);
}

bool Supervisor::wait_until(const Condition& done, Clock::time_point deadline) {
  while (true) {
    // Signals first: one that went to the whole group has ended COMMAND too, and is the reason.
    handle_signals();
    reap();
    if (done()) return true;
    if (Clock::now() >= deadline) return false;
    wait_for_event(deadline);
  }
}

void Supervisor::wait_for_event(Clock::time_point deadline) {
  bool ticking = ticking_ || terminal_.suspended();
  milliseconds timeout(-1);
  if (deadline != Clock::time_point::max()) {
    timeout = std::chrono::ceil<milliseconds>(deadline - Clock::now());
    timeout = std::max(timeout, milliseconds(0));
  }
  if (ticking && (timeout.count() < 0 || timeout > kTick)) timeout = kTick;
  std::array<pollfd, 2> entries = {pollfd{.fd = signals_.fd(), .events = POLLIN, .revents = 0},
                                   awaited_};
  ::poll(entries.data(), entries.size(), static_cast<int>(timeout.count()));
  awaited_.revents = entries[1].revents;
  if (terminal_.suspended()) terminal_.resume_if_foreground();
}

void Supervisor::handle_signals() {
  while (auto signal = signals_.next()) {
    switch (signal->number) {
      case SIGCHLD:
      case SIGPIPE:
        break;
      case SIGTSTP:
        terminal_.suspend();
        break;
      default:
        handle_ending_signal(*signal);
    }
  }
}

void Supervisor::handle_ending_signal(const ReceivedSignal& signal) {
  if (command_.wait_status) return;  // ending already
  if (!ended_by_) ended_by_ = signal.number;
  if (!command_.running()) return;
  // The terminal's own have reached COMMAND with the whole group.
  bool reached = signal.from_terminal && ::getpgid(command_.pid) == ::getpgrp();
  if (!reached) send_signal(command_.pid, signal.number);
}

void Supervisor::reap() {
  int wait_status = 0;
  while (true) {
    pid_t pid = ::waitpid(-1, &wait_status, WNOHANG);
    if (pid <= 0) return;
    if (pid == helper_.pid) helper_.wait_status = wait_status;
    if (pid == command_.pid) command_.wait_status = wait_status;
  }
}

std::vector<int> watched_signals(const TerminalGroup& terminal) {
  // A write to a pipe without reader must not end us: SIGPIPE is blocked and never acted upon.
  std::vector<int> signals = {SIGCHLD, SIGPIPE, SIGTERM, SIGINT, SIGQUIT};
  struct sigaction hang_up{};
  ::sigaction(SIGHUP, nullptr, &hang_up);
  if (hang_up.sa_handler != SIG_IGN) signals.push_back(SIGHUP);  // else nohup(1) is at work
  if (terminal.took_foreground()) signals.push_back(SIGTSTP);
  return signals;
}

}  // namespace

int supervise(const HelperCommand& helper, const std::vector<std::string>& command, bool tap,
              SocketType socket_type) {
  (void)::signal(SIGCHLD, SIG_DFL);  // inherited as ignored, no child's status would reach us
  adopt_orphans();
  TerminalGroup terminal;
  auto signals = SignalWatch::start(watched_signals(terminal));
  if (!signals) {
    log_error(kPart, "{}", signals.error().message);
    return kFailure;
  }
  return Supervisor(std::move(*signals), terminal).run(helper, command, tap, socket_type);
}

}  // namespace vmnet
