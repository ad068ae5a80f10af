// Prepares the VM's socket of --fd or --socket before anything on the host has changed, and makes
// the file of --socket when the interface works: whoever waits for it takes it for that.
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

// A place for the socket of --socket that this helper alone may use.
struct VmSocketPlace {
  std::string path;          // as the user gave it
  int start_directory = -1;  // where a relative path starts; not owned
  SocketFiles files;         // of which there is the lock
};

struct UnboundVmSocket {
  UniqueFd socket;
  VmSocketPlace place;
};

// --socket: a datagram or stream socket, and its place at `path`, which nothing is in the way of: a
// socket there is removed if it is the user's and nobody holds it; anything else is an error and
// stays. The place is guarded by the lock file PATH.lock (mode 0600 under any umask) that is held
// as long as its descriptor (fork shares it) lives. A relative path is taken from the directory
// `start_directory`, which stays open. An error leaves no file behind.
//
// Called with the real user's rights (as_real_user), before threads: the working directory and
// the umask change for a moment.
Result<UnboundVmSocket> take_vm_socket_place(const std::string& path, int start_directory,
                                             SocketType type = SocketType::kDatagram);

// Binds that socket at its place, mode 0600 from its birth under any umask; a stream socket listens
// then and does not block. `news` is told before and after. After an error the file is there no
// longer than whoever was told lets it be.
//
// As the real user. Threads may run that do not look at the working directory and make no files.
Status bind_vm_socket(int socket, const VmSocketPlace& place, SocketType type,
                      const SocketFileNews& news);

}  // namespace vmnet
