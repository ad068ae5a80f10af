// A VM's stand-in: a network device (a TAP in the namespace it is started in) whose driver's other
// side is a contestant's socket, so that the kernel behind the TAP is the guest's kernel.
//
//   stand-in-vm NAME [--offload] --fd N | --vfkit PATH | --stream N | --tap-fd N
//
// The same for every contestant. With --offload the device leaves checksums and segmentation to
// others: the virtio-net header is stripped on the way out and zero on the way in, as libkrun does;
// without, frames are of 1514 bytes and finished. It prints "ready" once the device exists, and its
// losses as a line of JSON on SIGTERM.

#include <atomic>
#include <cerrno>
#include <csignal>
#include <optional>
#include <string_view>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <getopt.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stand_in_peer.h"
#include "tool.h"

namespace vmnet::bench {
namespace {

struct Options {
  std::string device;
  bool offload = false;
  char peer = 0;  // f, v, s, t: see the table
  std::string target;
};

constexpr option kOptions[] = {
    {"offload", no_argument, nullptr, 'o'},      {"fd", required_argument, nullptr, 'f'},
    {"vfkit", required_argument, nullptr, 'v'},  {"stream", required_argument, nullptr, 's'},
    {"tap-fd", required_argument, nullptr, 't'}, {}};

std::optional<Options> parse(int argc, char** argv) {
  Options options;
  for (int c = 0; (c = getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
    if (c == '?') return std::nullopt;
    if (c == 'o') {
      options.offload = true;
    } else {
      options.peer = static_cast<char>(c);
      options.target = optarg;
    }
  }
  if (optind != argc - 1 || options.peer == 0) return std::nullopt;
  options.device = argv[optind];
  return options;
}

// A TAP that receives through NAPI, as a network card's driver does: frame by frame, unless the
// device's `threaded` setting gives the guest's kernel the means to join segments (GRO).
Result<UniqueFd> open_device(const Options& options) {
  UniqueFd device(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  ifreq request{};
  options.device.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_NAPI;
  int header = static_cast<int>(Frames::kHeader);
  unsigned features = options.offload ? TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 : 0U;
  if (::ioctl(device.get(), TUNSETIFF, &request) != 0 ||
      ::ioctl(device.get(), TUNSETVNETHDRSZ, &header) != 0 ||
      ::ioctl(device.get(), TUNSETOFFLOAD, features) != 0) {
    return fail_errno("cannot make the VM's device", errno);
  }
  return device;
}

// What an unprivileged monitor asks for (vfkit); the system's limit cuts it.
void raise_send_buffer(int fd) {
  int size = 1 << 20;
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

Result<std::unique_ptr<Peer>> open_peer(const Options& options) {
  if (options.peer == 'v') return vfkit_peer(options.target);
  UniqueFd fd(descriptor_of(options.target));
  if (options.peer == 't') return tap_peer(std::move(fd), options.offload);
  raise_send_buffer(fd.get());
  return options.peer == 's' ? stream_peer(std::move(fd)) : datagram_peer(std::move(fd));
}

struct Losses {
  std::atomic<uint64_t> to_device = 0;  // frames that the guest's device refused
};

[[noreturn]] void peer_has_gone() { ::_exit(0); }

void carry_out(int device, Peer& peer, size_t max_frame) {
  Frames frames(max_frame);
  while (true) {
    frames.count = 0;
    while (frames.count < Frames::kCapacity) {
      ssize_t size = ::read(device, frames.with_header(frames.count), Frames::kHeader + max_frame);
      if (size < static_cast<ssize_t>(Frames::kHeader)) break;
      frames.sizes[frames.count++] = static_cast<size_t>(size) - Frames::kHeader;
    }
    if (frames.count > 0) {
      if (!peer.send(frames)) peer_has_gone();
      continue;
    }
    pollfd entry{.fd = device, .events = POLLIN, .revents = 0};
    ::poll(&entry, 1, -1);
  }
}

void carry_in(int device, Peer& peer, size_t max_frame, Losses& losses) {
  Frames frames(max_frame);
  while (peer.receive(frames)) {
    for (size_t i = 0; i < frames.count; i++) {
      ssize_t size = ::write(device, frames.with_header(i), Frames::kHeader + frames.sizes[i]);
      if (size < 0) losses.to_device.fetch_add(1, std::memory_order_relaxed);
    }
  }
  peer_has_gone();
}

Status run(const Options& options) {
  sigset_t end;
  sigemptyset(&end);
  sigaddset(&end, SIGTERM);
  sigprocmask(SIG_BLOCK, &end, nullptr);
  auto device = open_device(options);
  if (!device) return pass(device);
  auto peer = open_peer(options);
  if (!peer) return pass(peer);
  size_t max_frame = options.offload ? 65'550 : 1514;
  Losses losses;
  std::thread out(carry_out, device->get(), std::ref(**peer), max_frame);
  std::thread in(carry_in, device->get(), std::ref(**peer), max_frame, std::ref(losses));
  say("ready");
  int signal = 0;
  sigwait(&end, &signal);
  say(fmt::format(R"({{"lost_to_device":{}}})", losses.to_device.load()));
  ::_exit(0);
}

}  // namespace
}  // namespace vmnet::bench

int main(int argc, char** argv) {
  auto options = vmnet::bench::parse(argc, argv);
  if (!options) {
    return vmnet::bench::failed(
        "usage", "stand-in-vm NAME [--offload] --fd N | --vfkit PATH | --stream N | --tap-fd N");
  }
  auto done = vmnet::bench::run(*options);
  return done ? 0 : vmnet::bench::failed("stand-in-vm", done.error().message);
}
