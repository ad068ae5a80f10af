#include "linux/privilege/landlock.h"

#include <cerrno>

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/unique_fd.h"

namespace vmnet {
namespace {

// Every right of the file system up to ABI 7 (Linux 6.15), by bit: execute 0, write file 1, ...,
// and those that newer ABIs added: refer 13, truncate 14, ioctl on devices 15.
uint64_t file_rights(int abi) {
  int rights = 13;
  if (abi >= 2) rights = 14;
  if (abi >= 3) rights = 15;
  if (abi >= 5) rights = 16;
  return (uint64_t{1} << rights) - 1;
}

constexpr uint64_t kTcpRights = 0b11;    // ABI 4: bind and connect
constexpr uint64_t kScopeSignal = 0b10;  // ABI 6: no signal to processes outside

// struct landlock_ruleset_attr of ABI 6; Debian 12's headers have the first member only. The kernel
// takes the size it knows.
struct RulesetAttributes {
  uint64_t handled_access_fs;
  uint64_t handled_access_net;
  uint64_t scoped;
};

}  // namespace

Status restrict_files_to(std::span<const AllowedFolder> allowed) {
  auto abi = static_cast<int>(
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION));
  if (abi < 1) {
    log_debug("sandbox", "the kernel has no Landlock: files are guarded by seccomp alone");
    return {};
  }
  RulesetAttributes attributes{.handled_access_fs = file_rights(abi),
                               .handled_access_net = abi >= 4 ? kTcpRights : 0,
                               .scoped = abi >= 6 ? kScopeSignal : 0};
  size_t size = sizeof(uint64_t) * (abi >= 6 ? 3 : abi >= 4 ? 2 : 1);
  UniqueFd ruleset(static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes, size, 0)));
  if (!ruleset.valid()) return fail_errno("cannot set up Landlock", errno);
  for (const AllowedFolder& folder : allowed) {
    landlock_path_beneath_attr rule{.allowed_access = folder.rights, .parent_fd = folder.fd};
    if (syscall(SYS_landlock_add_rule, ruleset.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) {
      return fail_errno("cannot set up Landlock's rules", errno);
    }
  }
  if (syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
    return fail_errno("cannot enforce Landlock", errno);
  }
  return {};
}

}  // namespace vmnet
