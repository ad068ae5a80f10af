// Acting as the user for a moment, becoming the user for good.
//
// Sources: credentials(7), capabilities(7), setresuid(2). glibc's set*id functions change all
// threads, and there is only one yet.

#include "platform/real_user.h"

#include <array>
#include <cerrno>
#include <string>

#include <fmt/format.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/log.h"
#include "linux/privilege/capabilities.h"
#include "linux/privilege/user_ids.h"

namespace vmnet {
namespace {

// Takes the process's own rights back after as_real_user; there is no way on without them.
class OwnRights {
 public:
  static Result<OwnRights> save() {
    OwnRights rights;
    if (getresuid(&rights.uids_[0], &rights.uids_[1], &rights.uids_[2]) != 0 ||
        getresgid(&rights.gids_[0], &rights.gids_[1], &rights.gids_[2]) != 0) {
      return fail_errno("cannot read the process's ids", errno);
    }
    auto capabilities = read_capabilities();
    if (!capabilities) return pass(capabilities);
    auto groups = own_groups();
    if (!groups) return pass(groups);
    rights.capabilities_ = *capabilities;
    rights.groups_ = std::move(*groups);
    return rights;
  }

  // The capabilities come first, since the ids need them, and last, since new ids change them.
  void restore() const {
    bool restored = write_capabilities(capabilities_).has_value() &&
                    setresuid(uids_[0], uids_[1], uids_[2]) == 0 &&
                    setresgid(gids_[0], gids_[1], gids_[2]) == 0 &&
                    setgroups(groups_.size(), groups_.data()) == 0 &&
                    prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) == 0 &&
                    write_capabilities(capabilities_).has_value();
    if (restored) return;
    log_error("privileges", "cannot take the process's own ids back: {}", errno_text(errno));
    _exit(1);
  }

 private:
  std::array<uid_t, 3> uids_{};  // real, effective, saved
  std::array<gid_t, 3> gids_{};
  CapabilitySets capabilities_;
  std::vector<gid_t> groups_;
};

Status take_rights_of(const RealUser& user) {
  // Else there were no way back from the user's ids.
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) {
    return fail_errno("cannot keep the capabilities for later", errno);
  }
  if (auto taken = take_ids_of(user); !taken) return taken;
  // Root's own rights include its capabilities.
  if (user.uid == 0) return {};
  // With file capabilities the ids alone take nothing away.
  auto sets = read_capabilities();
  if (!sets) return pass(sets);
  sets->effective = 0;
  return write_capabilities(*sets);
}

Status verify_dropped(const RealUser& user) {
  uid_t real = 0;
  uid_t effective = 0;
  uid_t saved = 0;
  gid_t real_group = 0;
  gid_t effective_group = 0;
  gid_t saved_group = 0;
  if (getresuid(&real, &effective, &saved) != 0 ||
      getresgid(&real_group, &effective_group, &saved_group) != 0) {
    return fail_errno("cannot read the process's ids", errno);
  }
  bool ids = real == user.uid && effective == user.uid && saved == user.uid &&
             real_group == user.gid && effective_group == user.gid && saved_group == user.gid;
  bool groups = getgroups(0, nullptr) == 0;
  auto sets = read_capabilities();
  bool capabilities =
      sets && sets->effective == 0 && sets->permitted == 0 && sets->inheritable == 0;
  bool no_way_back = user.uid == 0 || (setuid(0) != 0 && seteuid(0) != 0);
  bool flags = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 && prctl(PR_GET_DUMPABLE) == 0;
  if (ids && groups && capabilities && no_way_back && flags) return {};
  return fail(
      fmt::format("privileges are still there after the drop (ids {}, groups {}, capabilities {}, "
                  "no way back {}, flags {})",
                  ids, groups, capabilities, no_way_back, flags));
}

}  // namespace

Status as_real_user(const RealUser& user, const std::function<Status()>& action) {
  auto rights = OwnRights::save();
  if (!rights) return pass(rights);
  auto taken = take_rights_of(user);
  Status result = taken ? action() : taken;
  rights->restore();
  return result;
}

Status drop_privileges(const RealUser& user) {
  drop_bounding_and_ambient();
  // ROOT: ids of the real user alone; the order is setgroups, setresgid, setresuid, since each
  // needs what the next one takes away.
  if (setgroups(0, nullptr) != 0) {
    return fail_errno("cannot drop supplementary groups", errno, why_no_groups());
  }
  if (setresgid(user.gid, user.gid, user.gid) != 0) {
    return fail_errno(fmt::format("cannot become group {}", user.gid), errno);
  }
  if (setresuid(user.uid, user.uid, user.uid) != 0) {
    return fail_errno(fmt::format("cannot become user {}", user.uid), errno);
  }
  if (auto dropped = write_capabilities({}); !dropped) return dropped;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return fail_errno("cannot set no_new_privs", errno);
  }
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return fail_errno("cannot forbid tracing", errno);
  return verify_dropped(user);
}

}  // namespace vmnet
