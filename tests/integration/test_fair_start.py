"""However many helpers one user starts and kills, another user's start."""

import os
import signal
import subprocess
import threading
from dataclasses import replace

import pytest

from support.helper import Helper, HelperFailed, cable, wait_for_no_helper
from support.installation import CAPABLE_COPY, ROOT, SETUID_COPY, SUDO
from support.rules_lab import RULES_TOOL

MALLORY = replace(SETUID_COPY, name="mallory", user="mallory", runs_as="mallory")
LOOPS = 24
STARTS = 8


class Loops:
    """A user's loops of a start and a SIGKILL as soon as the helper works, as fast as they go."""

    def __init__(self, host):
        self.over = threading.Event()
        self.started = 0
        self.threads = [threading.Thread(target=self.loop, args=(host,)) for _ in range(LOOPS)]
        for thread in self.threads:
            thread.start()

    def loop(self, host):
        while not self.over.is_set():
            helper_end, vm_end = cable(host)
            process = subprocess.Popen(
                [*host.prefix("mallory"), str(SETUID_COPY.helper()), "--fd", str(helper_end.fileno())],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                pass_fds=(helper_end.fileno(),))
            self.started += 1
            process.stdout.readline()
            process.stdout.close()
            process.send_signal(signal.SIGKILL)
            process.wait()
            helper_end.close()
            vm_end.close()

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


@pytest.mark.parametrize("way", [SETUID_COPY, SUDO, CAPABLE_COPY, ROOT], ids=lambda way: way.name)
def test_anothers_loops_let_every_start_through(host, way):
    loops = Loops(host)
    failed = []
    for _ in range(STARTS):
        helper = Helper(host, way=way)
        try:
            helper.ready(30)
            helper.stop()
        except HelperFailed as error:
            failed.append(str(error).splitlines()[-1])
        finally:
            helper.__exit__()
    loops.end()
    assert wait_for_no_helper(60)
    assert loops.started > LOOPS
    assert not failed, failed
    # What the last of them left the next start removes.
    Helper(host).ready().stop()


def holder(host, user, milliseconds=10000):
    return host.start(RULES_TOOL, "lock", str(milliseconds), str(user), stdin=subprocess.PIPE,
                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_of_one_user_one_is_after_the_lock(host):
    """The second waits for the user's turn, in which the first waits for the lock."""
    first = holder(host, 0)
    assert first.stdout.readline().startswith("locked")
    waiting = [holder(host, 1000, 4000), holder(host, 1000, 4000)]
    while len(turns := [line for line in host.run("nft", "list", "tables").stdout.splitlines()
                        if "turn" in line]) < 2:
        pass
    assert sorted(turns) == ["table inet vmnet-turn-0", "table inet vmnet-turn-1000"]
    second = holder(host, 1001)
    everybody = (first, second, *waiting)
    for process in everybody:
        process.stdin.close()
    for process in everybody[1:]:
        assert process.stdout.readline().startswith("locked"), process.stderr.read()
    for process in everybody:
        assert process.wait(10) == 0
    assert "vmnet" not in host.run("nft", "list", "tables").stdout


def test_a_turn_that_does_not_end_is_told(host):
    first = holder(host, 1000)
    assert first.stdout.readline().startswith("locked")
    refused = holder(host, 1000, 100)
    assert refused.wait(10) == 1
    assert "vmnet-turn-1000" in refused.stderr.read()
    first.kill()
    first.wait()
    again = holder(host, 1000)
    again.stdin.close()
    assert again.stdout.readline().startswith("locked")
    assert again.wait(10) == 0


def test_nobody_has_a_turn_without_privilege(host):
    """So nobody can take another's."""
    made = host.run("nft", "add", "table", "inet", "vmnet-turn-47001", user="mallory", check=False)
    assert made.returncode != 0
    assert os.geteuid() == 0
