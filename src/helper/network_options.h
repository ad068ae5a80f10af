// The options that say which network the VM gets, as a whole.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "helper/given_options.h"
#include "platform/config.h"
#include "platform/this_platform.h"

namespace vmnet {

// The errors name the option and its value. Pure.
Result<NetworkConfig> parse_network(const GivenOptions& given, Platform platform);

// Lines that warn of options without effect in `mode`: callers give them whatever the mode is.
std::vector<std::string> ignored_options(const GivenOptions& given, Mode mode);

}  // namespace vmnet
