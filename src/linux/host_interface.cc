// The Linux back end behind the seam of platform/host_interface.h.

#include "platform/host_interface.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>

#include <linux/capability.h>
#include <unistd.h>

#include "base/log.h"
#include "forward/local_services.h"
#include "linux/device/identity.h"
#include "linux/device/native_tap.h"
#include "linux/device/tap.h"
#include "linux/host/dns_servers.h"
#include "linux/privilege/capabilities.h"
#include "linux/privilege/keeper.h"

namespace vmnet {
namespace {

class LinuxInterface : public HostInterface {
 public:
  LinuxInterface(KeeperStart start, NetworkConfig config)
      : config_(std::move(config)),
        keeper_(start.keeper),
        channel_(std::move(start.channel)),
        facts_(start.facts) {
    describe();
    // Now: later the sandbox hides the host's files.
    if (config_.mode == Mode::kShared) dns_servers_ = find_dns_servers();
  }

  // Makes the worker's end of `device`, with privilege still.
  Status adopt(UniqueFd device);

  const Description& description() const override { return description_; }
  Endpoint& endpoint() override { return *endpoint_; }
  NativeDevice* native_device() override { return native_.get(); }
  bool has_offload() const override { return true; }
  bool takes_udp_segments() const override { return takes_udp_segments_; }
  std::unique_ptr<FrameResponder> make_responder() override;
  int lost_fd() const override { return channel_.get(); }
  SystemCallNeeds system_call_needs() const override {
    return {.set_mac_address = facts_.is_macvtap && !native_, .native_vm_socket = std::nullopt};
  }

  Status note_socket_file(const SocketFile& file) override {
    return tell_keeper(channel_.get(), file);
  }

  void stop() override {
    native_.reset();
    endpoint_.reset();  // the TAP goes first, so the keeper finds its bridge without it
    end_keeper(keeper_, std::move(channel_));
  }

 private:
  void describe();
  DnsServers find_dns_servers() const;

  NetworkConfig config_;
  pid_t keeper_;
  UniqueFd channel_;
  InterfaceFacts facts_;
  bool takes_udp_segments_ = false;
  std::unique_ptr<Endpoint> endpoint_;
  std::unique_ptr<NativeTap> native_;  // with --tap, in place of endpoint_
  Description description_;
  DnsServers dns_servers_;
};

Status LinuxInterface::adopt(UniqueFd device) {
  if (config_.hand_over_device) {
    bool answers = config_.mode != Mode::kBridged;
    auto native = NativeTap::create(std::move(device), facts_.device_index, answers);
    if (!native) return pass(native);
    native_ = std::move(*native);
    return {};
  }
  takes_udp_segments_ = knows_udp_segments(device.get());
  if (facts_.is_macvtap) {
    endpoint_ = std::make_unique<MacvtapEndpoint>(std::move(device), facts_.vm_mac);
  } else {
    endpoint_ = std::make_unique<TapEndpoint>(std::move(device));
  }
  return {};
}

void LinuxInterface::describe() {
  description_.interface_id = facts_.interface_id;
  description_.mac = facts_.vm_mac;
  description_.mtu = facts_.mtu;
  description_.max_packet_size = max_frame_size(config_, facts_.mtu);
  if (config_.network_name.empty()) {
    description_.addresses = facts_.addresses;
    description_.nat66_prefix = facts_.ipv6_prefix;
  } else {
    description_.named_network = NamedNetwork{.ipv4_subnet = facts_.addresses->start,
                                              .ipv4_mask = facts_.addresses->subnet().mask(),
                                              .ipv6_prefix = facts_.ipv6_prefix,
                                              .ipv6_prefix_length = 64};
  }
  description_.ip_address = facts_.vm_address;
  if (config_.hand_over_device) description_.tap_header_size = kTapHeaderSize;
  description_.host_interface = facts_.device.data();
}

DnsServers LinuxInterface::find_dns_servers() const {
  if (!config_.dns_servers.empty() || !config_.dns_servers_ipv6.empty()) {
    return {.ipv4 = config_.dns_servers, .ipv6 = config_.dns_servers_ipv6};
  }
  DnsServers servers = host_dns_servers();
  if (servers.empty()) {
    log_warn("dhcp", "the host names no DNS server that a VM could reach; give one with --dns");
  }
  return servers;
}

// Of the last timer interrupt (1 to 10 ms), for a third of the cost.
std::chrono::steady_clock::time_point coarse_now() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return std::chrono::steady_clock::time_point(std::chrono::seconds(now.tv_sec) +
                                               std::chrono::nanoseconds(now.tv_nsec));
}

std::unique_ptr<FrameResponder> LinuxInterface::make_responder() {
  if (config_.mode == Mode::kBridged) return nullptr;  // the network's own servers answer
  LocalServicesConfig services{.now = coarse_now, .jitter_seed = static_cast<uint32_t>(getpid())};
  // A network without a route out has neither a router nor a name server to tell of.
  bool routed = config_.mode == Mode::kShared;
  if (facts_.addresses && facts_.vm_address) {
    services.dhcp = DhcpConfig{.gateway = facts_.addresses->start,
                               .gateway_mac = facts_.gateway_mac,
                               .subnet = facts_.addresses->subnet(),
                               .address = *facts_.vm_address,
                               .dns_servers = dns_servers_.ipv4,
                               .mtu = kMtu};
    if (routed) services.dhcp->router = facts_.addresses->start;
  }
  if (facts_.ipv6_prefix) {
    services.router_advert = RouterAdvertConfig{.prefix = *facts_.ipv6_prefix,
                                                .gateway_link_local = kGatewayLinkLocal,
                                                .gateway_mac = facts_.gateway_mac,
                                                .dns_servers = dns_servers_.ipv6,
                                                .mtu = kMtu};
  }
  return make_local_services(std::move(services));
}

}  // namespace

Status check_privilege() {
  std::string missing = missing_capabilities({CAP_NET_ADMIN, CAP_SETGID, CAP_SETUID});
  if (missing.empty()) return {};
  return fail("no privilege to make a network interface: " + missing +
              " missing; run it with sudo, install it setuid root, or give it file capabilities "
              "(docs/install.md)");
}

Result<std::unique_ptr<HostInterface>> start_interface(const NetworkConfig& config,
                                                       const RealUser& user,
                                                       const SocketFiles& files,
                                                       std::span<const int> workers_own,
                                                       int stop_fd) {
  auto start = start_keeper(config, user, files, workers_own, stop_fd);
  if (!start) return pass(start);
  UniqueFd device = std::move(start->device);
  auto interface = std::make_unique<LinuxInterface>(std::move(*start), config);
  if (auto adopted = interface->adopt(std::move(device)); !adopted) {
    interface->stop();
    return pass(adopted);
  }
  return interface;
}

Result<std::vector<std::string>> list_shared_interfaces() {
  auto netlink = NetlinkSocket::open(NETLINK_ROUTE);
  if (!netlink) return pass(netlink);
  auto links = list_links(*netlink);
  if (!links) return pass(links);
  std::vector<std::string> names;
  for (const Link& link : *links) {
    bool ours = link.name.starts_with(kOwnPrefix);
    // A port of a bridge belongs to that; a TAP or macvtap is another VM's own.
    bool usable =
        link.kind == "bridge" || (link.ethernet && link.master == 0 && link.kind != "tun" &&
                                  link.kind != "macvtap" && link.kind != "macvlan");
    if (!ours && usable && link.name != "lo") names.push_back(link.name);
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace vmnet
