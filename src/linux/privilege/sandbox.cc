// The system calls of the data path, and the few that the C library makes on its own (memory, the
// end of a thread). docs/security.md explains the list; tests/integration/test_privileges.py
// probes it.

#include "platform/sandbox.h"

#include <array>

#include <linux/sockios.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "linux/privilege/landlock.h"
#include "linux/privilege/system_call_filter.h"

namespace vmnet {
namespace {

// Whatever carries the frames.
constexpr std::array kAllowedAlways = {
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

constexpr std::array kAllowedForwarding = {
    // Frames: the VM's socket, the TAP.
    SCMP_SYS(sendmsg),
    SCMP_SYS(writev),
    // The next client of a bound socket.
    SCMP_SYS(setsockopt),
    SCMP_SYS(pidfd_open),
};

constexpr std::array kAllowedForDatagrams = {
    // Frames; asking about the VM's end; DHCP replies.
    SCMP_SYS(recvmmsg),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(sendto),
    // The next client of a bound socket.
    SCMP_SYS(connect),
    SCMP_SYS(getpeername),
};

}  // namespace

Status restrict_files(int socket_folder) {
  if (socket_folder < 0) return restrict_files_to({});
  return restrict_files_to(
      std::array{AllowedFolder{.fd = socket_folder, .rights = LANDLOCK_ACCESS_FS_MAKE_SOCK}});
}

Status restrict_system_calls(const SystemCallNeeds& needs) {
  SystemCallFilter filter;
  filter.allow(kAllowedAlways);
  if (needs.native_vm_socket) {
    // The kernel carries the frames. The socket for the VM's requests could send on any device, the
    // host's uplink for one, by a call that names it: sendto() is left without an address and
    // sendmsg(), where the filter cannot see that, to the VM's socket. connect() and sendmmsg() are
    // not there, nor a call that would give another socket that number.
    filter.allow(SCMP_SYS(sendmsg),
                 {argument_is(0, static_cast<uint64_t>(*needs.native_vm_socket))});
    filter.allow(SCMP_SYS(sendto), {argument_is(4, 0)});
  } else {
    filter.allow(kAllowedForwarding);
    if (!needs.stream) filter.allow(kAllowedForDatagrams);
  }
  if (needs.accept_streams) {
    filter.allow(SCMP_SYS(accept4), {});
    // Who the client is (SO_PEERCRED), and its buffers.
    filter.allow(SCMP_SYS(getsockopt), {low_half_is(1, SOL_SOCKET)});
  }
  // Memory, but none that can be executed.
  for (int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {
    filter.allow(call, {argument_lacks(2, PROT_EXEC)});
  }
  if (needs.set_mac_address) filter.allow(SCMP_SYS(ioctl), {argument_is(1, SIOCSIFHWADDR)});
  return filter.enforce();
}

}  // namespace vmnet
