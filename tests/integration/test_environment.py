"""What the caller hands down: descriptors, environment, signals, limits, folder, arguments. None of
it may change what the helper does (docs/security.md)."""

import os
import signal
import subprocess
import time

import pytest

from support.guest import Guest
from support.helper import cable, helper_processes, run_to_end, status
from support.installation import ROOT, SETUID_COPY, WAYS
from support.snapshot import wait_until

HOSTILE = {"LD_LIBRARY_PATH": "/tmp", "PATH": "/tmp:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "tlh_KL.UTF-8", "TZ": ":/etc/shadow",
           "MALLOC_TRACE": "/tmp/trace", "GCONV_PATH": "/tmp", "TMPDIR": "/nowhere",
           "HOME": "/nowhere", "IFS": "/", "BASH_ENV": "/tmp/evil", "GLIBC_TUNABLES": "x=y"}


@pytest.fixture
def shell(host):
    """Starts a helper by a shell command in which $helper and $fd stand for it and its socket."""
    processes = []

    def launch(command, program=ROOT.helper(), user=None):
        helper_end, vm_end = cable(host)
        fd = helper_end.fileno()
        process = subprocess.Popen([*host.prefix(user), "bash", "-c", command], pass_fds=(fd,),
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   env={**os.environ, "helper": str(program), "fd": str(fd)})
        helper_end.close()
        processes.append((process, vm_end))
        return process, Guest(vm_end, "02:00:00:00:00:01")

    yield launch
    for process, vm_end in processes:
        if process.poll() is None:
            process.terminate()
        process.wait(10)
        process.stdout.close()
        vm_end.close()


@pytest.mark.parametrize("way", [ROOT, SETUID_COPY], ids=lambda way: way.name)
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_descriptors(shell, closed, way):
    """0 to 2 are open in every process, so that no socket of ours lands there; strays are gone. In
    a setuid program the C library has been there first."""
    process, guest = shell(f'exec "$helper" --fd "$fd" {closed} 9< /etc/hosts', way.helper(),
                           way.user)
    assert wait_until(lambda: len(helper_processes()) == 2)
    wait_until(lambda: status(process.pid)["Seccomp"] == "2")
    for pid in helper_processes():
        held = {fd: os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        assert {"0", "1", "2"} <= set(held)
        assert "/etc/hosts" not in held.values()
        for fd in closed.replace("<&-", "0").replace("2>&-", "2").replace(">&-", "1").split():
            assert held[fd] in ("/dev/null", "/dev/full")
    guest.dhcp()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_hostile_environment(plug, way):
    with open("/tmp/nft", "w") as stub:
        stub.write("#!/bin/sh\ntouch /tmp/stub-was-run\n")
    os.chmod("/tmp/nft", 0o755)
    stubs = ("nft", "modprobe", "sysctl", "bridge")
    for name in stubs[1:]:
        os.link("/tmp/nft", f"/tmp/{name}")
    try:
        guest = plug(way=way, environment=HOSTILE)
        guest.dhcp()
        guest.helper.stop()
    finally:
        for name in stubs:
            os.unlink(f"/tmp/{name}")
    assert not os.path.exists("/tmp/stub-was-run")


@pytest.mark.parametrize("prepare", [
    "umask 0", "umask 0777", "trap '' TERM", "trap '' CHLD INT HUP PIPE", "cd /proc/self",
    "mkdir /tmp/gone && cd /tmp/gone && rmdir /tmp/gone", "ulimit -c unlimited", "ulimit -s 256",
    "ulimit -f 0"])
def test_inherited_state_does_not_matter(shell, prepare):
    process, guest = shell(f'{prepare}; exec "$helper" --fd "$fd"')
    assert process.stdout.readline().startswith(b"{")
    guest.dhcp()
    guest.ping(guest.gateway)
    begin = time.monotonic()
    process.terminate()
    assert process.wait(10) == 0
    assert time.monotonic() - begin < 5


def test_blocked_sigterm(host, start):
    """A caller that blocks SIGTERM and SIGINT hands the mask down: both still end the helper."""
    blocked = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        first, second = start(), start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
    first.stop(signal.SIGTERM)
    second.stop(signal.SIGINT)


@pytest.mark.parametrize("limit", [4, 7, 10, 16])
def test_few_descriptors(shell, limit):
    """A clean error or a helper that works, never a half-made network."""
    process, guest = shell(f'exec 5<&"$fd"; ulimit -n {limit}; exec "$helper" --fd 5')
    if process.stdout.readline():
        guest.dhcp()
        process.terminate()
        assert process.wait(10) == 0
    else:
        assert process.wait(10) == 1


@pytest.mark.parametrize("way", [ROOT, SETUID_COPY], ids=lambda way: way.name)
def test_no_argument_at_all(host, way):
    """execve with an empty argv (the pwnkit case); newer kernels add an empty argument."""
    code = (f"import ctypes; libc = ctypes.CDLL(None); "
            f"libc.execve(b'{way.helper()}', (ctypes.c_char_p * 1)(None), None)")
    done = host.run("/usr/bin/python3", "-c", code, user=way.user, check=False)
    assert done.returncode == 1 and done.stdout == ""


def test_no_core_dumps(plug):
    guest = plug(way=SETUID_COPY)
    for pid in (guest.helper.worker(), guest.helper.keeper()):
        with open(f"/proc/{pid}/limits") as limits:
            line = next(line for line in limits if line.startswith("Max core file size"))
        assert line.split()[4:6] == ["0", "0"]


def test_no_program_is_run(host):
    """strace sees no execve after the helper's own."""
    helper_end, vm_end = cable(host)
    fd = helper_end.fileno()
    trace = "/tmp/trace"
    process = subprocess.Popen(
        [*host.prefix(), "strace", "-f", "-e", "trace=execve,execveat", "-o", trace,
         str(ROOT.helper()), "--fd", str(fd)], pass_fds=(fd,), stdout=subprocess.PIPE)
    helper_end.close()
    assert process.stdout.readline().startswith(b"{")
    vm_end.close()  # the VM has gone: the helper ends by itself
    assert process.wait(20) == 0
    process.stdout.close()
    with open(trace) as lines:
        calls = [line for line in lines if "exec" in line]
    os.unlink(trace)
    assert len(calls) == 1, calls


def test_memory_limit(shell):
    """Too little memory: a clean error or a helper that works."""
    process, guest = shell('ulimit -v 20000; exec "$helper" --fd "$fd"')
    if process.stdout.readline():
        guest.dhcp()
        process.terminate()
        process.wait(10)
    else:
        assert process.wait(10) != 0


def test_refused_start_changes_nothing_for_the_running(plug, host):
    guest = plug()
    guest.dhcp()
    assert run_to_end(host, "--operation-mode=host", "--start-address=192.168.64.7",
                      "--end-address=192.168.64.9", "--subnet-mask=255.255.255.0")[0] == 1
    guest.ping(guest.gateway)
