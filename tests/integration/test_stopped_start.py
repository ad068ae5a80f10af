"""SIGTERM to a helper that waits while it starts: it ends at once, with status 0, nothing left."""

import signal
import time

import pytest

from support import snapshot
from support.helper import Helper, helper_processes, wait_for_no_helper
from support.installation import ROOT, SETUID_COPY
from support.snapshot import wait_until

IN_TIME = 3  # seconds: far from the ten that a start waits for the lock
IDENTITY = "--interface-id=11111111-2222-4333-8444-000000000001"


def assert_stops(helper, number):
    begin = time.monotonic()
    helper.send(number)
    assert helper.wait(20) == 0, helper.stderr()
    assert time.monotonic() - begin < IN_TIME
    assert not helper_processes()
    assert helper.rest_of_stdout() == "" and not helper.log_lines("ERROR", "WARN")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("way", [ROOT, SETUID_COPY], ids=lambda way: way.name)
def test_while_it_waits_for_the_lock(host, held_lock, start, alice_folder, way, number):
    before = snapshot.host_state(host)
    helper = start(way=way, path=alice_folder / "vm.sock", ready=False)
    assert wait_until(lambda: len(helper_processes()) == 2)
    time.sleep(0.2)
    assert_stops(helper, number)
    assert not list(alice_folder.iterdir())
    assert not snapshot.difference(before, snapshot.host_state(host))


def test_killed_while_it_waits_for_the_lock(host, held_lock, start):
    """The keeper gives up as well."""
    helper = start(ready=False)
    assert wait_until(lambda: len(helper_processes()) == 2)
    helper.kill()
    assert wait_for_no_helper(IN_TIME)


def test_while_it_waits_for_its_interface_id(host, start):
    """It is another VM's: that is waited for, for a while."""
    first = start(IDENTITY)
    helper = start(IDENTITY, ready=False)
    assert wait_until(lambda: len(helper_processes()) == 4)
    time.sleep(0.2)
    begin = time.monotonic()
    helper.send(signal.SIGTERM)
    assert helper.wait(20) == 0 and time.monotonic() - begin < IN_TIME
    assert first.process.poll() is None


def test_gets_the_lock_when_it_is_free(host, held_lock):
    helper = Helper(host)
    time.sleep(0.2)
    held_lock.stdin.close()
    with helper:
        helper.stop()
