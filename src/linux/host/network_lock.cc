#include "linux/host/network_lock.h"

#include <cerrno>
#include <ctime>
#include <utility>

#include <fmt/format.h>
#include <poll.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/log.h"
#include "linux/nft/batch.h"
#include "linux/nft/tables.h"

namespace vmnet {
namespace {

constexpr std::chrono::nanoseconds kLongestPause{4'000'000};

// Waits that long, less where `cancel_fd` becomes readable: then the result is true.
bool cancelled_within(std::chrono::nanoseconds time, int cancel_fd) {
  pollfd entry{.fd = cancel_fd, .events = POLLIN, .revents = 0};  // -1: nothing but the time
  timespec timeout{.tv_sec = 0, .tv_nsec = static_cast<long>(time.count())};
  return ppoll(&entry, 1, &timeout, nullptr) > 0;
}

std::chrono::nanoseconds random_pause() {
  uint32_t random = 0;
  if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0) {
    random = static_cast<uint32_t>(getpid());
  }
  return std::chrono::nanoseconds(random % kLongestPause.count());
}

bool table_exists(NetlinkSocket& socket) {
  auto found = find_table(socket, NftFamily::kInet, kLockTable);
  return found && *found;
}

}  // namespace

Result<NetworkLock> NetworkLock::acquire(NetlinkSocket& socket, int cancel_fd,
                                         std::chrono::milliseconds timeout) {
  const NftTable table(NftFamily::kInet, kLockTable);
  auto deadline = std::chrono::steady_clock::now() + timeout;
  // A look costs nothing; an attempt that fails holds up all nftables transactions for a grace
  // period (8 to 25 ms), the holder's too, since the kernel undoes it under their mutex. So those
  // who wait look at moments of their own, and must find it free twice before they try.
  constexpr int kFreeLooks = 2;
  int free_looks = kFreeLooks - 1;
  std::chrono::nanoseconds pause{0};
  while (!cancelled_within(pause, cancel_fd)) {
    pause = random_pause();
    free_looks = table_exists(socket) ? 0 : free_looks + 1;
    if (free_looks >= kFreeLooks) {
      NftBatch batch;
      batch.create(table, TableLife::kSocket);
      auto taken = batch.commit(socket);
      if (taken) return NetworkLock(socket);
      if (taken.error().os_errno != EEXIST) return pass(taken);
      free_looks = 0;
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      return fail(fmt::format(
          "another vmnet-helper holds this network namespace's lock (nftables table inet {}) for "
          "more than {} ms; if none is starting or ending, remove that table",
          kLockTable, timeout.count()));
    }
  }
  return fail_errno("waiting for the network's lock was given up", ECANCELED);
}

// What is logged from here on would hold up whoever waits for the lock.
NetworkLock::NetworkLock(NetlinkSocket& socket) : socket_(&socket) { hold_log(); }

NetworkLock::~NetworkLock() {
  if (socket_ == nullptr) return;
  // Deleting is faster than letting the kernel find the table when the socket closes; where it
  // fails, closing does it.
  NftBatch batch;
  batch.remove_table(NftFamily::kInet, kLockTable);
  if (auto removed = batch.commit(*socket_); !removed) {
    log_debug("network", "the lock is released late: {}", removed.error().message);
  }
  release_log();
}

}  // namespace vmnet
