"""Host mode: a private network with the host and without a way out."""

from scapy.layers.inet import IP, UDP

from support.checks import assert_reach, explicit
from support.helper import run_to_end
from support.kernel_guest import KernelGuest
from support.lab import INTERNET, UPLINK_ADDRESS
from support.sniffer import Sniffer

HOST = "--operation-mode=host"


def test_reaches_the_host(plug):
    guest = plug(HOST)
    lease = guest.dhcp()
    assert lease.address == guest.helper.json["ip_address"]
    guest.ping(guest.helper.json["vmnet_start_address"])


def test_host_reaches_the_vm(lab, host, plug):
    guest = plug(HOST)
    KernelGuest(lab, "vm", guest.mac, guest.socket).dhcp()
    host.run("ping", "-c", "1", "-W", "3", guest.helper.json["ip_address"])


def test_no_way_out(lab, host, plug):
    """Nothing of the VM's reaches the uplink, even on a host that forwards."""
    host.sysctl(net__ipv4__ip_forward=1)
    guest = plug(HOST)
    guest.dhcp()
    guest.gateway_mac = guest.arp(guest.helper.json["vmnet_start_address"])
    with Sniffer(lab.internet, "uplink1") as seen:
        guest.send(guest.packet_to(INTERNET.web, UDP(sport=1, dport=7) / b"out"))
        guest.expect_none(lambda p: IP in p and p[IP].src == INTERNET.web)
    assert not [p for p in seen.packets() if IP in p and INTERNET.web in (p[IP].src, p[IP].dst)]
    guest.helper.stop()
    host.sysctl(net__ipv4__ip_forward=0)


def test_vms_reach_each_other(plug):
    first, second = plug(HOST), plug(HOST)
    first.dhcp()
    second.dhcp()
    assert_reach(first, second)


def test_host_and_shared_networks_are_apart(plug):
    inside, outside = plug(HOST), plug()
    inside.dhcp()
    outside.dhcp()
    inside.gateway_mac = inside.arp(inside.helper.json["vmnet_start_address"])
    for sender, receiver in ((inside, outside), (outside, inside)):
        receiver.drain()
        sender.send(sender.packet_to(receiver.ip, UDP(sport=1, dport=2) / b"over"))
        receiver.expect_none(lambda p: UDP in p and b"over" in bytes(p[UDP].payload))


def test_internet_cannot_reach_in(lab, plug):
    guest = plug(HOST)
    guest.dhcp()
    lab.internet.ip(f"route add 192.168.128.0/24 via {UPLINK_ADDRESS}")
    lab.internet.run("ping", "-c", "1", "-W", "1", guest.ip, check=False)
    guest.expect_none(lambda p: IP in p and p[IP].src == INTERNET.router)
    lab.internet.ip(f"route del 192.168.128.0/24 via {UPLINK_ADDRESS}")


def test_explicit_addresses(plug):
    guest = plug(HOST, *explicit("10.9.8.1", "10.9.8.6", "255.255.255.248"))
    assert guest.dhcp().address.startswith("10.9.8.")
    guest.ping("10.9.8.1")


def test_forwarding_is_not_touched(host, start):
    before = host.run("sysctl", "-a", "--pattern", "forwarding").stdout
    start(HOST)
    after = host.run("sysctl", "-a", "--pattern", "forwarding").stdout
    kept = [line for line in after.splitlines() if "vmnet" not in line]
    assert kept == before.splitlines()


def test_isolated_address_conflict_with_shared(host, plug):
    plug()
    status, out, err = run_to_end(host, HOST, *explicit("192.168.64.100", "192.168.64.200"))
    assert (status, out) == (1, "") and "192.168.64" in err
