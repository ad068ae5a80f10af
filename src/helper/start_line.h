// The log's first line of a helper that works: what it is and for whom, for who reads it later.
#pragma once

#include <string>

#include <sys/types.h>

#include "helper/options.h"
#include "platform/description.h"

namespace vmnet {

// "started: version v0.14.0, mode shared, network 192.168.64.0/24, user 1000, device vmnet-tap0,
// peer --fd 3". Pure.
std::string start_line(const Options& options, const Description& description, uid_t user);

}  // namespace vmnet
