// Starts a program with exactly the descriptors it is meant to have.
#pragma once

#include <string>
#include <vector>

#include <signal.h>
#include <sys/types.h>

#include "base/result.h"

namespace vmnet {

// `source` of the starting process becomes `target` of the program.
struct InheritedFd {
  int target = -1;
  int source = -1;
};

struct Program {
  std::vector<std::string> arguments;  // argv; [0] is looked up in PATH where it has no slash
  std::vector<InheritedFd> fds;        // the rest of 0 to 2 is passed on
  sigset_t signal_mask;                // to start with
  bool new_session = false;            // away from the terminal and the process group
  bool ends_with_parent = false;       // SIGTERM when this process ends (Linux)
};

// The new process's id, once the program runs; "cannot run 'NAME': WHY" where it does not. Whatever
// is not in `fds` must be close-on-exec. Single-threaded processes only.
Result<pid_t> start_program(const Program& program);

// 0 to 255 as a shell says it: the exit status, or 128+N where signal N ended the process.
int exit_status(int wait_status);

// "exit status 1" or "signal 9".
std::string describe_end(int wait_status);

}  // namespace vmnet
