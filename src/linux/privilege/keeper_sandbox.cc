// The keeper stays privileged as long as the VM runs, so what it could be made to do is bounded,
// although nothing that a guest or the user writes reaches it. docs/security.md explains the list.

#include "linux/privilege/keeper_sandbox.h"

#include <array>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "linux/host/dns_servers.h"
#include "linux/privilege/capabilities.h"
#include "linux/privilege/landlock.h"
#include "linux/privilege/system_call_filter.h"

namespace vmnet {
namespace {

constexpr std::array kAllowed = {
    // Netlink, and the report to the worker.
    SCMP_SYS(bind),
    SCMP_SYS(getsockname),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(shutdown),
    // Waiting.
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),
    // The kernel's settings, the log.
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(close),
    SCMP_SYS(getdents64),
    // The socket's files, as the user.
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(unlinkat),
    SCMP_SYS(setgroups),
    SCMP_SYS(setresgid),
    SCMP_SYS(capset),
    // The end.
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(exit_group),
    // The allocator.
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
};

Status keep_few_capabilities(const RealUser& user) {
  auto sets = read_capabilities();
  if (!sets) return pass(sets);
  CapabilitySet few = capability_set({CAP_NET_ADMIN, CAP_SETUID, CAP_SETGID});
  // Root may have its socket in a folder of anybody's, and it must be removed from there.
  if (user.uid == 0) few |= capability_set({CAP_DAC_OVERRIDE});
  sets->effective &= few;
  sets->permitted &= few;
  sets->inheritable = 0;
  if (auto written = write_capabilities(*sets); !written) return written;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return fail_errno("cannot set no_new_privs", errno);
  }
  return {};
}

// Reads and writes the kernel's settings, reads which iptables tables there are and, where it must,
// who the host's DNS servers are; removes the socket's files.
Status restrict_keeper_files(const SocketFiles& files, bool reads_dns_servers) {
  UniqueFd settings(open("/proc/sys/net", O_PATH | O_DIRECTORY | O_CLOEXEC));
  UniqueFd network(open("/proc/self/net", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!settings.valid() || !network.valid()) return fail_errno("cannot open /proc", errno);
  std::vector<AllowedFolder> allowed = {
      {.fd = settings.get(),
       .rights = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                 LANDLOCK_ACCESS_FS_READ_DIR},
      {.fd = network.get(), .rights = LANDLOCK_ACCESS_FS_READ_FILE}};
  std::vector<UniqueFd> folders;
  if (reads_dns_servers) {
    for (const std::string& folder : dns_server_folders()) {
      UniqueFd opened(open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
      if (!opened.valid()) continue;
      allowed.push_back({.fd = opened.get(), .rights = LANDLOCK_ACCESS_FS_READ_FILE});
      folders.push_back(std::move(opened));
    }
  }
  if (files.directory.valid()) {
    allowed.push_back({.fd = files.directory.get(), .rights = LANDLOCK_ACCESS_FS_REMOVE_FILE});
  }
  return restrict_files_to(allowed);
}

Status restrict_keeper_calls(const RealUser& user) {
  SystemCallFilter filter;
  filter.allow(kAllowed);
  // Netlink; iptables' tables are read through a datagram socket.
  filter.allow(SCMP_SYS(socket), {argument_is(0, AF_NETLINK)});
  for (auto family : {uint64_t{AF_INET}, uint64_t{AF_INET6}}) {
    filter.allow(SCMP_SYS(socket),
                 {argument_is(0, family), argument_is(1, SOCK_DGRAM | SOCK_CLOEXEC)});
  }
  // No file is made.
  filter.allow(SCMP_SYS(openat), {argument_lacks(2, O_CREAT | (O_TMPFILE & ~O_DIRECTORY))});
  // To become the user, with no way back.
  filter.allow(SCMP_SYS(setresuid),
               {low_half_is(0, user.uid), low_half_is(1, user.uid), low_half_is(2, user.uid)});
  for (int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {
    filter.allow(call, {argument_lacks(2, PROT_EXEC)});
  }
  return filter.enforce();
}

}  // namespace

Status restrict_keeper(const RealUser& user, const SocketFiles& files, bool reads_dns_servers) {
  if (auto kept = keep_few_capabilities(user); !kept) return kept;
  if (auto restricted = restrict_keeper_files(files, reads_dns_servers); !restricted)
    return restricted;
  return restrict_keeper_calls(user);
}

}  // namespace vmnet
