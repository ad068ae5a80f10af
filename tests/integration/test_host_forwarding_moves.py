"""Forwarding that others switch while VMs run (Docker, VPNs), and ways out that come and go."""

import pytest

from support import snapshot
from support.lab import INTERNET, LAN_HOST, LAN_HOST6, UPLINK, reaches
from support.snapshot import wait_until

IPV4 = ("net/ipv4/conf/all/forwarding", LAN_HOST, INTERNET.web)
IPV6 = ("net/ipv6/conf/all/forwarding", LAN_HOST6, INTERNET.web6)
BOTH = pytest.mark.parametrize("switch, inside, outside", [IPV4, IPV6], ids=["ipv4", "ipv6"])
FORCE = "net/ipv6/conf/all/force_forwarding"


def write(host, setting, value):
    host.run("sh", "-c", f"echo {value} > /proc/sys/{setting}")


def read(host, setting):
    return host.run("cat", f"/proc/sys/{setting}").stdout.strip()


def network_of(plug):
    guest = plug()
    guest.dhcp()
    return guest


def ping_out(guest, outside, timeout=0.5):
    if ":" in outside:
        return guest.ping6(outside, guest.autoconfigure().src, timeout=timeout)
    return guest.ping(outside, timeout=timeout)


def can(guest, outside):
    try:
        ping_out(guest, outside)
        return True
    except AssertionError:
        return False


@BOTH
def test_docker_switches_forwarding_on_for_good(lab, host, lan, plug, switch, inside, outside):
    """Ours is no more guarded, and stays on when the VM ends: containers go on."""
    guest = network_of(plug)
    ping_out(guest, outside, 3)
    assert not reaches(lab.internet, inside) and not reaches(lan, outside)
    write(host, switch, 1)
    assert wait_until(lambda: reaches(lab.internet, inside) and reaches(lan, outside), 5)
    ping_out(guest, outside, 3)
    guest.helper.stop()
    assert reaches(lab.internet, inside) and reaches(lan, outside)
    assert read(host, f"{switch.replace('all', UPLINK)}") == "1"
    write(host, switch, 0)


def test_all_devices_are_forced(lab, host, lan, plug):
    """force_forwarding (Linux 6.17) for the whole host is a statement like the older switch."""
    if host.run("test", "-e", f"/proc/sys/{FORCE}", check=False).returncode != 0:
        pytest.skip("no force_forwarding here")
    guest = network_of(plug)
    write(host, FORCE, 1)
    assert wait_until(lambda: reaches(lab.internet, LAN_HOST6), 5)
    guest.helper.stop()
    assert read(host, FORCE.replace("all", UPLINK)) == "1"
    write(host, FORCE, 0)


@BOTH
def test_a_vpn_switches_forwarding_off_again(lab, host, lan, plug, switch, inside, outside):
    """PostUp and PostDown: the kernel writes it to every device, ours too."""
    before = snapshot.host_state(host)
    guest = network_of(plug)
    write(host, switch, 1)
    assert wait_until(lambda: reaches(lan, outside), 5)
    write(host, switch, 0)
    assert wait_until(lambda: can(guest, outside), 5), "the VM is cut off"
    assert [line for line in guest.helper.log_lines("WARN") if "switched off" in line]
    assert not reaches(lan, outside)
    guest.helper.stop()
    assert not snapshot.difference(before, snapshot.host_state(host))


@BOTH
def test_forwarding_goes_under_an_isolated_vm(host, plug, switch, inside, outside):
    """Its link is a device of its own."""
    before = snapshot.host_state(host)
    write(host, switch, 1)
    guest = plug("--enable-isolation")
    guest.dhcp()
    write(host, switch, 0)
    assert wait_until(lambda: can(guest, outside), 5), "the VM is cut off"
    guest.helper.stop()
    assert not snapshot.difference(before, snapshot.host_state(host))


@BOTH
def test_forwarding_goes_that_was_there_first(host, lan, plug, switch, inside, outside):
    """A VM that runs and one that joins."""
    before = snapshot.host_state(host)
    write(host, switch, 1)
    guest = network_of(plug)
    ping_out(guest, outside, 3)
    write(host, switch, 0)
    assert wait_until(lambda: can(guest, outside), 5), "the VM is cut off"
    joined = network_of(plug)
    ping_out(joined, outside, 3)
    assert not reaches(lan, outside)
    guest.helper.stop()
    joined.helper.stop()
    assert not snapshot.difference(before, snapshot.host_state(host))


def test_one_device_is_switched_off(host, plug):
    guest = network_of(plug)
    write(host, f"net/ipv4/conf/{UPLINK}/forwarding", 0)
    assert wait_until(lambda: can(guest, INTERNET.web), 5), "the VM is cut off"
    assert [line for line in guest.helper.log_lines("WARN") if UPLINK in line]


def test_a_device_that_is_no_router_by_its_administrators_will(host, plug):
    """The host forwards, but for this device: so it is again at the end, and guarded meanwhile."""
    host.sysctl(net__ipv4__ip_forward=1)
    write(host, f"net/ipv4/conf/{UPLINK}/forwarding", 0)
    before = snapshot.host_state(host)
    guest = network_of(plug)
    guest.ping(INTERNET.web)
    assert f'"{UPLINK}"' in host.run("nft", "list", "ruleset").stdout
    guest.helper.stop()
    assert not snapshot.difference(before, snapshot.host_state(host))
    host.sysctl(net__ipv4__ip_forward=0)


@pytest.mark.parametrize("order", ["before", "later"])
@pytest.mark.parametrize("target", [LAN_HOST, LAN_HOST6], ids=["ipv4", "ipv6"])
def test_a_connected_network_is_a_way_out(lab, host, plug, request, order, target):
    """A second NIC, a VPN or docker0, by which no route leads further."""
    if order == "before":
        request.getfixturevalue("lan")
    before = snapshot.host_state(host)
    guest = network_of(plug)
    if order == "later":
        request.getfixturevalue("lan")
    assert wait_until(lambda: can(guest, target), 5)
    guest.helper.stop()
    if order == "before":
        assert not snapshot.difference(before, snapshot.host_state(host))


def test_an_uplink_without_default_route(host, plug):
    defaults = [f"route {{}} default via {INTERNET.router}",
                f"route {{}} default via {INTERNET.router6} dev {UPLINK}"]
    host.ip(*[line.format("del") for line in defaults])
    guest = network_of(plug)
    guest.ping(INTERNET.router)
    ping_out(guest, INTERNET.router6, 3)
    guest.helper.stop()
    host.ip(*[line.format("add") for line in defaults])
