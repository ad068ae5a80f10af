"""The host's settings at the end: put back, or, where that fails, remembered and told."""

import os

import pytest

from support import snapshot
from support.guest import Guest
from support.helper import Helper
from support.lab import INTERNET, LAN_HOST, UPLINK, reaches, run
from support.snapshot import wait_until

BRIDGE = "vmnet-shared0"
IPV4 = f"/proc/sys/net/ipv4/conf/{UPLINK}/forwarding"
IPV6 = f"/proc/sys/net/ipv6/conf/{UPLINK}/force_forwarding"
EACH = pytest.mark.parametrize("path", [IPV4, IPV6], ids=["ipv4", "ipv6"])


def read_only(path):
    """Makes one setting what all are in a container with a read-only /proc/sys."""
    return f"mount --bind {path} {path} && mount -o remount,ro,bind {path}"


def make_read_only(helper, path):
    # Programs of `ip netns exec` have mounts of their own, so nothing has to be undone.
    run("nsenter", "-t", helper.keeper(), "-m", "-n", "sh", "-c", read_only(path))


@pytest.fixture
def read_only_host(host):
    """The host as helpers see it that cannot change the uplink's IPv4 forwarding."""

    class ReadOnlyHost:
        descriptor = host.descriptor

        @staticmethod
        def prefix(user=None):
            return [*host.prefix(user), "sh", "-c", f'{read_only(IPV4)} && exec "$@"', "sh"]

    return ReadOnlyHost


def value(host, path):
    return host.run("cat", path).stdout.strip()


@EACH
def test_what_cannot_be_put_back_is_left_to_the_next_helper(host, path):
    """The bridge stays and remembers just that setting."""
    before = snapshot.host_state(host)
    other = IPV6 if path == IPV4 else IPV4
    with Helper(host) as helper:
        make_read_only(helper, path)
        helper.stop()
        (line,) = helper.log_lines("WARN", "ERROR")
    assert line.startswith("WARN") and path in line and "EROFS" in line and BRIDGE in line
    assert value(host, path) == "1" and value(host, other) == "0"
    link = host.run("ip", "link", "show", BRIDGE).stdout
    assert link.count("old=") == 1 and f"old={'4' if path == IPV4 else '6'}/{UPLINK}:0" in link
    with Helper(host) as after:
        after.stop()
        assert not after.log_lines("WARN", "ERROR")
    assert not snapshot.difference(before, snapshot.host_state(host))


def test_a_keeper_without_descriptors_leaves_them_too(host, plug):
    before = snapshot.host_state(host)
    guest = plug()
    guest.send(bytes.fromhex("ffffffffffff02000000000188b5") + bytes(46))
    assert wait_until(lambda: "02:00:00:00:00:01" in host.run("nft", "list", "ruleset").stdout)
    keeper = guest.helper.keeper()  # whose start is over: it has seen the VM's other MAC
    in_use = set(map(int, os.listdir(f"/proc/{keeper}/fd")))
    lowest_free = next(number for number in range(1000) if number not in in_use)
    run("prlimit", f"--nofile={lowest_free}", "--pid", keeper)
    guest.helper.stop()
    (line,) = guest.helper.log_lines("WARN", "ERROR")
    assert "EMFILE" in line and "(and 1 more)" in line and BRIDGE in line
    with Helper(host) as after:
        after.stop()
    assert not snapshot.difference(before, snapshot.host_state(host))


def test_a_network_beside_one_that_is_remembered(lab, host, read_only_host, lan):
    """It has the subnet as ever, and keeps the host from being a router for others."""
    before = snapshot.host_state(host)
    with Helper(host) as first:
        make_read_only(first, IPV4)
        first.stop()
        subnet = first.json["vmnet_start_address"]
    with Helper(read_only_host) as second:
        (line,) = second.log_lines("WARN", "ERROR")
        assert IPV4 in line
        assert second.json["vmnet_start_address"] == subnet
        guest = Guest(second.vm, second.json["vmnet_mac_address"])
        guest.dhcp()
        guest.ping(INTERNET.web)
        assert not reaches(lab.internet, LAN_HOST) and reaches(lan, "203.0.113.129")
        second.stop()
    with Helper(host) as last:
        last.stop()
        assert not last.log_lines("WARN", "ERROR")
    assert not snapshot.difference(before, snapshot.host_state(host))


def test_a_living_network_takes_over_what_is_remembered(host, start):
    before = snapshot.host_state(host)
    with Helper(host) as first:
        make_read_only(first, IPV4)
        first.stop()
    heir = start()
    assert BRIDGE in host.links() and value(host, IPV4) == "1"
    heir.stop()
    assert not snapshot.difference(before, snapshot.host_state(host))
