"""Failing system calls during a start: a clean error or a helper that works, the host as before.

strace fails a call in each process, as a machine short of something does. A process behind its
seccomp filter dies of that, so what fails later, and each call alone, is for test_kills.py.
"""

import os
import signal
import subprocess

import pytest

from support import snapshot
from support.guest import Guest
from support.helper import cable, helper_processes, wait_for_no_helper
from support.installation import ROOT
from support.lab import TIMEOUT


def start_with_fault(host, calls, error, which):
    """Runs one start under strace with the `which`-th of these calls failing; the status, or None
    where it came up and was stopped."""
    helper_end, vm_end = cable(host)
    fd = helper_end.fileno()
    process = subprocess.Popen(
        [*host.prefix(), "strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e",
         f"inject={calls}:error={error}:when={which}", str(ROOT.helper()), "--fd", str(fd)],
        pass_fds=(fd,), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    helper_end.close()
    line = process.stdout.readline()
    if line:
        for pid in helper_processes()[:1]:
            os.kill(pid, signal.SIGTERM)
    _, err = process.communicate(timeout=TIMEOUT)
    vm_end.close()
    return line, process.returncode, err.decode()


def check(host, calls, error, which):
    before = snapshot.host_state(host)
    line, status, err = start_with_fault(host, calls, error, which)
    assert line or status == 1, f"{calls} {error} {which}: status {status}\n{err}"
    if not line:
        assert "ERROR [" in err, f"{calls} {error} {which}: no reason given\n{err}"
    assert wait_for_no_helper(), f"{calls} {error} {which}: a process is left"
    left = snapshot.difference(before, snapshot.host_state(host))
    if left:  # what only the next life can remove
        helper_end, vm_end = cable(host)
        fd = helper_end.fileno()
        process = subprocess.Popen([*host.prefix(), str(ROOT.helper()), "--fd", str(fd)],
                                   pass_fds=(fd,), stdout=subprocess.PIPE)
        helper_end.close()
        assert process.stdout.readline()
        process.terminate()
        process.communicate(timeout=TIMEOUT)
        vm_end.close()
        left = snapshot.difference(before, snapshot.host_state(host))
    assert not left, f"{calls} {error} {which}:\n{left}"


@pytest.mark.parametrize("calls", ["sendto", "ioctl", "socket", "clone,clone3", "openat"])
def test_first_calls_fail(host, calls):
    for which in (1, 2, 3, 5, 8):
        check(host, calls, "ENOMEM", which)


def test_works_under_strace(host):
    """The harness itself: without a fault the helper comes up and serves."""
    helper_end, vm_end = cable(host)
    fd = helper_end.fileno()
    process = subprocess.Popen([*host.prefix(), "strace", "-f", "-qq", "-o", "/dev/null", "-e",
                                "trace=ioctl", str(ROOT.helper()), "--fd", str(fd)],
                               pass_fds=(fd,), stdout=subprocess.PIPE)
    helper_end.close()
    assert process.stdout.readline().startswith(b"{")
    Guest(vm_end, "02:00:00:00:00:01").dhcp()
    vm_end.close()
    assert process.wait(TIMEOUT) == 0
    process.stdout.close()
