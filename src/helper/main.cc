// vmnet-helper: from a process in any state to a sandboxed cable between one VM and the host.
//
// The stages are the functions of run_helper(), in order. Privilege ends with drop_privileges();
// the first byte that a guest wrote is read after restrict_system_calls().

#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include "base/log.h"
#include "forward/capture.h"
#include "forward/captured_vm_end.h"
#include "forward/stream_socket.h"
#include "forward/vm_socket.h"
#include "helper/native_session.h"
#include "helper/open_capture.h"
#include "helper/open_vm_socket.h"
#include "helper/options.h"
#include "helper/process.h"
#include "helper/session.h"
#include "helper/start_line.h"
#include "helper/usage_text.h"
#include "helper/version.h"
#include "platform/datagrams.h"
#include "platform/host_interface.h"
#include "platform/peer_watch.h"
#include "platform/real_user.h"
#include "platform/sandbox.h"
#include "platform/signal_watch.h"

namespace vmnet {
namespace {

// Frames that one system call moves on the VM's socket.
constexpr size_t kSocketBatch = 64;

struct VmSide {
  UniqueFd socket;
  bool bound = false;                  // by --socket
  std::optional<VmSocketPlace> place;  // of such a socket, until its file is there
  SocketType type = SocketType::kDatagram;
};

// All of `text`, or an error: the reader may have closed, the disk may be full.
Status print(std::string_view text) {
  while (!text.empty()) {
    ssize_t written = write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_errno("cannot write to standard output", errno);
    text.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

// The one line, unless told to stop first: who reads it may have stopped reading.
Status print_line(const std::string& line, int stop_fd) {
  std::array<pollfd, 2> entries = {pollfd{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0},
                                   pollfd{.fd = stop_fd, .events = POLLIN, .revents = 0}};
  while (poll(entries.data(), entries.size(), -1) < 0) {
  }
  if (entries[1].revents != 0) return fail_errno("stopped while starting", ECANCELED);
  return print(line);
}

Status print_shared_interfaces() {
  auto names = list_shared_interfaces();
  if (!names) return pass(names);
  std::string lines;
  for (const std::string& name : *names) lines += name + "\n";
  return print(lines);
}

Result<VmSide> adopt_vm_side(const VmSocketTarget& target) {
  auto adopted = adopt_vm_socket(*target.fd, target.type);
  if (!adopted) return pass(adopted);
  return VmSide{.socket = std::move(adopted->socket), .type = adopted->type};
}

Result<VmSide> place_vm_side(const VmSocketTarget& target, const RealUser& user,
                             int start_directory) {
  VmSide vm{.bound = true, .type = target.type.value_or(SocketType::kDatagram)};
  auto placed = as_real_user(user, [&]() -> Status {
    auto unbound = take_vm_socket_place(target.path, start_directory, vm.type);
    if (!unbound) return pass(unbound);
    vm.socket = std::move(unbound->socket);
    vm.place = std::move(unbound->place);
    return {};
  });
  if (!placed) return pass(placed);
  return vm;
}

// Last, when all that can fail is done: who waits for the socket's file takes it for a start that
// worked. Does nothing where it is there already.
Status show_vm_socket(int socket, VmSide& vm, HostInterface& interface) {
  if (!vm.place) return {};
  auto bound = bind_vm_socket(socket, *vm.place, vm.type, [&interface](const SocketFile& file) {
    return interface.note_socket_file(file);
  });
  vm.place.reset();  // its files are somebody else's to remove
  return bound;
}

// Needs nothing of the file system from here on but the place of the VM's socket; clients' relative
// paths start where we did.
Status enter_user_and_directory(const RealUser& user, const StartContext& context, VmSide& vm,
                                HostInterface& interface) {
  tzset();  // reads the time zone's file while that can be read
  // Root may have its socket in a folder of anybody's, but not without its capabilities.
  if (user.uid == 0) {
    if (auto shown = show_vm_socket(vm.socket.get(), vm, interface); !shown) return shown;
  }
  if (auto dropped = drop_privileges(user); !dropped) return dropped;
  log_debug("helper", "privilege dropped: uid {}, gid {}", user.uid, user.gid);
  if (vm.bound && context.directory.valid() && fchdir(context.directory.get()) != 0) {
    log_debug("socket", "clients' relative paths start at /: {}", errno_text(errno));
  }
  return restrict_files(vm.place ? vm.place->files.directory.get() : -1);
}

// Of the VM's socket, which another process may hold the other end of.
PeerWatch watch_peer(int socket) {
  auto watch = PeerWatch::open(socket);
  if (watch) return std::move(*watch);
  // Traffic still shows it: a send to a VM that has gone fails.
  log_warn("socket", "a VM that ends in silence will not be noticed: {}", watch.error().message);
  return PeerWatch::blind();
}

Status outcome(SessionEnd end) {
  switch (end) {
    case SessionEnd::kStopped:
      log_info("helper", "ended: told to stop");
      return {};
    case SessionEnd::kVmGone:
      log_info("helper", "ended: the VM has gone");
      return {};
    case SessionEnd::kInterfaceLost:
      break;
  }
  return fail(
      "the host's network interface is gone: it was deleted, or the helper's keeper killed");
}

template <typename Socket>
Result<std::unique_ptr<VmEnd>> as_vm_end(Result<std::unique_ptr<Socket>> socket) {
  if (!socket) return pass(socket);
  return std::move(*socket);
}

Result<std::unique_ptr<VmEnd>> open_vm_end(VmSide& vm, uid_t permitted_uid, size_t max_frame,
                                           DirectionStats& replies) {
  UniqueFd socket = std::move(vm.socket);
  if (vm.type == SocketType::kDatagram) {
    return as_vm_end(vm.bound
                         ? VmSocket::bound(std::move(socket), permitted_uid, kSocketBatch, replies)
                         : VmSocket::connected(std::move(socket), kSocketBatch, replies));
  }
  max_frame += kMaxTagsSize;
  return as_vm_end(
      vm.bound ? StreamSocket::listening(std::move(socket), permitted_uid, max_frame, replies)
               : StreamSocket::connected(std::move(socket), max_frame, replies));
}

// Nothing without --capture.
Result<std::unique_ptr<Capture>> start_capture(const Options& options, CaptureFile file,
                                               const HostInterface& interface) {
  if (!options.capture) return nullptr;
  auto capture = Capture::create({.file = std::move(file.fd),
                                  .name = options.capture->path,
                                  .max_bytes = options.capture->max_bytes,
                                  .application = fmt::format("vmnet-helper {}", kVersion),
                                  .interface_name = interface.description().host_interface});
  if (!capture) return pass(capture);
  if (auto started = (*capture)->start_thread(); !started) return pass(started);
  return capture;
}

Status forward(const Options& options, const StartContext& context, const RealUser& user, VmSide vm,
               CaptureFile capture_file, HostInterface& interface, int stop_fd) {
  raise_buffers(vm.socket.get());
  const bool stream = vm.type == SocketType::kStream;
  const int socket_fd = vm.socket.get();
  // A stream tells of its end by itself.
  auto watch = stream ? PeerWatch::blind() : watch_peer(vm.socket.get());
  auto entered = enter_user_and_directory(user, context, vm, interface);
  if (!entered) return entered;

  DirectionStats to_vm_stats;
  SystemCallNeeds needs = interface.system_call_needs();
  needs.stream = stream;
  needs.accept_streams = stream && vm.bound;
  size_t max_frame = max_frame_size(options.network, interface.description().mtu);
  auto socket = open_vm_end(vm, user.uid, max_frame, to_vm_stats);
  if (!socket) return pass(socket);
  auto capture = start_capture(options, std::move(capture_file), interface);
  if (!capture) return pass(capture);
  std::unique_ptr<VmEnd> end = std::move(*socket);
  if (*capture) end = std::make_unique<CapturedVmEnd>(std::move(end), **capture);
  SessionConfig config{.network = options.network,
                       .stats_interval = options.stats_interval,
                       .stop_fd = stop_fd,
                       .capture = capture->get()};
  auto session = Session::create(config, interface, *end, std::move(watch), to_vm_stats);
  if (!session) return pass(session);
  if (auto started = (*session)->start_threads(); !started) return started;
  if (auto shown = show_vm_socket(socket_fd, vm, interface); !shown) return shown;
  if (auto restricted = restrict_system_calls(needs); !restricted) return restricted;

  auto printed = print_line(to_json(interface.description()) + "\n", stop_fd);
  if (!printed) return printed;
  log_info("helper", "{}", start_line(options, interface.description(), user.uid));
  SessionEnd why = (*session)->run();
  capture->reset();  // its last words come before ours
  if (why == SessionEnd::kVmGone) {
    if (auto fault = end->client().fault; !fault.empty()) {
      return fail("the VM's stream cannot be followed: " + fault);
    }
  }
  return outcome(why);
}

// --tap: the kernel forwards, and the VM's socket carries the device to it and tells of its end.
Status serve_native(const Options& options, const StartContext& context, const RealUser& user,
                    VmSide vm, HostInterface& interface, int stop_fd) {
  auto watch = watch_peer(vm.socket.get());
  auto entered = enter_user_and_directory(user, context, vm, interface);
  if (!entered) return entered;
  NativeSession session(interface, std::move(watch), vm.socket.get(), stop_fd);
  SystemCallNeeds needs = interface.system_call_needs();
  needs.native_vm_socket = vm.socket.get();
  if (auto restricted = restrict_system_calls(needs); !restricted) return restricted;

  auto printed = print_line(to_json(interface.description()) + "\n", stop_fd);
  if (!printed) return printed;
  // First the VM: a log that nobody reads would keep it waiting.
  if (auto handed = session.hand_over(); !handed) return handed;
  log_info("helper", "{}", start_line(options, interface.description(), user.uid));
  return outcome(session.run());
}

Result<CaptureFile> open_capture(const Options& options, const RealUser& user,
                                 int start_directory) {
  Result<CaptureFile> file;
  if (!options.capture) return file;
  auto opened = as_real_user(user, [&]() -> Status {
    file = open_capture_file(options.capture->path, start_directory);
    return file ? Status() : pass(file);
  });
  if (!opened) return pass(opened);
  return file;
}

void discard_capture(const Options& options, const RealUser& user, int start_directory,
                     const CaptureFile& file) {
  if (!file.made) return;
  (void)as_real_user(user, [&]() -> Status {
    discard_capture_file(options.capture->path, start_directory, file);
    return {};
  });
}

// The VM's end, where it has not been handed down, and the host's.
Result<std::unique_ptr<HostInterface>> start_ends(const Options& options, const RealUser& user,
                                                  int start_directory, int capture, int stop_fd,
                                                  VmSide& vm) {
  if (!options.target.fd) {
    auto placed = place_vm_side(options.target, user, start_directory);
    if (!placed) return pass(placed);
    vm = std::move(*placed);
  }
  const SocketFiles no_files;
  return start_interface(options.network, user, vm.place ? vm.place->files : no_files,
                         std::array{vm.socket.get(), capture}, stop_fd);
}

Status run_helper(const Options& options, const StartContext& context) {
  Result<VmSide> vm;
  // First: a descriptor of our own could have the number of one that was not handed down.
  if (options.target.fd) vm = adopt_vm_side(options.target);
  if (!vm) return pass(vm);
  constexpr std::array kStopSignals = {SIGTERM, SIGINT};
  auto stop = SignalWatch::start(kStopSignals);
  if (!stop) return pass(stop);
  if (auto privileged = check_privilege(); !privileged) return privileged;
  auto user = find_real_user({.uid = context.sudo_uid, .gid = context.sudo_gid});
  if (!user) return pass(user);
  const int start_directory = context.directory.get();
  auto capture = open_capture(options, *user, start_directory);
  if (!capture) return pass(capture);
  auto interface = start_ends(options, *user, start_directory, capture->fd.get(), stop->fd(), *vm);
  if (!interface) {
    discard_capture(options, *user, start_directory, *capture);
    return pass(interface);
  }
  Status result =
      options.network.hand_over_device
          ? serve_native(options, context, *user, std::move(*vm), **interface, stop->fd())
          : forward(options, context, *user, std::move(*vm), std::move(*capture), **interface,
                    stop->fd());
  (*interface)->stop();
  return result;
}

Status run(std::span<const char* const> argv) {
  auto context = sanitise_process();
  if (!context) return pass(context);
  auto options = parse_options(argv);
  if (!options) return pass(options);
  if (options->verbose) enable_debug_log();
  switch (options->action) {
    case Action::kHelp:
      return print(helper_usage());
    case Action::kVersion:
      return print(version_text());
    case Action::kListSharedInterfaces:
      return print_shared_interfaces();
    case Action::kRun:
      break;
  }
  for (const std::string& warning : options->warnings) log_warn("helper", "{}", warning);
  int inherited = options->target.fd.value_or(-1);
  if (auto closed = close_stray_descriptors(inherited, context->directory.get()); !closed) {
    return closed;
  }
  return run_helper(*options, *context);
}

}  // namespace
}  // namespace vmnet

int main(int argc, char** argv) {
  if (argc < 1) return 1;
  auto result = vmnet::run({argv, static_cast<size_t>(argc)});
  if (result) return 0;
  if (result.error().os_errno == ECANCELED) {
    vmnet::log_debug("helper", "{}", result.error().message);
    return 0;
  }
  vmnet::log_error("helper", "{}", result.error().message);
  return 1;
}
