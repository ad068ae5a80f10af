"""Few descriptors, little memory: it works or says in one line why not, and leaves nothing."""

import pathlib
import signal
import subprocess

import pytest

from support import snapshot
from support.guest import Guest
from support.helper import Helper, helper_processes, wait_for_no_helper
from support.installation import ROOT
from support.lab import INTERNET, TIMEOUT, WORK, run

MEBIBYTE = 1 << 20


class Limited:
    """The host, with words before the helper that limit it."""

    def __init__(self, host, *words):
        self.descriptor = host.descriptor
        self.words = [*host.prefix(), *map(str, words)]

    def prefix(self, user=None):
        return self.words


def serves(helper):
    guest = Guest(helper.vm, helper.json["vmnet_mac_address"])
    guest.dhcp()
    guest.ping(INTERNET.web)


def outcome(namespace):
    """True: it came up and served. False: one line says why not."""
    helper = Helper(namespace)
    try:
        line = helper.process.stdout.readline()
        if line:
            helper.send(signal.SIGTERM)
        status = helper.process.wait(TIMEOUT)
        errors = helper.log_lines("ERROR")
        log = helper.stderr()
    finally:
        helper.__exit__()
    assert wait_for_no_helper()
    if status != 127:  # the loader's, before there is a helper
        assert status == (0 if line else 1) and len(errors) == (0 if line else 1), (status, log)
    return bool(line)


def test_sixteen_descriptors(host):
    """A limit that it may raise is no limit."""
    before = snapshot.host_state(host)
    with Helper(Limited(host, "prlimit", "--nofile=16:")) as helper:
        serves(helper)
        helper.stop()
        assert not helper.log_lines("WARN", "ERROR")
    assert not snapshot.difference(before, snapshot.host_state(host))


@pytest.mark.parametrize("limit", [4, 5, 8, 12, 16, 63, 64])
def test_no_more_descriptors(host, limit):
    """Where CAP_SYS_RESOURCE is missing nobody raises it."""
    before = snapshot.host_state(host)
    came_up = outcome(Limited(host, "setpriv", "--bounding-set=-sys_resource", "prlimit",
                              f"--nofile={limit}"))
    assert came_up == (limit >= 64)
    assert not snapshot.difference(before, snapshot.host_state(host))


def test_little_address_space(host):
    before = snapshot.host_state(host)
    came_up = [outcome(Limited(host, "prlimit", f"--as={size * MEBIBYTE}"))
               for size in (14, 16, 20, 24, 28, 32, 48, 64, 256)]
    assert came_up[-1] and not came_up[0]
    assert not snapshot.difference(before, snapshot.host_state(host))


@pytest.fixture
def memory_group():
    """A memory cgroup of its own below this process's, where the machine has version 1 of it."""
    path = next((line.rstrip("\n").split(":", 2)[2] for line in open("/proc/self/cgroup")
                 if line.split(":")[1] == "memory"), None)
    if path is None:
        pytest.skip("no memory controller of cgroups, version 1")
    root = WORK / "cgroup"
    root.mkdir()
    run("mount", "-t", "cgroup", "-o", "memory", "cgroup", root)
    group = root / path.lstrip("/") / "vmnet-test"
    group.mkdir()
    yield group
    group.rmdir()
    run("umount", root)
    root.rmdir()


def in_group(host, group):
    return Limited(host, "sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh")


def test_memory_cgroup_of_32_mebibytes(host, memory_group):
    (memory_group / "memory.limit_in_bytes").write_text(str(32 * MEBIBYTE))
    before = snapshot.host_state(host)
    with Helper(in_group(host, memory_group)) as helper:
        serves(helper)
        helper.stop()
    assert not snapshot.difference(before, snapshot.host_state(host))


def test_killed_for_want_of_memory(host, memory_group):
    """Both processes: the next helper's life leaves nothing."""
    before = snapshot.host_state(host)
    with Helper(in_group(host, memory_group)) as helper:
        serves(helper)
        (memory_group / "memory.limit_in_bytes").write_text(str(24 * MEBIBYTE))
        for pid in (helper.worker(), helper.keeper()):  # rather than who takes it all
            pathlib.Path(f"/proc/{pid}/oom_score_adj").write_text("1000")
        subprocess.run([*in_group(host, memory_group).prefix(), "sh", "-c",
                        "head -c 100M /dev/zero | tail"], check=False, stdout=subprocess.DEVNULL,
                       stdin=subprocess.DEVNULL, timeout=TIMEOUT)
        assert helper.process.wait(TIMEOUT) == -signal.SIGKILL
        assert wait_for_no_helper()
    with Helper(host) as after:
        after.stop()
    assert not helper_processes()
    assert not snapshot.difference(before, snapshot.host_state(host))
