// Where vmnet-helper is and how it gets its privileges.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "base/result.h"

namespace vmnet {

// The file beside this program, wherever links and PATH found this program; it exists and can be
// executed by the caller.
Result<std::string> find_helper();

// What decides whether vmnet-helper gets its privileges by itself.
struct HelperPrivileges {
  bool needed = true;  // the platform makes networks with privilege only
  uid_t caller = 0;    // effective uid
  uid_t file_owner = 0;
  mode_t file_mode = 0;
  bool file_capabilities = false;
  bool mounted_nosuid = false;       // its file system honours neither of the two
  bool capabilities_passed = false;  // the caller's own, ambient ones
};

HelperPrivileges read_helper_privileges(const std::string& helper);

// Pure.
bool needs_sudo(const HelperPrivileges& privileges);

// What `program --version` prints, its first 256 bytes at most; empty where it cannot be run. Waits
// for its end. Single-threaded processes only.
std::string version_of(const std::string& program);

// Whether a sudo that prints `version` keeps descriptors above 2 open for what it starts
// (--close-from). sudo-rs, Ubuntu's from 25.10 on, does not. Pure.
bool keeps_descriptors(std::string_view version);

struct HelperCommand {
  std::vector<std::string> arguments;
  bool through_sudo = false;
};

// The command that starts `helper` with the VM's socket as descriptor 3: through sudo where that is
// needed, an error where it is needed and not installed, or is one that cannot pass the socket on.
Result<HelperCommand> helper_command(const std::string& helper,
                                     const std::vector<std::string>& arguments);

}  // namespace vmnet
