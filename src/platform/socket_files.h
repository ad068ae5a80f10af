// The files of a VM socket made by --socket: the socket itself and the lock beside it.
//
// helper/open_vm_socket makes the lock first and the socket last, when the interface works. They
// must vanish with the helper, whatever ends it: on Linux the keeper removes them, on macOS the
// helper itself. Whoever holds the lock's descriptor (it is shared by fork) may remove both.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vmnet {

// What is known of the socket's file, to remove no other's. The states come in this order.
struct SocketFile {
  enum class State : uint8_t {
    kNone,       // there is none of ours
    kBeingMade,  // there may be: nothing had the name before, so a socket of the user's is it
    kMade,       // it is this inode
    kGivenUp,    // it could not be made: there is none of ours
  };
  State state = State::kNone;
  dev_t device = 0;
  ino_t inode = 0;
};

// Takes word of a change to whoever removes the files. An error: nobody would.
using SocketFileNews = std::function<Status(const SocketFile& file)>;

struct SocketFiles {
  UniqueFd directory;  // the folder that holds both, opened as the real user; invalid: no files
  UniqueFd lock;       // PATH.lock, exclusively flocked
  std::string socket_name;  // inside `directory`
  std::string lock_name;
  uid_t owner = 0;
};

// Removes the socket if it is there and still ours, then the lock file if it is still the inode
// that is locked. As the real user (the caller has its file system rights). A file that is not ours
// any more stays; one that cannot be removed is told of in a WARN line.
void remove_socket_files(const SocketFiles& files, const SocketFile& socket);

}  // namespace vmnet
