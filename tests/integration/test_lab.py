"""The lab itself: what later tests take for granted works with a bridge made by hand."""

import socket

import pytest

from support import snapshot
from support.guest import Guest
from support.kernel_guest import KernelGuest
from support.lab import INTERNET, PYTHON, SUPPORT, UPLINK_ADDRESS

GATEWAY = "192.168.64.1"


@pytest.fixture
def bridge(lab, host):
    """A stand-in for a helper's network: a bridge with masquerade, and a function that plugs a
    socket into it."""
    host.ip("link add br0 type bridge", f"addr add {GATEWAY}/24 dev br0", "link set br0 up")
    host.sysctl(net__ipv4__ip_forward=1)
    host.nft("table ip lab { chain nat { type nat hook postrouting priority 100;"
             " oifname uplink0 masquerade; }; }")
    cables = []

    def plug(name):
        host_end, vm_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        cables.append(host.start(PYTHON, SUPPORT / "tap_guest.py", "--fd", host_end.fileno(), name,
                                 "0e:00:00:00:00:99", pass_fds=(host_end.fileno(),)))
        host_end.close()
        assert snapshot.wait_until(lambda: name in host.links())
        host.ip(f"link set {name} master br0")
        return vm_end

    yield plug
    for cable in cables:
        cable.kill()
        cable.wait()
    host.ip("link del br0")
    host.sysctl(net__ipv4__ip_forward=0)
    host.run("nft", "flush", "ruleset")


def test_host_reaches_the_internet(host):
    for url in (f"http://{INTERNET.web}/", f"http://{INTERNET.name}/", f"http://[{INTERNET.web6}]/"):
        assert "hello from the internet" in host.run("busybox", "wget", "-qO-", url).stdout


def test_kernel_guest_behind_a_bridge(lab, bridge):
    vm = KernelGuest(lab, "vm", "0e:00:00:00:00:01", bridge("tap0"))
    vm.run("ip", "addr", "add", "192.168.64.2/24", "dev", "eth0")
    vm.run("ip", "route", "add", "default", "via", GATEWAY)
    vm.ping(GATEWAY)
    assert UPLINK_ADDRESS in vm.get(f"http://{INTERNET.web}/")


def test_frame_guest_behind_a_bridge(bridge):
    guest = Guest(bridge("tap0"), "0e:00:00:00:00:02").use("0.0.0.0", GATEWAY)
    guest.use("192.168.64.3", GATEWAY)
    guest.ping(GATEWAY)
    guest.ping(INTERNET.web)
    assert guest.udp(INTERNET.web, 7, b"echo me") == b"echo me"
    assert guest.tcp_answer(INTERNET.web, 80) == "SA"
    assert guest.tcp_answer(INTERNET.web, 81) == "RA"


def test_snapshot_sees_changes(host):
    before = snapshot.host_state(host)
    host.nft("table inet left {}")
    assert "table inet left" in snapshot.difference(before, snapshot.host_state(host))
    host.run("nft", "flush", "ruleset")
    assert snapshot.difference(before, snapshot.host_state(host)) == ""
