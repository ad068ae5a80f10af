#include "linux/network_lock.h"

#include <algorithm>
#include <cerrno>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "linux/nft_batch.h"

namespace vmnet {
namespace {

constexpr const char* kLockTable = "vmnet-lock";
constexpr std::chrono::milliseconds kFirstPause{1};
constexpr std::chrono::milliseconds kLongestPause{5};

}  // namespace

Result<NetworkLock> NetworkLock::acquire(std::chrono::milliseconds timeout) {
  auto socket = NetlinkSocket::open(NETLINK_NETFILTER);
  if (!socket) return pass(socket);
  auto own = std::make_unique<NetlinkSocket>(std::move(*socket));
  auto lock = acquire(*own, timeout);
  if (lock) lock->own_socket_ = std::move(own);
  return lock;
}

Result<NetworkLock> NetworkLock::acquire(NetlinkSocket& socket, std::chrono::milliseconds timeout) {
  const NftTable table(NftFamily::kInet, kLockTable);
  auto deadline = std::chrono::steady_clock::now() + timeout;
  auto pause = kFirstPause;
  while (true) {
    NftBatch batch;
    batch.create_owned(table);
    auto taken = batch.commit(socket);
    if (taken) return NetworkLock(socket);
    if (taken.error().os_errno != EEXIST) return pass(taken);
    if (std::chrono::steady_clock::now() >= deadline) {
      return fail(fmt::format(
          "another vmnet-helper holds this network namespace's lock (nftables table inet {}) for "
          "more than {} ms; if none is starting or ending, remove that table",
          kLockTable, timeout.count()));
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(pause + kFirstPause, kLongestPause);
  }
}

NetworkLock::~NetworkLock() {
  if (socket_ == nullptr) return;
  // Deleting is faster than letting the kernel find the table when the socket closes; where it
  // fails, closing does it.
  NftBatch batch;
  batch.remove_table(NftFamily::kInet, kLockTable);
  (void)batch.commit(*socket_);
}

}  // namespace vmnet
