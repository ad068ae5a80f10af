// The helper's own data path with nothing for its engine to do: a TAP without offload, so that no
// frame is split and none merged. What the engine is worth is the difference to vmnet-helper; what
// batches alone are worth is the difference to one-frame-loop.
//
//   engine-off NAME FD

#include <thread>

#include "forward/forwarder.h"
#include "forward/to_host.h"
#include "forward/to_vm.h"
#include "forward/vm_socket.h"
#include "forward/wake_up.h"
#include "linux/device/tap.h"
#include "tool.h"

namespace vmnet {
namespace {

constexpr size_t kBatch = 64;

Status run(const std::string& name, int vm_fd) {
  constexpr Mac kMac{{0xfe, 0x54, 0x00, 0xbe, 0x00, 0x01}};
  auto tap = create_tap(name, kMac, TapOffload::kOff);
  if (!tap) return pass(tap);
  raise_buffers(vm_fd);
  DirectionStats to_vm_stats;
  DirectionStats to_host_stats;
  auto vm = VmSocket::connected(UniqueFd(vm_fd), kBatch, to_vm_stats);
  if (!vm) return pass(vm);
  auto stop = WakeUp::create();
  if (!stop) return pass(stop);
  TapEndpoint host(std::move(*tap));
  const DataPathOptions options{.engine = false};
  ToHost to_host(options, kBatch, nullptr, nullptr);
  ToVm to_vm(options);
  const BatchSizes sizes{.read_slots = kBatch,
                         .slot_size = VirtioHeader::kSize + options.max_frame(),
                         .write_frames = 2 * kBatch,
                         .write_parts = 4 * kBatch};
  Forwarder down(host, **vm, to_vm, to_vm_stats, sizes);
  Forwarder up(**vm, host, to_host, to_host_stats, sizes);
  bench::say("ready");
  std::thread thread([&] { down.run(stop->fd()); });
  up.run(stop->fd());
  stop->raise();
  thread.join();
  return {};
}

}  // namespace
}  // namespace vmnet

int main(int argc, char** argv) {
  if (argc != 3) return 1;
  auto done = vmnet::run(argv[1], vmnet::bench::descriptor_of(argv[2]));
  return done ? 0 : vmnet::bench::failed("engine-off", done.error().message);
}
