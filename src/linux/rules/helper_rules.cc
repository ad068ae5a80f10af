#include "linux/rules/helper_rules.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <linux/netlink.h>

#include "linux/device/identity.h"
#include "linux/nft/batch.h"
#include "linux/rules/bridge_rules.h"
#include "linux/rules/ingress_rules.h"
#include "linux/rules/own_addresses.h"
#include "linux/rules/routing_rules.h"

namespace vmnet {
namespace {

// How long a table of the same name may still be there: its helper has lost the TAP already and
// its socket closes a moment later.
constexpr std::chrono::milliseconds kTakenWait{1000};
constexpr std::chrono::milliseconds kTakenPause{5};

bool routes(const RuleConfig& config) { return config.mode != Mode::kBridged; }

NftTable marker_table(const RuleConfig& config) { return {NftFamily::kIpv4, config.tap}; }

NftBatch install_batch(const RuleConfig& config, TableLife life) {
  NftBatch batch;
  batch.create(ingress_table(config), life);
  batch.create(bridge_table(config), life);
  if (routes(config)) batch.create(routing_table(config), life);
  if (life == TableLife::kUntilRemoved) batch.create(marker_table(config), TableLife::kSocket);
  return batch;
}

std::vector<NftElement> elements(const std::vector<std::string>& interfaces) {
  std::vector<NftElement> list;
  list.reserve(interfaces.size());
  for (const auto& name : interfaces) list.push_back(element(name));
  return list;
}

Status check_uplinks(const GuardedForwarding& guarded) {
  size_t count = std::max(guarded.ipv4.size(), guarded.ipv6.size());
  if (count <= kMaxGuardedUplinks) return {};
  return fail(
      fmt::format("the host has {} uplinks, at most {} are supported", count, kMaxGuardedUplinks));
}

}  // namespace

HelperRules::HelperRules(NetlinkSocket& socket, RuleConfig config, TableLife life)
    : socket_(&socket), config_(std::move(config)), life_(life), vm_macs_{config_.vm_mac} {}

Result<HelperRules> HelperRules::install(NetlinkSocket& socket, const RuleConfig& config) {
  if (auto checked = check_uplinks(config.guarded); !checked) return pass(checked);
  TableLife life = config.outlive_keeper ? TableLife::kOrphanedBySocket : TableLife::kSocket;
  auto deadline = std::chrono::steady_clock::now() + kTakenWait;
  while (true) {
    auto installed = install_batch(config, life).commit(socket);
    if (installed) return HelperRules(socket, config, life);
    if (life == TableLife::kOrphanedBySocket && installed.error().os_errno == EOPNOTSUPP) {
      life = TableLife::kUntilRemoved;  // Linux before 6.9
      continue;
    }
    bool taken = installed.error().os_errno == EEXIST;
    if (!taken || std::chrono::steady_clock::now() > deadline) return pass(installed);
    std::this_thread::sleep_for(kTakenPause);
  }
}

Result<bool> HelperRules::add_vm_mac(const Mac& mac) {
  if (is_vm_mac(mac) || is_virtual_router_mac(mac)) return true;
  if (std::ranges::find(vm_macs_, mac) != vm_macs_.end()) return true;
  if (vm_macs_.size() >= kMaxVmMacs) return false;
  NftBatch batch;
  const NftTable table(NftFamily::kBridge, config_.tap);
  batch.add_elements(table, kVmMacsSet, {element(mac)});
  if (routes(config_)) {
    batch.add_elements(table, kOwnIpv6Set, own_ipv6_elements(config_, mac));
    batch.add_elements(table, kOwnTargetsSet, own_ipv6_elements(config_, mac));
  }
  if (auto added = batch.commit(*socket_); !added) return pass(added);
  vm_macs_.push_back(mac);
  return true;
}

Status HelperRules::set_guarded(const GuardedForwarding& guarded) {
  if (config_.mode != Mode::kShared) return {};
  if (auto checked = check_uplinks(guarded); !checked) return checked;
  NftTable table(NftFamily::kInet, config_.tap);
  NftBatch batch;
  batch.flush_set(table, kGuardedIpv4Set);
  batch.add_elements(table, kGuardedIpv4Set, elements(guarded.ipv4));
  batch.flush_set(table, kGuardedIpv6Set);
  batch.add_elements(table, kGuardedIpv6Set, elements(guarded.ipv6));
  if (config_.one_ipv6_switch) {
    batch.flush_set(table, kGuardedFamiliesSet);
    if (guarded.all_ipv6) batch.add_elements(table, kGuardedFamiliesSet, {element_ipv6()});
  }
  return batch.commit(*socket_);
}

Status HelperRules::remove() {
  NftBatch batch;
  batch.remove_table(NftFamily::kNetdev, config_.tap);
  batch.remove_table(NftFamily::kBridge, config_.tap);
  if (routes(config_)) batch.remove_table(NftFamily::kInet, config_.tap);
  if (life_ == TableLife::kUntilRemoved) batch.remove_table(NftFamily::kIpv4, config_.tap);
  return batch.commit(*socket_);
}

}  // namespace vmnet
