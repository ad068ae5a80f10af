// The host side of one VM: what the keeper makes, watches and removes.
#pragma once

#include <array>
#include <chrono>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/ip.h"
#include "base/mac.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "base/uuid.h"
#include "linux/device/tap.h"
#include "linux/host/firewall_check.h"
#include "linux/host/installed_vm_rules.h"
#include "linux/host/limits.h"
#include "linux/host/network_lock.h"
#include "linux/host/network_state.h"
#include "linux/host/network_tables.h"
#include "linux/host/subnet_watch.h"
#include "linux/netlink/device_events.h"
#include "linux/netlink/links.h"
#include "linux/netlink/netlink.h"
#include "linux/nft/table_events.h"
#include "linux/rules/vm_rules.h"
#include "platform/config.h"

namespace vmnet {

// What the worker is told of the interface that was made. Plain data: it crosses a socket.
struct InterfaceFacts {
  Uuid interface_id;
  Mac vm_mac;
  Mac gateway_mac;
  std::optional<AddressRange> addresses;
  std::optional<Ipv6> ipv6_prefix;  // the VM's: an isolated one's is its own
  std::optional<Ipv4> vm_address;
  std::array<char, 16> device{};
  int device_index = 0;
  uint32_t mtu = kMtu;  // of the VM's network
  bool is_macvtap = false;
};
static_assert(std::is_trivially_copyable_v<InterfaceFacts>);

class HostNetwork {
 public:
  // Makes the host side of a VM, all of it under the network's lock. On error nothing is left.
  // `cancel_fd` readable ends the wait for the lock, and for an interface id to be free
  // (ECANCELED). ROOT: the whole of it; `config` was checked when it was parsed, and is against
  // `limits` here, before anything is changed.
  static Result<HostNetwork> set_up(const NetworkConfig& config, uid_t user, const Limits& limits,
                                    int cancel_fd);

  HostNetwork(HostNetwork&&) = default;
  HostNetwork& operator=(HostNetwork&&) = delete;

  const InterfaceFacts& facts() const { return facts_; }

  // The device's descriptor, for the worker: the caller's from now on.
  UniqueFd take_device_fd() { return std::move(device_fd_); }

  // Readable: call the function of that name. -1 where there is nothing to watch.
  int route_events_fd() const { return route_events_ ? route_events_->fd() : -1; }
  int device_events_fd() const { return device_events_ ? device_events_->fd() : -1; }

  // Undoes a change of the device's MAC address, and puts it back on its bridge. True where the VM,
  // which holds its device itself, may have made it to harm others: the device must be taken away.
  bool read_device_events();

  // Drains the events: true where the host has a new way out, its forwarding has been switched, or
  // the gateway has lost an address, so that follow_routes() is due.
  bool read_route_events();

  // Switches forwarding on for uplinks that have come since, and where it was switched off; guards
  // what is ours to guard; gives the gateway back what it has lost. False where another helper has
  // the lock: to be called again soon. `cancel_fd` readable: nobody wants it any more.
  bool follow_routes(int cancel_fd);

  // The network's tables: somebody has removed one; a VM of ours, and maybe its keeper, has ended.
  int table_events_fd() const { return table_events_ ? table_events_->fd() : -1; }
  int vm_ends_fd() const { return vm_ends_ ? vm_ends_->fd() : -1; }

  // Drains the events: how soon restore_tables() is due, where a table is missing or may be.
  std::optional<std::chrono::milliseconds> read_table_events();
  std::optional<std::chrono::milliseconds> read_vm_ends();

  // Puts back what is missing of the network's tables, and removes devices whose keeper has ended.
  // False where another helper has the lock: to be called again soon. `cancel_fd` readable: nobody
  // wants it any more.
  bool restore_tables(int cancel_fd);

  // Whether the network has an IPv4 subnet of its own, which must hold nothing that the host needs.
  bool has_subnet() const { return subnet_events_.has_value(); }
  int subnet_events_fd() const { return subnet_events_ ? subnet_events_->fd() : -1; }

  // Drains the events; whether the host's DNS servers may be others: true where may_keep_subnet()
  // is due.
  bool read_subnet_events();
  bool dns_servers_changed();

