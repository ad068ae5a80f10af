#include "linux/network_lock.h"

#include <algorithm>
#include <cerrno>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/log.h"
#include "linux/nft_batch.h"

namespace vmnet {
namespace {

constexpr const char* kLockTable = "vmnet-lock";
constexpr std::chrono::microseconds kLongestPause{4000};

void pause_at_random() {
  uint32_t random = 0;
  if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
    random = static_cast<uint32_t>(getpid());
  std::this_thread::sleep_for(std::chrono::microseconds(random % kLongestPause.count()));
}

bool table_exists(NetlinkSocket& socket) {
  NetlinkMessage message((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETTABLE, NLM_F_ACK);
  auto* header = message.add_family_header<nfgenmsg>();
  header->nfgen_family = static_cast<uint8_t>(NftFamily::kInet);
  header->version = NFNETLINK_V0;
  message.put_string(NFTA_TABLE_NAME, kLockTable);
  return socket.query(message, "cannot look for the lock", [](const nlmsghdr*) {}).has_value();
}

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
  bool contended = false;
  while (true) {
    // A look costs nothing; an attempt that fails holds up all nftables transactions for a grace
    // period (8 to 25 ms), the holder's too, since the kernel undoes it under their mutex. So those
    // who wait look at moments of their own, and twice before they try.
    if (table_exists(socket)) {
      contended = true;
    } else if (!contended || (pause_at_random(), !table_exists(socket))) {
      NftBatch batch;
      batch.create(table, TableLife::kSocket);
      auto taken = batch.commit(socket);
      if (taken) return NetworkLock(socket);
      if (taken.error().os_errno != EEXIST) return pass(taken);
      contended = true;
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      return fail(fmt::format(
          "another vmnet-helper holds this network namespace's lock (nftables table inet {}) for "
          "more than {} ms; if none is starting or ending, remove that table",
          kLockTable, timeout.count()));
    }
    pause_at_random();
  }
}

NetworkLock::~NetworkLock() {
  if (socket_ == nullptr) return;
  // Deleting is faster than letting the kernel find the table when the socket closes; where it
  // fails, closing does it.
  NftBatch batch;
  batch.remove_table(NftFamily::kInet, kLockTable);
  if (auto removed = batch.commit(*socket_); !removed) {
    log_debug("network", "the lock is released late: {}", removed.error().message);
  }
}

}  // namespace vmnet
