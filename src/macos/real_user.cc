// Acting as the user for a moment, becoming the user for good.
//
// Sources: setuid(2), setgroups(2) of macOS. It has no capabilities and no
// setresuid: the set*id functions of a process with effective uid 0 set the real and the saved ids
// too. The ids are the process's, so that threads of libdispatch change with it. Since macOS 26 the
// helper may have been started without any privilege; then there is nothing to give up.

#include "platform/real_user.h"

#include <algorithm>
#include <cerrno>
#include <span>
#include <string>

#include <fmt/format.h>
#include <grp.h>
#include <sys/param.h>
#include <unistd.h>

#include "base/log.h"

namespace vmnet {
namespace {

// setgroups(2) takes NGROUPS_MAX groups at most. The type of the count is int here, size_t
// elsewhere.
template <typename Count>
int set_groups(int (*set)(Count, const gid_t*), std::span<const gid_t> groups) {
  return set(static_cast<Count>(std::min<size_t>(groups.size(), NGROUPS_MAX)), groups.data());
}

Status take_effective_rights_of(const RealUser& user) {
  if (set_groups(setgroups, user.groups) != 0)
    return fail_errno("cannot take the user's groups", errno);
  if (setegid(user.gid) != 0) return fail_errno("cannot take the user's group", errno);
  if (seteuid(user.uid) != 0) return fail_errno("cannot take the user's id", errno);
  return {};
}

// Root's effective ids, after take_effective_rights_of(): there is no way on without them.
void take_own_rights_back(gid_t group, std::span<const gid_t> groups) {
  if (seteuid(0) == 0 && setegid(group) == 0 && set_groups(setgroups, groups) == 0) return;
  log_error("privileges", "cannot take the effective ids back: {}", errno_text(errno));
  _exit(1);
}

Status verify_dropped(const RealUser& user, bool had_privilege) {
  bool ids = getuid() == user.uid && geteuid() == user.uid && getgid() == user.gid &&
             getegid() == user.gid;
  bool no_way_back = user.uid == 0 || (setuid(0) != 0 && seteuid(0) != 0);
  auto groups = own_groups();
  // The effective group is always in the list.
  bool no_groups =
      !had_privilege ||
      (groups && std::ranges::all_of(*groups, [&](gid_t group) { return group == user.gid; }));
  if (ids && no_groups && no_way_back) return {};
  return fail(
      fmt::format("privileges are still there after the drop (ids {}, groups {}, no way back {})",
                  ids, no_groups, no_way_back));
}

}  // namespace

Status as_real_user(const RealUser& user, const std::function<Status()>& action) {
  if (geteuid() != 0) return action();  // the user already
  auto groups = own_groups();
  if (!groups) return pass(groups);
  gid_t group = getegid();
  auto taken = take_effective_rights_of(user);
  Status result = taken ? action() : taken;
  take_own_rights_back(group, *groups);
  return result;
}

Status drop_privileges(const RealUser& user) {
  bool privileged = geteuid() == 0;
  if (privileged) {
    // ROOT: ids of the real user alone; the order is groups, group, user, since each needs what the
    // next one takes away. One group, not none: its first entry is the effective group.
    if (setgroups(1, &user.gid) != 0) {
      return fail_errno("cannot drop supplementary groups", errno);
    }
    if (setgid(user.gid) != 0) {
      return fail_errno(fmt::format("cannot become group {}", user.gid), errno);
    }
    if (setuid(user.uid) != 0) {
      return fail_errno(fmt::format("cannot become user {}", user.uid), errno);
    }
  }
  return verify_dropped(user, privileged);
}

}  // namespace vmnet
