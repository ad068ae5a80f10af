// The files of a VM socket made by --socket: the socket itself and the lock beside it.
//
// They are made by helper/open_vm_socket and must vanish with the helper, whatever ends it: on
// Linux the keeper removes them, on macOS the helper itself. Whoever holds the lock's descriptor
// (it is shared by fork) may remove both.
#pragma once

#include <string>

#include <sys/types.h>

#include "base/unique_fd.h"

namespace vmnet {

struct SocketFiles {
  UniqueFd directory;  // the folder that holds both, opened as the real user; invalid: no files
  UniqueFd lock;       // PATH.lock, exclusively flocked
  std::string socket_name;  // inside `directory`
  std::string lock_name;
  dev_t socket_device = 0;  // of the socket's inode, to remove no other's
  ino_t socket_inode = 0;
};

// Removes the socket if it is still the inode that was bound, then the lock file if it is still the
// inode that is locked. As the real user (the caller has its file system rights). A file that is
// not ours any more stays; one that cannot be removed is told of in a WARN line.
void remove_socket_files(const SocketFiles& files);

}  // namespace vmnet
