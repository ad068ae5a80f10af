"""What a VM could use up of what the host has once for itself and all VMs, frame by frame."""
import re

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import Ether
from scapy.packet import Raw

SERVER, SERVER6 = "203.0.113.1", "2001:db8:1::1"
# The rules that drop what is too much; an attack of test_shared_resources.py stands for each.
BEGUN = r"(iifname .* update @connections_of_\w+ .* return|iifname .* ether saddr @macs drop|jump begun|" \
        r"ct status ! confirmed jump begun)"
PROTOCOLS = r"meta l4proto != \{ icmp, tcp, .* \} drop"
FRAGMENTS = r"limit rate over .* packets drop"
FRAGMENT_BYTES = r"limit rate over .* kbytes drop"
BOUNDS = [r"iifname .* ether saddr @macs drop", PROTOCOLS, FRAGMENTS, FRAGMENT_BYTES]


def header(vm, target):
    mac = vm.network.gateway_mac
    packet = IPv6(src=vm.ip6, dst=target) if ":" in target else IP(src=vm.ip, dst=target)
    return Ether(src=vm.mac, dst=mac) / packet


def from_all_ports(vm, target, port, ports, mac=None):
    """Datagrams of one VM to one server, one from each port; their checksums are right."""
    frame = header(vm, target) / UDP(sport=0, dport=port) / Raw(b"\xff\xff")
    if mac:
        frame[Ether].dst = mac
    data = bytearray(bytes(frame))
    udp = len(data) - 10
    for number in ports:
        data[udp:udp + 2] = number.to_bytes(2, "big")
        data[-2:] = (0xffff - number).to_bytes(2, "big")
        vm.raw.send(data)


def echo(vm, target, number):
    layer = ICMPv6EchoRequest(id=number) if ":" in target else ICMP(id=number)
    return bytes(header(vm, target) / layer)


def send_incomplete(vm, target, numbers, size):
    """The first parts of datagrams whose rest never comes."""
    if ":" in target:
        data = bytearray(bytes(header(vm, target) / IPv6ExtHdrFragment(nh=17, m=1, id=0) / Raw(bytes(size))))
    else:
        packet = header(vm, target)
        packet[IP].flags, packet[IP].id, packet[IP].proto = "MF", 0, 17
        data = bytearray(bytes(packet / Raw(bytes(size))))
    unnumbered = int.from_bytes(data[24:26], "big")  # the header's checksum
    for number in numbers:
        if ":" in target:
            data[58:62] = number.to_bytes(4, "big")
        else:
            data[18:20] = number.to_bytes(2, "big")
            data[24:26] = ((unnumbered - number) % 0xffff).to_bytes(2, "big")
        vm.raw.send(data)


def fragment_memory(host):
    """Bytes that wait on the host for their rest, IPv4."""
    with host.inside(), open("/proc/thread-self/net/sockstat", encoding="ascii") as file:
        return int(re.search(r"FRAG: inuse \d+ memory (\d+)", file.read())[1])


def tracked(host):
    with host.inside(), open("/proc/thread-self/net/nf_conntrack", encoding="ascii") as file:
        return sum(1 for _ in file)
