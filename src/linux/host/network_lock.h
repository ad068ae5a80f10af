// The lock of a network namespace: whoever holds it may find, make and delete bridges.
//
// It is an nftables table owned by a netlink socket: creating it needs CAP_NET_ADMIN (so no user
// can squat it), it belongs to the network namespace, and the kernel removes it with the holder,
// whatever ended that. A file in /run would be residue, and flock on the namespace's own file can
// be taken by any user.
#pragma once

#include <chrono>
#include <utility>

#include "base/result.h"
#include "linux/netlink/netlink.h"

namespace vmnet {

inline constexpr std::chrono::seconds kNetworkLockTimeout{10};
inline constexpr const char* kLockTable = "vmnet-lock";

// Holds the lock of the caller's network namespace until destroyed, and the log with it (hold_log):
// the user's standard error must not hold up others. Releasing deletes the table,
// which takes microseconds; closing the socket soon after that waits for the kernel to tidy up (8
// to 25 ms on 6.18), so a process in a hurry lends a socket that it keeps.
class NetworkLock {
 public:
  // Waits for another holder up to `timeout`; the error then says what is held. The table belongs
  // to `socket` (NETLINK_NETFILTER), which must outlive the lock. `cancel_fd` readable, or at its
  // end, means that nobody wants the lock any more: ECANCELED, at once. -1: nothing cancels.
  static Result<NetworkLock> acquire(NetlinkSocket& socket, int cancel_fd,
                                     std::chrono::milliseconds timeout = kNetworkLockTimeout);

  NetworkLock(NetworkLock&& other) noexcept : socket_(std::exchange(other.socket_, nullptr)) {}
  NetworkLock& operator=(NetworkLock&&) = delete;
  NetworkLock(const NetworkLock&) = delete;
  NetworkLock& operator=(const NetworkLock&) = delete;
  ~NetworkLock();

 private:
  explicit NetworkLock(NetlinkSocket& socket);

  NetlinkSocket* socket_;  // null: moved from
};

}  // namespace vmnet
