"""Clocks that jump. Timers are of the monotonic clock alone: it is far ahead in a time namespace, and
jumps, to a process that was stopped meanwhile. (A wall clock cannot be one's own: only the time in a
line of --stats-interval is read of it.)"""

import os
import pathlib
import signal
import time

import pytest

from support.helper import Helper, helper_processes
from support.guest import Guest
from support.lab import INTERNET

DECADES = 50 * 365 * 86400


def guest_of(helper):
    return Guest(helper.vm, helper.json["vmnet_mac_address"])


@pytest.fixture
def later(host):
    """The host, with a monotonic clock that is decades ahead."""

    class Later:
        descriptor = host.descriptor

        @staticmethod
        def prefix(user=None):
            return [*host.prefix(), "unshare", "--time", "--monotonic", str(DECADES), "--boottime",
                    str(DECADES)]

    if not pathlib.Path("/proc/self/ns/time").exists():
        pytest.skip("no time namespaces here")
    return Later


def test_a_clock_decades_ahead(later):
    with Helper(later, "--stats-interval=1") as helper:
        assert os.readlink(f"/proc/{helper.worker()}/ns/time") != os.readlink("/proc/self/ns/time")
        guest = guest_of(helper)
        guest.dhcp()
        guest.ping(INTERNET.web)
        guest.ping6(INTERNET.web6, guest.autoconfigure().src)
        helper.stop()
        assert not helper.log_lines("WARN", "ERROR")


def test_a_jump(plug):
    """As a host's that was suspended: the lease is the same, and what was due is done once."""
    guest = plug("--stats-interval=1")
    address = guest.dhcp().address
    guest.ping(INTERNET.web)
    both = helper_processes()
    for pid in both:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(5)
    before = len(guest.helper.log_lines("INFO"))
    for pid in both:
        os.kill(pid, signal.SIGCONT)
    guest.drain()
    guest.ping(INTERNET.web)
    guest.ping6(INTERNET.web6, guest.autoconfigure().src)
    assert len(guest.helper.log_lines("INFO")) - before < 4
    assert guest.dhcp().address == address
    guest.helper.stop()
    assert not guest.helper.log_lines("WARN", "ERROR")
