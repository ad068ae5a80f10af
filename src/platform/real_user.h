// Who started the helper: the user whose rights everything but the network set-up has.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/result.h"

namespace vmnet {

struct RealUser {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // supplementary ones, used only to open the user's socket path
};

// The SUDO_UID and SUDO_GID of the environment, as found; null where absent.
struct SudoIds {
  const char* uid = nullptr;
  const char* gid = nullptr;
};

// The supplementary groups of the process.
Result<std::vector<gid_t>> own_groups();

// The real uid and gid of the process; where the real uid is 0, those of `sudo` if present (both
// or an error; strict decimal numbers of a user that exists).
Result<RealUser> find_real_user(const SudoIds& sudo);

// Runs `action` with the user's rights to the file system (ids, groups, no capability in effect),
// then takes the process's own rights back. Before threads; ends the process where the rights
// cannot be taken back.
Status as_real_user(const RealUser& user, const std::function<Status()>& action);

// Becomes the user for good, in all threads to come: no supplementary group, no capability in any
// set, no way back, not dumpable. Verified; an error means the process must end.
Status drop_privileges(const RealUser& user);

}  // namespace vmnet
