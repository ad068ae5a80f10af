// vmnet-helper's command line, checked as a whole before anything else happens. Pure: no input or
// output, no exit, nothing read from the environment.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "platform/config.h"
#include "platform/this_platform.h"

namespace vmnet {

// How frames are told apart on the VM's socket: one a datagram, or each behind its length.
enum class SocketType { kDatagram, kStream };

// Where the VM's socket comes from: exactly one of the two is set after a successful parse of
// Action::kRun.
struct VmSocketTarget {
  std::optional<SocketType> type;  // --socket-type; nothing: datagrams, or what the descriptor is
  std::optional<int> fd;           // --fd: inherited; any non-negative number, not looked at yet
  std::string path;  // --socket: as given, not empty; may be relative to the start directory
};

// --capture and --capture-size.
struct CaptureTarget {
  std::string path;        // as given, not empty; may be relative to the start directory
  uint64_t max_bytes = 0;  // of the file
};

enum class Action { kRun, kHelp, kVersion, kListSharedInterfaces };

struct Options {
  Action action = Action::kRun;
  // What follows is filled for Action::kRun only, but `verbose`.
  VmSocketTarget target;
  NetworkConfig network;
  std::optional<std::chrono::seconds> stats_interval;  // nothing: no statistics
  std::optional<CaptureTarget> capture;                // nothing: no capture
  std::vector<std::string> warnings;  // of options that have no effect, a line each
  bool verbose = false;
};

// `argv` as main got it, the program's name first. The error is one line that names the option and
// its value as the user wrote them. --help and --version win over whatever follows them;
// --list-shared-interfaces wins over what the other options mean. An option given twice counts the
// last time, a repeatable one adds up. One thread at a time (getopt_long).
Result<Options> parse_options(std::span<const char* const> argv,
                              Platform platform = this_platform());

}  // namespace vmnet
