"""What several topics check: refusals, and that two stand-in VMs do or do not reach each other."""

import re

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether

from support.guest import BROADCAST


def explicit(start, end, mask="255.255.255.0"):
    """The three address options."""
    return (f"--start-address={start}", f"--end-address={end}", f"--subnet-mask={mask}")


def assert_refused(result, named=()):
    """Status 1, nothing on stdout, one ERROR line of printable text that names the culprit."""
    status, out, err = result
    assert (status, out) == (1, ""), err
    assert re.fullmatch(r"ERROR \[[\w-]+\] [\x20-\x7e]+\n", err), repr(err)
    for text in named:
        assert text in err


def who_has(asking, address):
    """A broadcast ARP request."""
    asking.send(Ether(dst=BROADCAST, src=asking.mac) /
                ARP(op=1, hwsrc=asking.mac, psrc=asking.ip, pdst=address))


def resolve(asking, asked):
    """ARP from one guest to another, both driven by the test; returns the MAC."""
    who_has(asking, asked.ip)
    asked.expect(lambda p: ARP in p and p[ARP].pdst == asked.ip, what="the ARP request")
    reply = asking.expect(lambda p: ARP in p and p[ARP].op == 2 and p[ARP].psrc == asked.ip,
                          what="the ARP reply")
    return reply[ARP].hwsrc


def carries(text):
    """Matches UDP packets with this payload."""
    return lambda p: UDP in p and bytes(p[UDP].payload)[:len(text)] == text


def datagram(sender, target_ip, mac, text=b"datagram"):
    sender.send(sender.packet_to(target_ip, UDP(sport=1000, dport=2000) / text, mac))


def assert_reach(first, second):
    """ARP and datagrams pass both ways between two guests with addresses."""
    mac = resolve(first, second)
    assert mac == second.mac
    datagram(first, second.ip, mac, b"ping")
    got = second.expect(carries(b"ping"), what="the datagram")
    assert (got.src, got[IP].src) == (first.mac, first.ip)
    datagram(second, first.ip, first.mac, b"pong")
    first.expect(carries(b"pong"), what="the answer")


def assert_apart(first, second):
    """Nothing passes from one to the other: broadcast, unicast, through the gateway, IPv6."""
    who_has(first, second.ip)
    datagram(first, second.ip, second.mac, b"direct")
    datagram(first, second.ip, first.gateway_mac, b"hairpin")
    first.send(Ether(dst=BROADCAST, src=first.mac) / IP(src=first.ip, dst="255.255.255.255") /
               UDP(sport=1, dport=2) / b"broadcast")
    first.send(Ether(dst="33:33:00:00:00:01", src=first.mac) / bytes.fromhex(
        "6000000000083a40fe80000000000000000000000000000aff020000000000000000000000000001"
        "8000000000010001"))
    second.expect_none(lambda p: p.src == first.mac or (IP in p and p[IP].src == first.ip) or
                       (ARP in p and p[ARP].psrc == first.ip), what="a frame of the other VM")
