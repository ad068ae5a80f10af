#include "linux/host/network_lock.h"

#include <array>
#include <cerrno>
#include <ctime>
#include <span>
#include <string>

#include <fmt/format.h>
#include <poll.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/log.h"
#include "linux/nft/batch.h"
#include "linux/nft/tables.h"

namespace vmnet {
namespace {

using Clock = std::chrono::steady_clock;

// Between looks. Those who wait for their user's turn may be many, and have time.
constexpr std::chrono::nanoseconds kLockPause{4'000'000};
constexpr std::chrono::nanoseconds kTurnPause{20'000'000};

// Waits that long, less where `cancel_fd` becomes readable: then the result is true.
bool cancelled_within(std::chrono::nanoseconds time, int cancel_fd) {
  pollfd entry{.fd = cancel_fd, .events = POLLIN, .revents = 0};  // -1: nothing but the time
  timespec timeout{.tv_sec = 0, .tv_nsec = static_cast<long>(time.count())};
  return ppoll(&entry, 1, &timeout, nullptr) > 0;
}

std::chrono::nanoseconds random_pause(std::chrono::nanoseconds longest) {
  uint32_t random = 0;
  if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0) {
    random = static_cast<uint32_t>(getpid());
  }
  return std::chrono::nanoseconds(random % longest.count());
}

bool table_exists(NetlinkSocket& socket, std::string_view name) {
  auto found = find_table(socket, NftFamily::kInet, name);
  return found && *found;
}

std::string turn_table(uid_t user) { return fmt::format("{}{}", kTurnPrefix, user); }

enum class Taken { kYes, kHeldByAnother };

// Makes the table `name`, which `socket` then owns, once nobody has it.
Result<Taken> take(NetlinkSocket& socket, const std::string& name, int cancel_fd,
                   std::chrono::nanoseconds longest_pause, Clock::time_point deadline) {
  const NftTable table(NftFamily::kInet, name);
  // A look costs nothing; an attempt that fails holds up all nftables transactions for a grace
  // period (8 to 25 ms), the holder's too, since the kernel undoes it under their mutex. So those
  // who wait look at moments of their own, and must find it free twice before they try.
  constexpr int kFreeLooks = 2;
  int free_looks = kFreeLooks - 1;
  std::chrono::nanoseconds pause{0};
  while (!cancelled_within(pause, cancel_fd)) {
    pause = random_pause(longest_pause);
    free_looks = table_exists(socket, name) ? 0 : free_looks + 1;
    if (free_looks >= kFreeLooks) {
      NftBatch batch;
      batch.create(table, TableLife::kSocket);
      auto made = batch.commit(socket);
      if (made) return Taken::kYes;
      if (made.error().os_errno != EEXIST) return pass(made);
      free_looks = 0;
    }
    if (Clock::now() >= deadline) return Taken::kHeldByAnother;
  }
  return fail_errno("waiting for the network's lock was given up", ECANCELED);
}

// Deleting is faster than letting the kernel find the tables when the socket closes; where it
// fails, closing does it.
void give_back(NetlinkSocket& socket, std::span<const std::string> names) {
  NftBatch batch;
  for (const std::string& name : names) batch.remove_table(NftFamily::kInet, name);
  if (auto removed = batch.commit(socket); !removed) {
    log_debug("network", "the lock is released late: {}", removed.error().message);
  }
}

}  // namespace

Result<NetworkLock> NetworkLock::acquire(NetlinkSocket& socket, uid_t user, int cancel_fd,
                                         std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  const std::string turn = turn_table(user);
  auto taken = take(socket, turn, cancel_fd, kTurnPause, deadline);
  if (!taken) return pass(taken);
  if (*taken == Taken::kHeldByAnother) {
    return fail(fmt::format(
        "another vmnet-helper of user {} holds this network namespace's lock (nftables table inet "
        "{}), or waits for it (table inet {}), for more than {} ms; start fewer at a time",
        user, kLockTable, turn, timeout.count()));
  }
  taken = take(socket, kLockTable, cancel_fd, kLockPause, deadline);
  if (taken && *taken == Taken::kYes) return NetworkLock(socket, user);
  give_back(socket, std::array{turn});
  if (!taken) return pass(taken);
  return fail(fmt::format(
      "another vmnet-helper holds this network namespace's lock (nftables table inet {}) for "
      "more than {} ms; if none is starting or ending, remove that table",
      kLockTable, timeout.count()));
}

// What is logged from here on would hold up whoever waits for the lock.
NetworkLock::NetworkLock(NetlinkSocket& socket, uid_t user) : socket_(&socket), user_(user) {
  hold_log();
}

NetworkLock::~NetworkLock() {
  if (socket_ == nullptr) return;
  give_back(*socket_, std::array{std::string(kLockTable), turn_table(user_)});
  release_log();
}

}  // namespace vmnet
