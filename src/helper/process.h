// The process the helper was started as may be hostile: anyone can start a setuid program, with any
// descriptors, environment, limits and signal state. These functions make it a known one.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace vmnet {

// What is kept of the environment and the place the helper was started in.
struct StartContext {
  const char* sudo_uid = nullptr;  // SUDO_UID and SUDO_GID; null where absent
  const char* sudo_gid = nullptr;
  UniqueFd directory;  // the working directory of the start, which the working directory is no more
};

// First thing of all: the stack may grow, descriptors 0 to 2 are open, signals have their default
// effect and are not blocked (SIGPIPE and SIGXFSZ are ignored), no timer of the parent runs, the
// umask is 077, the working directory "/", no core is written, enough descriptors are allowed, the
// environment is empty, and the log knows whether it goes to the journal. From here on a process
// without memory says so and exits with status 1.
Result<StartContext> sanitise_process();

// Closes every descriptor above 2 but `keep`, `keep_too` (-1: none).
Status close_stray_descriptors(int keep, int keep_too);

}  // namespace vmnet
