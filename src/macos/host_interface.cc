// The macOS back end behind the seam of platform/host_interface.h.
//
// vmnet.framework makes the network, gives out addresses and cleans up when the process ends, so no
// process stays privileged beside this one.

#include "platform/host_interface.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/random.h>
#include <unistd.h>
#include <vmnet/vmnet.h>

#include "base/log.h"
#include "macos/broker.h"
#include "macos/dynamic_symbols.h"
#include "macos/interface_request.h"
#include "macos/named_network.h"
#include "macos/system_version.h"
#include "macos/vmnet_endpoint.h"
#include "macos/vmnet_interface.h"

namespace vmnet {
namespace {

// What the interface stands on, in the order of its making.
struct Parts {
  std::unique_ptr<BrokerConnection> broker;   // --network
  std::optional<NamedNetwork> named_network;  // --network
  std::unique_ptr<VmnetInterface> interface;
  Offload offload;
};

class MacosInterface : public HostInterface {
 public:
  MacosInterface(Parts parts, Description description, std::shared_ptr<FrameFlag> flag,
                 SocketFiles files, RealUser user)
      : parts_(std::move(parts)),
        description_(std::move(description)),
        endpoint_(parts_.interface->handle(),
                  {.virtio_header = parts_.offload.virtio_header,
                   .max_packet_size = parts_.interface->parameters().max_packet_size,
                   .read_max_packets = parts_.interface->parameters().read_max_packets,
                   .write_max_packets = parts_.interface->parameters().write_max_packets},
                  std::move(flag)),
        files_(std::move(files)),
        user_(std::move(user)) {}

  const Description& description() const override { return description_; }
  Endpoint& endpoint() override { return endpoint_; }
  bool has_offload() const override { return parts_.offload.virtio_header; }
  bool takes_udp_segments() const override { return false; }  // nothing says that vmnet does
  // macOS answers DHCP and router solicitations itself.
  std::unique_ptr<FrameResponder> make_responder() override { return nullptr; }
  int lost_fd() const override { return -1; }
  SystemCallNeeds system_call_needs() const override { return {}; }

  Status note_socket_file(const SocketFile& file) override {
    socket_file_ = file;
    return {};
  }

  void stop() override {
    parts_.interface->stop();
    parts_.broker.reset();
    remove_files(files_, socket_file_, user_);
  }

  static void remove_files(const SocketFiles& files, const SocketFile& socket,
                           const RealUser& user) {
    auto removed = as_real_user(user, [&]() -> Status {
      remove_socket_files(files, socket);
      return {};
    });
    if (!removed) log_warn("socket", "cannot remove the socket: {}", removed.error().message);
  }

