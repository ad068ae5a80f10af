"""VLAN tags inside a VM: a frame is as large as its MTU says, and four bytes more for each of up to two
tags, whichever way the frames go."""

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Raw

from support.taps import Tap, frames_until, sentinel

FAR = "02:fa:00:00:00:01"  # nobody's MAC: the bridge sends it to every port
MTU = 1500
OFFLOAD = ("--enable-tso", "--enable-checksum-offload")
TAGS = pytest.mark.parametrize("tags", [
    (Dot1Q(vlan=7),), (Dot1Q(vlan=0, prio=5),), (Dot1AD(vlan=7),),
    (Dot1Q(vlan=5), Dot1Q(vlan=7)), (Dot1AD(vlan=5), Dot1Q(vlan=7))],
    ids=["one", "priority", "service", "two", "service-and-customer"])


@pytest.fixture
def bridge_alone(host):
    """The bridge passes packets without asking the IP stack."""
    host.sysctl(**{"net__bridge__bridge-nf-call-iptables": 0})


def tagged(source, tags, size=MTU):
    """A frame whose packet, behind the tags, has `size` bytes."""
    frame = Ether(dst=FAR, src=source)
    for tag in tags:
        frame /= tag
    packet = IP(src="192.168.64.77", dst="192.168.64.78") / UDP(sport=4000, dport=4001, chksum=0)
    return bytes(frame / packet / Raw(bytes(size - 28)))


def came_to(read, poll, frame):
    """What came of that source before the sentinel that followed it."""
    return frames_until(read, poll, 1, lambda other: other[6:12] == frame[6:12])


@TAGS
def test_to_the_host(plug_either, bridge_alone, host, tags):
    guest = plug_either()
    with Tap(host, "plain0", "vmnet-shared0") as plain:
        frame = tagged(guest.mac, tags)
        guest.send(frame)
        guest.send(sentinel(1, FAR, guest.mac))
        assert came_to(plain.read, plain.fd, frame) == [frame]


@TAGS
def test_to_the_vm(plug_either, bridge_alone, host, tags):
    guest = plug_either()
    with Tap(host, "plain0", "vmnet-shared0") as plain:
        frame = tagged("02:00:00:00:00:05", tags)
        plain.write(frame)
        plain.write(sentinel(1, FAR, "02:00:00:00:00:05"))
        assert came_to(lambda: guest.receive(0), guest.socket, frame) == [frame]


@TAGS
@pytest.mark.parametrize("options", [(), OFFLOAD], ids=["plain", "offload"])
def test_between_vms(plug, bridge_alone, tags, options):
    sender, receiver = plug(*options), plug(*options)
    frame = tagged(sender.mac, tags)
    sender.send(frame)
    sender.send(sentinel(1, FAR, sender.mac))
    (came,) = came_to(lambda: receiver.receive(0), receiver.socket, frame)
    assert came == frame
