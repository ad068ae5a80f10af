#include "linux/host/installed_vm_rules.h"

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

namespace vmnet {
namespace {

NftTable marker_table(const std::string& device) { return {NftFamily::kIpv4, device}; }

// How long a table of the same name may still be there: its helper has lost the device already and
// its socket closes a moment later.
constexpr std::chrono::milliseconds kTakenWait{1000};
constexpr std::chrono::milliseconds kTakenPause{5};

}  // namespace

InstalledVmRules::InstalledVmRules(NetlinkSocket& socket, std::string device, TableLife life)
    : socket_(&socket), device_(std::move(device)), life_(life) {}

Result<InstalledVmRules> InstalledVmRules::install(NetlinkSocket& socket, const NftTable& table,
                                                   bool outlive_keeper) {
  TableLife life = outlive_keeper ? TableLife::kOrphanedBySocket : TableLife::kSocket;
  auto deadline = std::chrono::steady_clock::now() + kTakenWait;
  while (true) {
    NftBatch batch;
    batch.create(table, life);
    if (life == TableLife::kUntilRemoved) {
      batch.create(marker_table(table.name()), TableLife::kSocket);
    }
    auto installed = batch.commit(socket);
    if (installed) return InstalledVmRules(socket, table.name(), life);
    if (life == TableLife::kOrphanedBySocket && installed.error().os_errno == EOPNOTSUPP) {
      life = TableLife::kUntilRemoved;  // Linux before 6.9
      continue;
    }
    bool taken = installed.error().os_errno == EEXIST;
    if (!taken || std::chrono::steady_clock::now() > deadline) return pass(installed);
    std::this_thread::sleep_for(kTakenPause);
  }
}

Status InstalledVmRules::remove() {
  NftBatch batch;
  batch.remove_table(NftFamily::kNetdev, device_);
  if (life_ == TableLife::kUntilRemoved) batch.remove_table(NftFamily::kIpv4, device_);
  return batch.commit(*socket_);
}

}  // namespace vmnet