 private:
  Parts parts_;
  Description description_;
  VmnetEndpoint endpoint_;
  SocketFiles files_;
  SocketFile socket_file_;
  RealUser user_;
};

Result<UniqueFd> duplicate(const UniqueFd& fd) {
  if (!fd.valid()) return UniqueFd();
  UniqueFd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy.valid()) return fail_errno("cannot keep hold of the VM socket's files", errno);
  return copy;
}

// Both copies hold the one lock.
Result<SocketFiles> duplicate(const SocketFiles& files) {
  auto directory = duplicate(files.directory);
  if (!directory) return pass(directory);
  auto lock = duplicate(files.lock);
  if (!lock) return pass(lock);
  return SocketFiles{.directory = std::move(*directory),
                     .lock = std::move(*lock),
                     .socket_name = files.socket_name,
                     .lock_name = files.lock_name,
                     .owner = files.owner};
}

template <size_t N>
std::array<uint8_t, N> random_bytes() {
  std::array<uint8_t, N> bytes{};
  // Cannot fail for so few bytes (getentropy(2)).
  [[maybe_unused]] int result = getentropy(bytes.data(), bytes.size());
  return bytes;
}

Mac random_mac() {
  Mac mac{random_bytes<6>()};
  mac.bytes[0] = static_cast<uint8_t>((mac.bytes[0] & 0xfc) | 0x02);  // local, unicast
  return mac;
}

Status check_request(const NetworkConfig& config) {
  if (!config.network_name.empty() && !has_named_networks()) {
    return fail(fmt::format("--network '{}': named networks need macOS 26; use --operation-mode",
                            config.network_name));
  }
  if (config.mode != Mode::kBridged || !config.network_name.empty()) return {};
  auto names = list_shared_interfaces();
  if (!names) return pass(names);
  if (std::ranges::find(*names, config.shared_interface) != names->end()) return {};
  return fail(fmt::format(
      "--shared-interface '{}': not an interface that can be shared; {}", config.shared_interface,
      names->empty() ? "there are none" : fmt::format("these can: {}", fmt::join(*names, ", "))));
}

Result<Parts> start_own_network(const NetworkConfig& config, const Uuid& id,
                                const Offload& offload) {
  auto interface =
      VmnetInterface::start(interface_request(config, id, offload), vmnet_start_interface);
  if (!interface) return pass(interface);
  return Parts{.broker = nullptr,
               .named_network = std::nullopt,
               .interface = std::move(*interface),
               .offload = offload};
}

Result<Parts> start_on_named_network(const NetworkConfig& config, const Offload& offload) {
  if (config.interface_id) {
    log_warn("network", "--interface-id is ignored with --network: the MAC is new each time");
  }
  auto broker = BrokerConnection::acquire(config.network_name);
  if (!broker) return pass(broker);
  auto network = NamedNetworkHandle::create((*broker)->serialization());
  if (!network) return pass(network);
  auto described = network->describe();
  if (!described) return pass(described);
  auto start = [&](xpc_object_t request, dispatch_queue_t queue,
                   vmnet_start_interface_completion_handler_t handler) {
    return network->start_interface(request, queue, handler);
  };
  auto interface = VmnetInterface::start(named_network_request(config, offload), start);
  if (!interface) return pass(interface);
  return Parts{.broker = std::move(*broker),
               .named_network = *described,
               .interface = std::move(*interface),
               .offload = offload};
}

Result<std::unique_ptr<HostInterface>> start_with_files(const NetworkConfig& config,
                                                        const RealUser& user,
                                                        const SocketFiles& files) {
  if (auto possible = check_request(config); !possible) return pass(possible);
  auto own_files = duplicate(files);
  if (!own_files) return pass(own_files);
  auto flag = FrameFlag::create();
  if (!flag) return pass(flag);

  Uuid id = config.interface_id.value_or(uuid_v4(random_bytes<16>()));
  bool has_header = find_key("vmnet_enable_virtio_header_key") != nullptr;
  Offload offload = choose_offload(config, has_header);
  auto parts = config.network_name.empty() ? start_own_network(config, id, offload)
                                           : start_on_named_network(config, offload);
  if (!parts) return pass(parts);
  auto waiting = parts->interface->on_frames([flag = *flag] { flag->raise(); });
  if (!waiting) return pass(waiting);

  Description description = describe(parts->interface->parameters(), id, random_mac());
  // vmnet's frames are cut to what the VM takes.
  description.max_packet_size =
      std::min<uint64_t>(description.max_packet_size, max_frame_size(config, description.mtu));
  if (parts->named_network) {
    description.named_network = parts->named_network;
    description.addresses.reset();
  }
  return std::make_unique<MacosInterface>(std::move(*parts), std::move(description),
                                          std::move(*flag), std::move(*own_files), user);
}

}  // namespace

Status check_privilege() {
  auto version = system_version();
  if (!version) return pass(version);
  if (!needs_root(*version) || geteuid() == 0) return {};
  return fail(
      fmt::format("no privilege to make a network interface: macOS {}.{} lets only root do it; run "
                  "it with sudo or install it setuid root (docs/macos.md)",
                  version->major, version->minor));
}

Result<std::unique_ptr<HostInterface>> start_interface(const NetworkConfig& config,
                                                       const RealUser& user,
                                                       const SocketFiles& files,
                                                       std::span<const int> /*workers_own*/,
                                                       int /*stop_fd*/) {
  auto interface = start_with_files(config, user, files);
  if (!interface) MacosInterface::remove_files(files, {}, user);
  return interface;
}

Result<std::vector<std::string>> list_shared_interfaces() {
  XpcObject list(vmnet_copy_shared_interface_list());
  std::vector<std::string> names;
  if (list.get() == nullptr) return names;
  for (size_t i = 0; i < xpc_array_get_count(list.get()); i++) {
    const char* name = xpc_array_get_string(list.get(), i);
    if (name != nullptr) names.emplace_back(name);
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace vmnet
