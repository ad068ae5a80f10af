"""What the user's process hands down to a helper: none of it may end the keeper, keep it asleep, have it wait,
or end the helper without a line."""

import os
import pathlib
import signal

import pytest

from support import snapshot
from support.guest import Guest
from support.helper import Helper, wait_for_no_helper
from support.installation import CAPABLE_COPY, ROOT, SETUID_COPY, SUDO
from support.lab import run

WAYS = pytest.mark.parametrize("way", [ROOT, SUDO, SETUID_COPY, CAPABLE_COPY], ids=lambda way: way.name)
SLACK = 50_000  # nanoseconds, what the kernel gives a process of its own

# Run between the user and the helper: `prctl OPTION VALUE COMMAND...`.
PRCTL = ("import ctypes, os, sys; assert ctypes.CDLL(None).prctl(int(sys.argv[1]), int(sys.argv[2]), 0, 0, 0)"
         " == 0; os.execvp(sys.argv[3], sys.argv[3:])")
PR_SET_TIMERSLACK = 29


class After:
    """The host, with words before the helper that change what it inherits."""

    def __init__(self, host, *words):
        self.descriptor = host.descriptor
        self.words = [*host.prefix(), *map(str, words)]

    def prefix(self, user=None):
        return self.words


def prctl(option, value):
    return ["/usr/bin/python3", "-c", PRCTL, option, value]


def limits(pid):
    """Name -> (soft, hard), as the kernel tells them."""
    lines = pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    return {line[:26].strip(): tuple(line[26:].split()[:2]) for line in lines}


def refusal(host, *words):
    """The one line of a helper that does not come up."""
    helper = Helper(After(host, *words))
    try:
        assert helper.process.wait(10) == 1
        [error] = helper.log_lines("ERROR")
    finally:
        helper.__exit__()
    return error


def serves(helper):
    guest = Guest(helper.ready().vm, helper.json["vmnet_mac_address"])
    guest.dhcp()
    guest.ping(helper.json["vmnet_start_address"])
    helper.stop()
    assert wait_for_no_helper()


@WAYS
@pytest.mark.parametrize("words, name", [
    (["prlimit", "--cpu=60:"], "Max cpu time"), (["prlimit", "--data=200000000:"], "Max data size"),
    (["prlimit", "--as=2000000000:"], "Max address space"), (["prlimit", "--stack=900000:"], "Max stack size"),
    (["prlimit", "--fsize=1000:"], "Max file size")], ids=lambda value: value if isinstance(value, str) else "")
def test_limits_are_not_the_keepers(host, way, words, name):
    with Helper(After(host, *words), way=way) as helper:
        keeper = helper.ready().keeper()
        assert limits(keeper)[name][0] == limits(keeper)[name][1], "as much as the hard limit allows"
        serves(helper)


def test_processor_time_does_not_end_the_keeper(host):
    """Seen before: a SIGKILL after as many seconds of events, and the host forwards without a guard."""
    with Helper(After(host, "prlimit", "--cpu=60:")) as helper:
        assert limits(helper.ready().keeper())["Max cpu time"] == ("unlimited", "unlimited")
        serves(helper)


@pytest.mark.parametrize("words, name", [
    (["prlimit", "--cpu=60:60"], "processor time is 60"), (["prlimit", "--data=40000000:40000000"], "data is"),
    (["prlimit", "--as=60000000:60000000"], "address space is")], ids=["cpu", "data", "as"])
def test_a_limit_that_cannot_be_raised_is_refused(host, words, name):
    before = snapshot.host_state(host)
    error = refusal(host, "setpriv", "--bounding-set=-sys_resource", *words)
    assert f"the limit of {name}" in error and "ulimit" in error
    assert wait_for_no_helper()
    assert not snapshot.difference(before, snapshot.host_state(host))


@WAYS
def test_timers_of_the_keeper_are_punctual(host, way):
    with Helper(After(host, *prctl(PR_SET_TIMERSLACK, 3_600_000_000_000)), way=way) as helper:
        keeper = helper.ready().keeper()
        assert int(pathlib.Path(f"/proc/{keeper}/timerslack_ns").read_text()) == SLACK
        serves(helper)


@WAYS
def test_the_keeper_is_no_first_victim(host, way):
    """Of the OOM killer."""
    with Helper(After(host, "choom", "-n", 1000, "--"), way=way) as helper:
        keeper = helper.ready().keeper()
        assert int(pathlib.Path(f"/proc/{keeper}/oom_score_adj").read_text()) <= 0
        serves(helper)


@WAYS
def test_scheduling_of_the_keeper_is_ordinary(host, way):
    words = ["chrt", "--idle", "0", "taskset", "--cpu-list", "0", "ionice", "--class", "idle"]
    with Helper(After(host, *words), way=way) as helper:
        keeper = helper.ready().keeper()
        assert os.sched_getaffinity(keeper) == os.sched_getaffinity(1)
        assert run("ionice", "--pid", keeper).stdout.startswith("none: prio 0")
        if way is not CAPABLE_COPY:  # which has no CAP_SYS_NICE
            assert os.sched_getscheduler(keeper) == os.SCHED_OTHER
        # What carries the user's frames stays as the user wanted it.
        assert os.sched_getaffinity(helper.worker()) == {0}
        serves(helper)


@pytest.mark.parametrize("way", [ROOT, SETUID_COPY, CAPABLE_COPY], ids=lambda way: way.name)  # sudo itself crashes
@pytest.mark.parametrize("size", [20, 24, 28, 32, 40, 48, 56, 64, 128])
def test_small_stack(host, way, size):
    """Works where the limit may be raised; the program or its loader says so, and no signal ends it, where not."""
    with Helper(After(host, "prlimit", f"--stack={size << 10}:"), way=way) as helper:
        serves(helper)


def test_small_stack_that_cannot_be_raised(host):
    words = ["setpriv", "--bounding-set=-sys_resource", "prlimit", "--stack=65536:65536"]
    error = refusal(host, *words)
    assert "cannot have enough stack" in error and "ulimit -s" in error


def test_the_worker_still_takes_signals(host):
    with Helper(After(host, *prctl(PR_SET_TIMERSLACK, 3_600_000_000_000))) as helper:
        helper.ready().send(signal.SIGTERM)
        assert helper.process.wait(20) == 0
    assert wait_for_no_helper()
