// The lock of a network namespace: whoever holds it may find, make and delete bridges.
//
// It is an nftables table owned by a netlink socket: creating it needs CAP_NET_ADMIN (so no user
// can squat it), it belongs to the network namespace, and the kernel removes it with the holder,
// whatever ended that. A file in /run would be residue, and flock on the namespace's own file can
// be taken by any user.
#pragma once

#include <chrono>
#include <memory>

#include "base/result.h"
#include "linux/netlink.h"

namespace vmnet {

inline constexpr std::chrono::seconds kNetworkLockTimeout{10};

// Holds the lock of the caller's network namespace until destroyed. Not inherited in effect: a
// forked child keeps the socket open, so it must drop its copy or exit.
class NetworkLock {
 public:
  // Waits for another holder up to `timeout`; the error then says what is held.
  static Result<NetworkLock> acquire(std::chrono::milliseconds timeout = kNetworkLockTimeout);

  NetworkLock(NetworkLock&&) = default;
  NetworkLock& operator=(NetworkLock&&) = delete;
  NetworkLock(const NetworkLock&) = delete;
  NetworkLock& operator=(const NetworkLock&) = delete;
  ~NetworkLock();

 private:
  explicit NetworkLock(NetlinkSocket socket)
      : socket_(std::make_unique<NetlinkSocket>(std::move(socket))) {}

  std::unique_ptr<NetlinkSocket> socket_;  // null: moved from
};

}  // namespace vmnet
