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
    key = "4" if path == IPV4 else "6"
    assert link.count(":old=") == 1 and f"altname {BRIDGE}:old={key}:{UPLINK}:0" in link
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


@pytest.fixture
def many_networks(host):
    """A host with 32 devices more, each with a connected network of both protocols."""
    devices = [f"enp193s0f0v{number}" for number in range(32)]
    for number, device in enumerate(devices):
        host.ip(f"link add {device} type veth peer name other{number}",
                f"link set {device} addrgenmode none", f"link set other{number} addrgenmode none up",
                f"addr add 10.200.{number}.1/24 dev {device}",
                f"addr add 2001:db8:200:{number}::1/64 dev {device} nodad", f"link set {device} up")
    yield devices
    for device in devices:
        host.ip(f"link del {device}")


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_many_ways_out_are_all_opened_and_put_back(host, many_networks, end):
    before = snapshot.host_state(host)
    paths = [setting.replace(UPLINK, device) for device in [UPLINK, *many_networks]
             for setting in (IPV4, IPV6)]
    with Helper(host) as helper:
        assert not helper.log_lines("WARN", "ERROR")
        assert set(host.run("cat", *paths).stdout.split()) == {"1"}
        if end == "killed":
            helper.kill(helper.pid, helper.keeper())
            assert set(host.run("cat", *paths).stdout.split()) == {"1"}
        else:
            helper.stop()
    if end == "killed":
        with Helper(host) as after:
            after.stop()
    assert not snapshot.difference(before, snapshot.host_state(host))


def test_what_cannot_be_noted_is_not_changed(host, many_networks):
    """A bridge has room for 192 notes."""
    with Helper(host) as helper:
        keeper = helper.keeper()
        room = 192 - 2 * (1 + len(many_networks))
        for number in range(room):
            host.ip(f"link property add dev {BRIDGE} altname {BRIDGE}:old=4:gone{number}:0")
        host.ip("link add late0 type veth peer name late1",
                "link set late1 up", "link set late0 addrgenmode none",
                "addr add 10.201.0.1/24 dev late0", "link set late0 up")
        assert wait_until(lambda: any("192 notes" in line for line in helper.log_lines("WARN")))
        assert value(host, IPV4.replace(UPLINK, "late0")) == "0"
        assert helper.keeper() == keeper
        host.ip("link del late0")
        helper.stop()
