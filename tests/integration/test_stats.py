"""--stats-interval: counters a second, as JSON inside a log line."""

import json
import re
from datetime import datetime

from support.checks import datagram
from support.lab import INTERNET
from support.snapshot import wait_until

LINE = re.compile(r"INFO  \[stats\] (\{.*\})$")


def lines_of(helper):
    return [json.loads(found[1]) for found in map(LINE.match, helper.stderr().splitlines())
            if found]


def test_lines_and_keys(plug):
    guest = plug("--stats-interval=1")
    guest.dhcp()
    guest.ping(INTERNET.web)
    assert wait_until(lambda: len(lines_of(guest.helper)) >= 2, 5)
    for line in lines_of(guest.helper):
        assert set(line) == {"time", "host", "vm"}
        for side in ("host", "vm"):
            assert set(line[side]) == {"packets", "bytes", "drops", "fast", "slow"}
            assert all(type(value) is int for value in line[side].values())
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}([+-]\d\d:\d\d|Z)", line["time"])
        datetime.fromisoformat(line["time"])


def latest(helper):
    """A line that was written after now."""
    count = len(lines_of(helper))
    assert wait_until(lambda: len(lines_of(helper)) > count + 1, 5)
    return lines_of(helper)[-1]


def test_counters_count(plug):
    guest = plug("--stats-interval=1")
    guest.dhcp()
    before = latest(guest.helper)
    for _ in range(20):
        guest.ping(guest.gateway, size=1000)
    after = latest(guest.helper)
    for side in ("host", "vm"):
        packets = after[side]["packets"] - before[side]["packets"]
        assert 20 <= packets <= 40, side
        assert after[side]["bytes"] - before[side]["bytes"] >= 20 * 1042
        calls = sum(after[side][key] - before[side][key] for key in ("fast", "slow"))
        assert 1 <= calls <= 3 * packets  # reads, writes and those that found nothing


def test_bad_frames_are_drops(plug):
    guest = plug("--stats-interval=1")
    guest.dhcp()
    before = latest(guest.helper)["vm"]
    for size in (1, 13, 1515, 9000):
        guest.send(b"\xff" * size)
    after = latest(guest.helper)["vm"]
    assert after["drops"] - before["drops"] == 4
    assert after["packets"] == before["packets"]


def test_frames_for_a_vm_that_does_not_read_are_drops(plug):
    stalled, other = plug("--stats-interval=1"), plug()
    stalled.dhcp()
    other.dhcp()
    for number in range(6000):
        datagram(other, stalled.ip, stalled.mac, bytes(1400))
    assert latest(stalled.helper)["host"]["drops"] > 0


def test_no_lines_without_the_option(plug):
    guest = plug("--verbose")
    guest.dhcp()
    guest.helper.stop()
    assert lines_of(guest.helper) == []
