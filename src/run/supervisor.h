// Runs vmnet-helper and COMMAND side by side until one of them ends, and leaves nothing behind.
#pragma once

#include <string>
#include <vector>

#include "helper/options.h"
#include "run/find_helper.h"

namespace vmnet {

// Starts the helper, then `command` (COMMAND and its arguments) once the helper has printed its
// line, with the VM's end of the socket as descriptor 4, or where `tap` the device that the helper
// hands over. Becomes the leader of a process group. Expects that no descriptor above 2 passes an
// exec. Says on standard error what went wrong. Returns the exit status for vmnet-run: COMMAND's,
// 128+N where signal N ended COMMAND or vmnet-run itself, else 1. Called once in a process.
int supervise(const HelperCommand& helper, const std::vector<std::string>& command, bool tap,
              SocketType socket_type);

}  // namespace vmnet
