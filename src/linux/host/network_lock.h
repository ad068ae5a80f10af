// The lock of a network namespace: whoever holds it may find, make and delete bridges.
//
// It is an nftables table owned by a netlink socket: creating it needs CAP_NET_ADMIN (so no user
// can squat it), it belongs to the network namespace, and the kernel removes it with the holder,
// whatever ended that. A file in /run would be residue, and flock on the namespace's own file can
// be taken by any user.
//
// Of one user's helpers only one at a time is after it: it has the user's turn, a table of the same
// sort. However many helpers a user starts and ends, they are one contender beside another user.
#pragma once

#include <chrono>
#include <string_view>
#include <utility>

#include <sys/types.h>

#include "base/result.h"
#include "linux/netlink/netlink.h"

namespace vmnet {

inline constexpr std::chrono::seconds kNetworkLockTimeout{10};
inline constexpr const char* kLockTable = "vmnet-lock";
inline constexpr std::string_view kTurnPrefix = "vmnet-turn-";  // and the user's number

inline bool is_lock_name(std::string_view table) {
  return table == kLockTable || table.starts_with(kTurnPrefix);
}

// Holds the lock of the caller's network namespace until destroyed, and the log with it (hold_log):
// the user's standard error must not hold up others. Releasing deletes the table,
// which takes microseconds; closing the socket soon after that waits for the kernel to tidy up (8
// to 25 ms on 6.18), so a process in a hurry lends a socket that it keeps.
class NetworkLock {
 public:
  // Waits for another holder up to `timeout`, behind other helpers of `user`; the error then says
  // what is held. The tables belong to `socket` (NETLINK_NETFILTER), which must outlive the lock.
  // `cancel_fd` readable, or at its end, means that nobody wants the lock any more: ECANCELED, at
  // once. -1: nothing cancels.
  static Result<NetworkLock> acquire(NetlinkSocket& socket, uid_t user, int cancel_fd,
                                     std::chrono::milliseconds timeout = kNetworkLockTimeout);

  NetworkLock(NetworkLock&& other) noexcept
      : socket_(std::exchange(other.socket_, nullptr)), user_(other.user_) {}
  NetworkLock& operator=(NetworkLock&&) = delete;
  NetworkLock(const NetworkLock&) = delete;
  NetworkLock& operator=(const NetworkLock&) = delete;
  ~NetworkLock();

 private:
  NetworkLock(NetlinkSocket& socket, uid_t user);

  NetlinkSocket* socket_;  // null: moved from
  uid_t user_;
};

}  // namespace vmnet
