#include "linux/privilege/user_ids.h"

#include <cerrno>

#include <grp.h>
#include <unistd.h>

#include "linux/privilege/capabilities.h"

namespace vmnet {

// ROOT: ids of the real user alone. The real and the saved ones too: a FUSE file system serves a
// process that could be another user to none (fuse_allow_current_process, Linux 6.18).
Status take_ids_of(const RealUser& user) {
  if (setgroups(user.groups.size(), user.groups.data()) != 0) {
    return fail_errno("cannot take the user's groups", errno, why_no_groups());
  }
  if (setresgid(user.gid, user.gid, user.gid) != 0) {
    return fail_errno("cannot take the user's group", errno);
  }
  if (setresuid(user.uid, user.uid, user.uid) != 0) {
    return fail_errno("cannot take the user's id", errno);
  }
  return {};
}

Status become_real_user(const RealUser& user) {
  if (auto taken = take_ids_of(user); !taken) return taken;
  return user.uid == 0 ? Status{} : write_capabilities({});
}

}  // namespace vmnet
