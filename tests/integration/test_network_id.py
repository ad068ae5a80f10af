"""--network-id: networks of their own in host mode, by default without the host and without DHCP."""

import pytest
from scapy.layers.l2 import ARP

from support.checks import assert_apart, assert_reach, assert_refused
from support.helper import run_to_end

BLUE = "11111111-2222-4333-8444-555555555555"
RED = "66666666-7777-4888-8999-aaaaaaaaaaaa"


def network(uuid, *more):
    return ("--operation-mode=host", f"--network-id={uuid}", *more)


def host_address(address="10.44.0.1", mask="255.255.255.0"):
    return (f"--host-ip-address={address}", f"--host-subnet-mask={mask}")


def place(guest, address):
    guest.ip = address
    guest.gateway_mac = guest.mac
    return guest


def test_same_id_same_network(plug):
    first, second = plug(*network(BLUE)), plug(*network(BLUE.upper()))
    assert_reach(place(first, "10.0.0.1"), place(second, "10.0.0.2"))


def test_other_id_other_network(plug):
    first, second = plug(*network(BLUE)), plug(*network(RED))
    assert_apart(place(first, "10.0.0.1"), place(second, "10.0.0.2"))


def test_apart_from_host_mode(plug):
    first, second = plug(*network(BLUE)), plug("--operation-mode=host")
    assert_apart(place(first, "192.168.128.8"), place(second, "192.168.128.9"))


def test_isolation_works_here_too(plug):
    first, second = (plug(*network(BLUE, "--enable-isolation")) for _ in range(2))
    assert_apart(place(first, "10.0.0.1"), place(second, "10.0.0.2"))


def test_no_address_on_the_host(host, plug):
    before = host.run("ip", "-o", "addr").stdout
    guest = plug(*network(BLUE))
    assert host.run("ip", "-o", "addr").stdout == before
    assert not {"vmnet_start_address", "ip_address"} & set(guest.helper.json)
    with pytest.raises(AssertionError, match="DHCP reply"):
        guest.dhcp_exchange("discover", timeout=0.5)
    with pytest.raises(AssertionError, match="router advertisement"):
        guest.solicit_router(timeout=0.5)


def test_host_address_and_dhcp(plug):
    guest = plug(*network(BLUE, *host_address()))
    lease = guest.dhcp()
    assert lease.address == guest.helper.json["ip_address"]
    assert lease.address.startswith("10.44.0.")
    guest.ping("10.44.0.1")


def test_same_host_address_joins(plug):
    first, second = (plug(*network(BLUE, *host_address())) for _ in range(2))
    first.dhcp()
    second.dhcp()
    assert_reach(first, second)


def test_without_the_networks_host_address_is_refused(host, plug):
    """All helpers of a network say the same of the host in it."""
    plug(*network(BLUE, *host_address()))
    assert_refused(run_to_end(host, *network(BLUE)), [BLUE, "10.44.0.1"])


def test_another_host_address_is_refused(host, plug):
    plug(*network(BLUE, *host_address()))
    assert_refused(run_to_end(host, *network(BLUE, *host_address("10.45.0.1"))), ["10.4"])


def test_host_address_conflict(host, plug):
    plug(*network(BLUE, *host_address()))
    assert_refused(run_to_end(host, *network(RED, *host_address("10.44.0.2"))), ["10.44.0"])


def test_many_networks(host, plug):
    guests = [plug(*network(f"{number:08x}-2222-4333-8444-555555555555")) for number in range(12)]
    assert len([name for name in host.links() if name.startswith("vmnet-priv")]) == 12
    for guest in guests[::2]:
        guest.helper.stop()
    assert len([name for name in host.links() if name.startswith("vmnet-priv")]) == 6


def test_nothing_reaches_the_host(host, plug):
    """Without an address the host does not even answer ARP on the network for its others."""
    guest = place(plug(*network(BLUE)), "192.0.2.200")
    guest.send(bytes.fromhex("ffffffffffff020000000001080600010800060400010200000000010a000001"
                             "000000000000c0000202"))
    guest.expect_none(lambda p: ARP in p and p[ARP].op == 2)
