// What keepers do for their network's tables while their VMs live: who removes them finds them back
// (`nft flush ruleset`, a firewall's reload), a guard whose keeper has ended gets another one, and
// a VM that holds its device when its keeper has ended loses it.

#include <algorithm>
#include <chrono>

#include <sys/random.h>

#include "base/log.h"
#include "linux/host/host_network.h"

namespace vmnet {
namespace {

using std::chrono::milliseconds;

// Whose guard it is acts at once. Should that one not (it is frozen, say), the others do, later;
// where there is no guard, soon. Each at a moment of its own: few of them must ask for the lock.
constexpr milliseconds kAtOnce{0};
constexpr milliseconds kOthersWait{100};
constexpr milliseconds kOthersSpread{400};
constexpr milliseconds kNobodysWait{10};
constexpr milliseconds kNobodysSpread{80};

// The kernel tells of the device of a VM that was killed before it has removed what the keeper's
// sockets owned, and of that not at all.
constexpr milliseconds kSocketsWait{100};
constexpr milliseconds kSocketsSpread{100};

milliseconds soon(milliseconds wait, milliseconds spread) {
  uint16_t random = 0;
  if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0) random = 0;
  return wait + milliseconds(random % spread.count());
}

}  // namespace

Status HostNetwork::watch_tables() {
  const bool users = config_.mode == Mode::kBridged;
  auto tables = TableEvents::watch(users ? "vmnet-on" : bridge_name_);
  if (!tables) return pass(tables);
  table_events_.emplace(std::move(*tables));
  auto ends = DeviceEvents::watch_ends(kOwnPrefix);
  if (!ends) return pass(ends);
  vm_ends_.emplace(std::move(*ends));
  return {};
}

std::optional<milliseconds> HostNetwork::read_table_events() {
  if (!table_events_->read()) return std::nullopt;
  auto seen = look_at_tables(*netfilter_, config_.mode, bridge_name_);
  if (!seen) return soon(kOthersWait, kOthersSpread);
  if (seen->network && seen->guard) return std::nullopt;
  if (!seen->guard) return soon(kNobodysWait, kNobodysSpread);
  return seen->own_guard ? kAtOnce : soon(kOthersWait, kOthersSpread);
}

std::optional<milliseconds> HostNetwork::read_vm_ends() {
  bool keeper_ended = false;
  const bool complete = vm_ends_->read([&keeper_ended](const Link& device) {
    keeper_ended = keeper_ended || device.name.starts_with(kSignOfLifePrefix);
  });
  look_for_leftovers_ = look_for_leftovers_ || keeper_ended || !complete;
  return soon(kSocketsWait, kSocketsSpread);
}

bool HostNetwork::restore_tables(int cancel_fd) {
  auto seen = look_at_tables(*netfilter_, config_.mode, bridge_name_);
  const bool leftovers = look_for_leftovers_ && has_leftover_devices(netlink_, *netfilter_);
  if (seen && seen->network && seen->guard && !leftovers) {
    look_for_leftovers_ = false;
    return true;
  }
  const milliseconds patience = seen && seen->own_guard ? kLockTry : milliseconds{0};
  auto lock = try_lock(cancel_fd, patience, "cannot put nftables rules back");
  if (!lock) return lock.error() == NoLock::kNotNeeded;
  seen = look_at_tables(*netfilter_, config_.mode, bridge_name_);
  look_for_leftovers_ = false;
  auto state = leftovers ? sweep_leftovers(netlink_, *netfilter_) : read_network_state(netlink_);
  // The worker has ended meanwhile, and another helper has cleaned up after it.
  if (state && find_link(state->links, bridge_) == nullptr) return true;
  Status updated = state ? update_network_tables(netlink_, *netfilter_, *state, Guards::kTake)
                         : Status(pass(state));
  if (!updated) {
    log_warn("network", "cannot put nftables rules back: {}", updated.error().message);
  } else if (seen && !seen->network) {
    log_warn("network", "somebody removed the nftables rules of {}; they are back", bridge_name_);
  }
  return true;
}

}  // namespace vmnet
