"""Where a VM's address is read from."""

import pytest
from vmtool import address
from vmtool.report import Failure

MAC = "0a:76:6d:01:88:1a"
INTERFACE = {"vmnet_start_address": "192.168.64.1", "vmnet_subnet_mask": "255.255.255.0"}
LEASES = """{
	name=other
	ip_address=192.168.64.9
	hw_address=1,ba:76:6d:1:88:1a
	identifier=1,ba:76:6d:1:88:1a
	lease=0x70000000
}
{
	name=vm
	ip_address=192.168.64.3
	hw_address=1,a:76:6d:1:88:1a
	identifier=1,a:76:6d:1:88:1a
	lease=0x6912d3b1
}
{
	name=vm
	ip_address=192.168.64.2
	hw_address=1,a:76:6d:1:88:1a
	lease=0x5912d3b1
}
"""
ARP = """IP address       HW type     Flags       HW address            Mask     Device
192.0.2.9        0x1         0x0         0a:76:6d:01:88:1a     *        br0
192.0.2.7        0x1         0x2         0a:76:6d:01:88:1a     *        br0
192.0.2.1        0x1         0x2         52:54:00:00:00:01     *        br0
"""
CONSOLE = """ci-info: +++++++++++++++++Net device info++++++++++++++++
ci-info: | Device |  Up  |    Address    |      Mask     | Scope  |     Hw-Address    |
ci-info: |  eth0  | True | 198.51.100.20 | 255.255.255.0 | global | 0a:76:6d:01:88:1a |
ci-info: |  eth1  | True | 198.51.100.30 | 255.255.255.0 | global | 52:54:00:00:00:01 |
ci-info: |   lo   | True |   127.0.0.1   |   255.0.0.0   |  host  |         .         |
"""


def test_resolvers_that_a_vm_can_ask(tmp_path, monkeypatch):
    """What is no address is passed over, as the C library does."""
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver resolver.example\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\n"
                    "nameserver\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n")
    monkeypatch.setattr(address, "RESOLVERS", ("/nowhere", str(file)))
    assert address.host_resolvers() == ["192.0.2.53", "2001:db8::53"]


def test_macos_leases():
    assert address.leased(LEASES, MAC) == "192.168.64.3"  # the newest of this MAC
    assert address.leased(LEASES, "0a:76:6d:01:88:1b") is None
    assert address.leased("{\n\thw_address=1,a:76:6d:1:88:1a\n}", MAC) is None


def test_arp_table_and_console():
    assert address.in_arp_table(ARP, MAC) == "192.0.2.7"  # not the unfinished entry
    assert address.in_arp_table("", MAC) is None
    assert address.on_console(CONSOLE, MAC) == "198.51.100.20"
    assert address.on_console(CONSOLE, "0a:76:6d:01:88:1b") is None


def test_helper_says_it_on_linux(tmp_path):
    assert address.look_up({"ip_address": "10.0.0.2"}, "vm", MAC, tmp_path / "none") == "10.0.0.2"


@pytest.mark.parametrize("mac_console", [True, False])
def test_macos_order(tmp_path, monkeypatch, mac_console):
    monkeypatch.setattr(address.sys, "platform", "darwin")
    leases = tmp_path / "leases"
    monkeypatch.setattr(address, "LEASES", leases)
    monkeypatch.setattr(address, "by_mdns", lambda name: f"mdns {name}")
    console = tmp_path / "console.log"
    assert address.look_up({}, "vm", MAC, console) == "mdns vm"
    if mac_console:
        console.write_text(CONSOLE)
        assert address.look_up({}, "vm", MAC, console) == "198.51.100.20"
    leases.write_text(LEASES)
    assert address.look_up({}, "vm", MAC, console) == "192.168.64.3"


def test_static_address(monkeypatch):
    monkeypatch.setattr(address, "host_resolvers", lambda: ["192.0.2.53"])
    given = address.static_address("192.168.64.200", INTERFACE, [])
    assert (given.prefix, given.gateway, given.dns) == (24, "192.168.64.1", ["192.0.2.53"])
    assert address.static_address("192.168.64.200", INTERFACE, ["9.9.9.9"]).dns == ["9.9.9.9"]
    bridged = address.static_address("192.0.2.20/28", {}, [])
    assert (bridged.prefix, bridged.gateway) == (28, "")


@pytest.mark.parametrize("text, reason", [
    ("x", "not an IPv4 address"), ("192.168.65.2", "not a host of the network 192.168.64.0/24"),
    ("192.168.64.255", "not a host"), ("192.168.64.1", "the gateway has it"),
    ("::1", "not an IPv4 address")])
def test_static_addresses_that_are_refused(text, reason):
    with pytest.raises(Failure, match=reason):
        address.static_address(text, INTERFACE, [])


def test_bridged_static_address_needs_its_prefix():
    with pytest.raises(Failure, match="give 192.0.2.20/PREFIX"):
        address.static_address("192.0.2.20", {}, [])


def test_resolvers_of_the_host(tmp_path, monkeypatch):
    stub, real = tmp_path / "stub", tmp_path / "real"
    stub.write_text("nameserver 127.0.0.53\noptions edns0\n")
    real.write_text("nameserver 192.0.2.53\nnameserver fe80::1%eth0\nnameserver 2001:db8::53\n")
    monkeypatch.setattr(address, "RESOLVERS", (str(stub), str(tmp_path / "none"), str(real)))
    assert address.host_resolvers() == ["192.0.2.53", "2001:db8::53"]