  // False where the subnet has come to hold a DNS server of the host, a next hop or a neighbour:
  // the log says so, and the network must go.
  bool may_keep_subnet();

  // Tells the user of a firewall on the host that drops what the VM's network forwards.
  void warn_of_firewall();

  // Removes everything, the network too if this was its last VM. Waits for the lock.
  void tear_down();

 private:
  HostNetwork(NetlinkSocket netlink, NetlinkSocket netfilter, NetworkConfig config, uid_t user,
              Limits limits);

  Status make(const NetworkState& state);
  Status attach_to_own_network(const NetworkState& state);
  Status attach_to_shared_interface(const NetworkState& state);
  Status check_given_address(const NetworkState& state, const NetworkPlan& plan) const;
  Status create_network(const NetworkState& state, NetworkRecord record);
  Status choose_vm_addresses(const NetworkState& state);
  Status attach_tap(const NetworkState& state);
  Status make_tap(const NetworkState& state);
  VmRecord vm_record() const;
  Status forget_earlier_owners();
  void forget_own_connections();
  Status join_bridge();
  Status make_link();
  Status attach_macvtap(const NetworkState& state, const Link& lower);
  Status install_vm_rules();
  Status update_tables(Guards guards);
  // True where more is noted of the host's settings, so that the tables guard more.
  Result<bool> enable_uplinks();
  void warn_of_switched_off(const std::vector<std::string>& switched_on);
  // Why a keeper that follows events has no lock: it tries again, or leaves it at that.
  enum class NoLock { kHeldByAnother, kNotNeeded };
  // What else is watched must not wait for longer.
  static constexpr std::chrono::milliseconds kLockTry{50};
  // `failure`: what the log says cannot be done where the lock fails.
  std::expected<NetworkLock, NoLock> try_lock(int cancel_fd, std::chrono::milliseconds patience,
                                              std::string_view failure);

  Status watch();
  Status ensure_device();
  Status put_back_on_bridge();
  void restore_gateway();
  // Gives the bridge, or an isolated VM's device, the gateway's addresses. True where it lacked
  // any.
  Result<bool> add_gateway(int device);
  Status watch_device();
  bool is_somebodys(const Mac& mac);
  Status watch_tables();
  Status watch_subnet();
  Mac device_mac() const;
  VmIdentity identity() const { return {.user = user_, .interface_id = facts_.interface_id}; }
  bool is_isolated() const { return config_.enable_isolation && config_.mode != Mode::kBridged; }
  bool is_of_others(int device);
  bool is_way_out(const nlmsghdr* route_event);
  bool is_gateways(const nlmsghdr* address_event) const;
  ForwardingNeeds forwarding_needs();
  void remove_device();
  void remove_rules();
  void remove_unused_bridge();
  void remove_all();

  NetlinkSocket netlink_;
  // For the lock, the rules and for looking at tables. Kept open until the process ends: the close
  // of any such socket holds up all nftables transactions of the namespace while the kernel tidies
  // up (8 to 25 ms). At an address of its own, since lock and rules refer to it.
  std::unique_ptr<NetlinkSocket> netfilter_;
  NetworkConfig config_;
  uid_t user_;
  Limits limits_;
  InterfaceFacts facts_;
  NetworkRecord record_;  // of our network; unused in bridged mode
  int bridge_ = 0;
  std::string bridge_name_;
  int device_ = 0;
  uint32_t port_mtu_ = kMtu;  // of the TAP: what the bridge may make its own
  UniqueFd device_fd_;
  std::optional<InstalledVmRules> rules_;
  std::optional<NetlinkSocket> route_events_;
  bool saw_switched_off_ = false;  // by an event, since forwarding was last seen to
  std::optional<TableEvents> table_events_;
  std::optional<DeviceEvents> vm_ends_;
  bool look_for_leftovers_ = false;  // a keeper has ended whose VM holds its device, maybe still
  UniqueFd sign_of_life_;            // ours, to the other keepers, where the VM holds its device
  std::optional<DeviceEvents> device_events_;
  int mac_changes_ = 0;  // that were seen
  std::optional<SubnetEvents> subnet_events_;
  std::string dns_state_;  // of the files that name the host's servers, as last seen
};

}  // namespace vmnet
