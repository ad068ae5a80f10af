// Who the user is. Sources: getgrouplist(3), sudo(8).
#include "platform/real_user.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "base/parse.h"

namespace vmnet {
namespace {

constexpr size_t kMaxGroups = 65536;

// The largest number is no id: setresuid(-1, ...) means "leave it" and succeeds.
template <typename Id>
Result<Id> parse_id(const char* name, const char* text) {
  auto id = parse_unsigned<Id>(text);
  if (!id || *id == static_cast<Id>(-1)) {
    return fail(fmt::format("{} '{}': not a user or group number", name, text));
  }
  return *id;
}

// The list holds gid_t on some systems and int on others.
template <typename Group>
int list_groups(int (*list)(const char*, Group, Group*, int*), const passwd& user, gid_t group,
                std::vector<gid_t>& groups) {
  std::vector<Group> found(groups.size());
  int count = static_cast<int>(found.size());
  int result = list(user.pw_name, static_cast<Group>(group), found.data(), &count);
  if (result >= 0) groups.assign(found.begin(), found.begin() + count);
  return result;
}

Result<std::vector<gid_t>> groups_of(const passwd& user, gid_t group) {
  std::vector<gid_t> groups(64);
  while (list_groups(getgrouplist, user, group, groups) < 0) {
    if (groups.size() >= kMaxGroups) {
      return fail(fmt::format("SUDO_UID {}: the user's groups cannot be listed", user.pw_uid));
    }
    groups.resize(groups.size() * 2);
  }
  return groups;
}

Result<RealUser> user_of_sudo(const SudoIds& sudo) {
  if (sudo.uid == nullptr || sudo.gid == nullptr) {
    return fail(fmt::format("{} is set but {} is not; sudo sets both",
                            sudo.uid != nullptr ? "SUDO_UID" : "SUDO_GID",
                            sudo.uid != nullptr ? "SUDO_GID" : "SUDO_UID"));
  }
  auto uid = parse_id<uid_t>("SUDO_UID", sudo.uid);
  if (!uid) return pass(uid);
  auto gid = parse_id<gid_t>("SUDO_GID", sudo.gid);
  if (!gid) return pass(gid);
  errno = 0;
  const passwd* entry = getpwuid(*uid);
  if (entry == nullptr) {
    return fail(fmt::format("SUDO_UID {}: no such user{}", *uid,
                            errno != 0 ? ": " + errno_text(errno) : ""));
  }
  // Not the process's groups: sudo has replaced them.
  auto groups = groups_of(*entry, *gid);
  if (!groups) return pass(groups);
  return RealUser{.uid = *uid, .gid = *gid, .groups = std::move(*groups)};
}

}  // namespace

Result<std::vector<gid_t>> own_groups() {
  int count = getgroups(0, nullptr);
  std::vector<gid_t> groups(static_cast<size_t>(std::max(count, 0)));
  if (count < 0 || getgroups(count, groups.data()) < 0) {
    return fail_errno("cannot read the supplementary groups", errno);
  }
  return groups;
}

Result<RealUser> find_real_user(const SudoIds& sudo) {
  bool real_root = getuid() == 0;
  if (real_root && (sudo.uid != nullptr || sudo.gid != nullptr)) return user_of_sudo(sudo);
  auto groups = own_groups();
  if (!groups) return pass(groups);
  return RealUser{.uid = getuid(), .gid = getgid(), .groups = std::move(*groups)};
}

}  // namespace vmnet
