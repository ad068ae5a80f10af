// vmnet-run's command line: [OPTION]... [--] COMMAND [ARG]...
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "helper/options.h"

namespace vmnet {

struct RunOptions {
  Action action = Action::kRun;  // kRun, kHelp or kVersion
  // For Action::kRun only:
  std::vector<std::string> helper_arguments;       // as given, and valid
  bool tap = false;                                // --tap is among them
  SocketType socket_type = SocketType::kDatagram;  // --socket-type
  std::vector<std::string> command;                // COMMAND and its arguments, never empty
};

// `argv` as main got it. Pure; one thread at a time (getopt_long). The helper's options are checked
// here, so that a mistake is one line and nothing is started.
Result<RunOptions> parse_run_options(std::span<const char* const> argv);

// vmnet-run --help.
std::string run_usage();

}  // namespace vmnet
