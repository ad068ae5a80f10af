// The system calls of the data path, and the few that the C library makes on its own (memory, the
// end of a thread). docs/security.md explains the list; tests/integration/test_privileges.py
// probes it.

#include <array>
#include <cerrno>
#include <memory>
#include <span>

#include <linux/sockios.h>
#include <seccomp.h>
#include <sys/mman.h>

#include "network/sandbox.h"

namespace vmnet {
namespace {

constexpr std::array kAllowed = {
    // Frames: the VM's socket, the TAP; asking about the VM's end; DHCP replies.
    SCMP_SYS(recvmmsg),
    SCMP_SYS(recvmsg),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    // Waiting.
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(futex),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(restart_syscall),
    // The next client of a bound socket.
    SCMP_SYS(connect),
    SCMP_SYS(setsockopt),
    SCMP_SYS(pidfd_open),
    SCMP_SYS(close),
    // The end.
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(shutdown),
    SCMP_SYS(wait4),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    // The allocator.
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(madvise),
};

// --tap: the kernel carries the frames. The socket for the VM's requests could send on any device,
// the host's uplink for one, by a call that names it: sendto() is left without an address and
// sendmsg(), where the filter cannot see that, to the VM's socket. connect() and sendmmsg() are not
// there, nor a call that would give another socket that number.
constexpr std::array kAllowedNative = {
    SCMP_SYS(recvfrom),
    SCMP_SYS(read),
    SCMP_SYS(write),
    // Waiting.
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(futex),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(restart_syscall),
    // The end.
    SCMP_SYS(close),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(shutdown),
    SCMP_SYS(wait4),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    // The allocator.
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(madvise),
};

struct Release {
  void operator()(void* filter) const { seccomp_release(filter); }
};

std::span<const int> allowed_calls(const SystemCallNeeds& needs) {
  if (needs.native_vm_socket) return kAllowedNative;
  return kAllowed;
}

// 0, or a negative errno of libseccomp.
int add_rules(scmp_filter_ctx filter, const SystemCallNeeds& needs) {
  int result = 0;
  auto add = [&result](int added) {
    if (result == 0) result = added;
  };
  for (int call : allowed_calls(needs)) add(seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0));
  // Memory, but none that can be executed.
  for (int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {
    add(seccomp_rule_add(
        filter, SCMP_ACT_ALLOW, call, 1,
        scmp_arg_cmp{.arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = PROT_EXEC, .datum_b = 0}));
  }
  if (needs.native_vm_socket) {
    auto socket = static_cast<scmp_datum_t>(*needs.native_vm_socket);
    add(seccomp_rule_add(
        filter, SCMP_ACT_ALLOW, SCMP_SYS(sendmsg), 1,
        scmp_arg_cmp{.arg = 0, .op = SCMP_CMP_EQ, .datum_a = socket, .datum_b = 0}));
    add(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sendto), 1,
                         scmp_arg_cmp{.arg = 4, .op = SCMP_CMP_EQ, .datum_a = 0, .datum_b = 0}));
  }
  if (needs.set_mac_address) {
    add(seccomp_rule_add(
        filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
        scmp_arg_cmp{.arg = 1, .op = SCMP_CMP_EQ, .datum_a = SIOCSIFHWADDR, .datum_b = 0}));
  }
  return result;
}

}  // namespace

Status restrict_system_calls(const SystemCallNeeds& needs) {
  std::unique_ptr<void, Release> filter(seccomp_init(SCMP_ACT_KILL_PROCESS));
  if (!filter) return fail("cannot make a seccomp filter");
  int result = seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  if (result == 0) result = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1);
  if (result == 0) result = add_rules(filter.get(), needs);
  if (result == 0) result = seccomp_load(filter.get());
  if (result != 0) {
    return fail_errno("cannot enforce the seccomp filter", -result,
                      "the kernel needs CONFIG_SECCOMP_FILTER");
  }
  return {};
}

}  // namespace vmnet
