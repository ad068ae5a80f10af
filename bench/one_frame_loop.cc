// The yardstick: what carries frames between a datagram socket and a TAP when nothing is done about
// speed. Two threads, each one frame a system call.
//
//   one-frame-loop NAME FD
//
// It makes the plain TAP NAME (no virtio-net header, no offload) and prints "ready".

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "platform/datagrams.h"
#include "tool.h"

namespace {

constexpr size_t kMaxFrame = 65'550;

vmnet::UniqueFd open_plain_tap(const std::string& name) {
  vmnet::UniqueFd tap(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  if (::ioctl(tap.get(), TUNSETIFF, &request) != 0) tap.reset();
  return tap;
}

void to_host(int vm, int tap) {
  static uint8_t frame[kMaxFrame];
  while (true) {
    ssize_t size = ::recv(vm, frame, sizeof(frame), 0);
    if (size < 0 && errno != EINTR) std::_Exit(0);
    if (size > 0) [[maybe_unused]]
      ssize_t written = ::write(tap, frame, static_cast<size_t>(size));
  }
}

void to_vm(int tap, int vm) {
  static uint8_t frame[kMaxFrame];
  while (true) {
    ssize_t size = ::read(tap, frame, sizeof(frame));
    if (size <= 0) continue;
    if (::send(vm, frame, static_cast<size_t>(size), MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED) {
      std::_Exit(0);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 1;
  vmnet::UniqueFd tap = open_plain_tap(argv[1]);
  if (!tap.valid()) return vmnet::bench::failed("one-frame-loop", "cannot make the TAP");
  int vm = vmnet::bench::descriptor_of(argv[2]);
  vmnet::raise_buffers(vm);
  vmnet::bench::say("ready");
  std::thread thread(to_host, vm, tap.get());
  to_vm(tap.get(), vm);
}
