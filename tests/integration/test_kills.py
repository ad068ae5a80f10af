"""SIGKILL, or a failing call, at every moment of a helper's life: the host as before.

A life is a start with a socket of a name, and SIGTERM once the line is there: some 600 system
calls of worker and keeper. Each is struck once by the slow tests; by the others a sample, drawn
with a seed that is part of the report (VMNET_SEED=N draws another).
"""

import errno
import os
import random
import re
import signal

import pytest

from support import snapshot
from support.helper import Helper, wait_for_no_helper
from support.lab import INTERNET, UPLINK
from support.struck_life import AT_CALL, PROCESSES, Life
from support.uplink_router import advertise, replace_default_route

SAMPLE = 12
SAMPLE_OF_ERRORS = 4  # of each
ERRORS = ("EINTR", "EAGAIN", "ENOBUFS", "ENOMEM", "EMFILE", "EPERM")
LOG_LINE = re.compile(r"(DEBUG|INFO |WARN |ERROR) \[\w+\] \S")
SEED = int(os.environ.get("VMNET_SEED", "1"))

pytestmark = pytest.mark.skipif(not AT_CALL.exists(), reason="strikes at calls on x86-64 only")


@pytest.fixture
def learned_route(lab):
    """The host's IPv6 default route is of an advertisement: the kernel would forget it."""
    replace_default_route(lab)
    yield
    advertise(lab, 0)
    lab.host.ip(f"route replace default via {INTERNET.router6} dev {UPLINK}")


@pytest.fixture
def strike(host, alice_folder, learned_route):
    """Calls `check(life)` for each call of a process, or for a sample of them, and sees to it that
    nothing is left: at once where the keeper could work, else after the next helper's life."""
    path = alice_folder / "vm.sock"
    before = snapshot.host_state(host)

    def traces():
        left = snapshot.difference(before, snapshot.host_state(host))
        return left + "".join(str(file) for file in alice_folder.iterdir())

    def check_all(process, action, check, sample, keeper_works=False):
        count = Life(host, path, process, 0, action).counts[process]
        numbers = range(1, count + 1)
        if sample:
            numbers = random.Random(f"{SEED} {process} {action}").sample(numbers, sample)
        for number in numbers:
            life = Life(host, path, process, number, action)
            if not life.struck:  # the number of calls varies a little
                continue
            check(life)
            assert wait_for_no_helper(), f"{life.name}: a process is left"
            left = traces()
            if left and not (keeper_works and life.counts[1] > 0):
                with Helper(host, path=path) as after:
                    after.stop()
                left = traces()
            assert not left, f"{life.name} (seed {SEED}):\n{left}\n{life.err}"

    return check_all


def check_kill_of_the_keeper(life):
    """The worker tells, unless its own end was under way."""
    assert life.status in (0, 1), f"{life.name}: status {life.status}\n{life.err}"
    assert "keeper" in life.err, f"{life.name}: not told\n{life.err}"


def check_kill(life):
    assert life.status in (0, 128 + signal.SIGKILL), f"{life.name}: status {life.status}"


KILLS = {"worker": (0, "kill", check_kill, True), "keeper": (1, "kill", check_kill_of_the_keeper),
         "all at a call of the worker": (0, "kill-all", check_kill),
         "all at a call of the keeper": (1, "kill-all", check_kill)}


def strike_kills(strike, who, sample):
    process, action, check, *keeper_works = KILLS[who]
    strike(process, action, check, sample, keeper_works=bool(keeper_works))


@pytest.mark.parametrize("who", KILLS)
def test_kill_at_some_calls(strike, who):
    strike_kills(strike, who, SAMPLE)


@pytest.mark.slow
@pytest.mark.parametrize("who", KILLS)
def test_kill_at_every_call(strike, who):
    strike_kills(strike, who, None)


def check_error(life):
    """It works, or tells why not in one line."""
    *log, _ = life.err.splitlines()  # the last one is the tracer's
    assert all(LOG_LINE.match(line) for line in log), f"{life.name}:\n{life.err}"
    assert life.status in (0, 1), f"{life.name}: status {life.status}\n{life.err}"
    errors = [line for line in log if line.startswith("ERROR")]
    if life.status == 1:
        assert len(errors) == 1, f"{life.name}: not told in one line\n{life.err}"
    else:
        assert life.line, f"{life.name}: neither a line nor an error\n{life.err}"


def check_transient_error(life):
    check_error(life)
    assert "settings are not" not in life.err, f"{life.name}: not tried again\n{life.err}"


def strike_errors(strike, process, error, sample):
    check = check_error if error == "EPERM" else check_transient_error
    strike(PROCESSES.index(process), getattr(errno, error), check, sample)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("process", PROCESSES)
def test_some_calls_fail(strike, process, error):
    strike_errors(strike, process, error, SAMPLE_OF_ERRORS)


@pytest.mark.slow
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("process", PROCESSES)
def test_every_call_fails(strike, process, error):
    strike_errors(strike, process, error, None)
