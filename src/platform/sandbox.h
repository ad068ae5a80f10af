// What is left to the process that reads what a guest writes, should the guest ever take it over.
#pragma once

#include <optional>

#include "base/result.h"

namespace vmnet {

// No path of the file system, and no new use of the network stack where the kernel can tell
// (Landlock, Linux 5.13; a kernel without it is no error). In `socket_folder`, if that is not -1,
// sockets may be made as long as restrict_system_calls() lets them. Of the calling thread and those
// it starts: before threads.
Status restrict_files(int socket_folder);

struct SystemCallNeeds {
  bool set_mac_address = false;  // ioctl(SIOCSIFHWADDR): a macvtap follows its VM's MAC
  bool stream = false;           // the VM's socket is one: no calls for datagrams
  bool accept_streams = false;   // accept4(): the next client of a stream socket that listens
  // --tap, a shorter list: nothing is sent but on what is open, to where that is bound; sendmsg()
  // on the VM's socket alone, which is this.
  std::optional<int> native_vm_socket;
};

// All threads: the data path's system calls, nothing else; another one ends the process (seccomp).
Status restrict_system_calls(const SystemCallNeeds& needs);

}  // namespace vmnet
