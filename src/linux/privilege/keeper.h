// The keeper: a child of the helper that makes the host side with privilege and stays to remove
// what the kernel does not remove by itself.
//
// The process that was started becomes the worker, so that the pid a client knows is the real
// user's; the keeper is its child in a session of its own, and never has the VM's socket. The two
// share a socketpair: the keeper's first message on it tells how the start went, the worker's few
// tell of the socket's file; after that its end of file tells each of the other's death. The worker
// ends when the keeper has; the keeper cleans up when the worker has.
#pragma once

#include <span>

#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"
#include "linux/host/host_network.h"
#include "platform/config.h"
#include "platform/real_user.h"
#include "platform/socket_files.h"

namespace vmnet {

struct KeeperStart {
  pid_t keeper = -1;
  UniqueFd channel;  // readable at the keeper's end
  UniqueFd device;   // the TAP or macvtap
  InterfaceFacts facts;
};

// Forks the keeper and waits until it has made the interface, or failed, or until `stop_fd` is
// readable: then the keeper gives up or undoes what it has made, and the error is ECANCELED.
// Single-threaded. The keeper closes `workers_own`, and removes `files` at the end, also when the
// start fails.
Result<KeeperStart> start_keeper(const NetworkConfig& config, const RealUser& user,
                                 const SocketFiles& files, std::span<const int> workers_own,
                                 int stop_fd);

// Tells the keeper of the VM socket's file, which it removes at the end.
Status tell_keeper(int channel, const SocketFile& file);

// Tells the keeper to clean up, and waits until it has.
void end_keeper(pid_t keeper, UniqueFd channel);

}  // namespace vmnet
