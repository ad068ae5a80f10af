// Prepares the VM's socket of --fd or --socket, before anything on the host has changed.
//
// Errors name the option with the user's value. Nothing here reads or writes frames.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "helper/options.h"
#include "platform/socket_files.h"

namespace vmnet {

struct AdoptedVmSocket {
  UniqueFd socket;
  SocketType type = SocketType::kDatagram;  // of SEQPACKET too: a frame a record
};

// --fd: takes over an inherited socket: a connected AF_UNIX socket of type SOCK_DGRAM,
// SOCK_SEQPACKET or SOCK_STREAM. `wanted`: --socket-type, which must be what the socket is.
// Standard output and standard error are refused: they are the helper's own. The descriptor becomes
// close-on-exec; its open file description, which the parent may share, keeps its flags. On error
// the descriptor stays open.
Result<AdoptedVmSocket> adopt_vm_socket(int fd, std::optional<SocketType> wanted = {});

struct BoundVmSocket {
  UniqueFd socket;
  SocketFiles files;
};

// --socket: binds a datagram socket at `path`, or a stream socket that listens and does not block;
// mode 0600 from its birth under any umask, guarded by the lock file PATH.lock that is held as long
// as its descriptor (fork shares it) lives. A relative path is taken from the directory
// `start_directory`. A socket that is in the way is removed if it is the user's and nobody holds
// it; anything else in the way is an error and stays. An error leaves no file behind.
//
// Called with the real user's rights (as_real_user), before threads: the working directory and
// the umask change for a moment.
Result<BoundVmSocket> bind_vm_socket(const std::string& path, int start_directory,
                                     SocketType type = SocketType::kDatagram);

}  // namespace vmnet
