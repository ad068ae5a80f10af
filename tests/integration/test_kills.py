"""SIGKILL at every moment of a helper's life: the host as before.

A life is a start with a socket of a name, and SIGTERM once the line is there: some 600 system
calls of worker and keeper. Each is struck once by the slow tests; by the others a sample, drawn
with a seed that is part of the report (VMNET_SEED=N draws another).
"""

import os
import random
import re
import signal
import subprocess

import pytest

from support import snapshot
from support.helper import Helper, wait_for_no_helper
from support.installation import BUILD, ROOT
from support.lab import INTERNET, TIMEOUT, UPLINK
from support.uplink_router import advertise, replace_default_route

AT_CALL = BUILD / "src" / "at_call"
PROCESSES = ("worker", "keeper")
SAMPLE = 12
SEED = int(os.environ.get("VMNET_SEED", "1"))

pytestmark = pytest.mark.skipif(not AT_CALL.exists(), reason="strikes at calls on x86-64 only")


class Life:
    """One life with the call `number` of `process` struck by `action`."""

    def __init__(self, host, path, process, number, action):
        self.name = f"{action} at call {number} of the {PROCESSES[process]}"
        command = [*host.prefix(), AT_CALL, process, number, action, ROOT.helper(), "--socket", path]
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.line = self.process.stdout.readline()
        if self.line:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.err = self.process.communicate(timeout=TIMEOUT)[1].decode()
        except subprocess.TimeoutExpired:
            self.process.kill()
            pytest.fail(f"{self.name}: it hangs")
        self.status = self.process.returncode
        told = re.search(r"^at_call: (\d+|-) (\d+) (\d+)$", self.err, re.MULTILINE)
        self.call, self.counts = told[1], (int(told[2]), int(told[3]))
        self.name += f" (system call {self.call})"

    @property
    def struck(self):
        return self.call != "-"


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
