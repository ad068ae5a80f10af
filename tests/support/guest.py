"""A stand-in VM that speaks Ethernet frames over the helper's socket, built of scapy packets.

It answers ARP and neighbour solicitations for its own addresses while it waits, as a real guest's
kernel would; everything else it sees is kept in `seen` and shown when an expectation fails.
"""

import ipaddress
import random
import select
import socket
import time
from dataclasses import dataclass, field

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS,
                                ICMPv6ND_RA, ICMPv6ND_RS, ICMPv6NDOptDstLLAddr,
                                ICMPv6NDOptPrefixInfo, ICMPv6NDOptSrcLLAddr, IPv6)
from scapy.layers.l2 import ARP, Ether
from scapy.utils6 import in6_getnsma, in6_getnsmac
from scapy.packet import Raw

BROADCAST = "ff:ff:ff:ff:ff:ff"
LARGEST_DATAGRAM = 70_000


@dataclass
class Lease:
    """What a DHCP server promised."""

    address: str
    server: str
    options: dict = field(default_factory=dict)  # by scapy's names: router, subnet_mask ...


def dhcp_options(packet):
    """A DHCP packet's options as a dict; several values become a list."""
    found = {}
    for option in packet[DHCP].options:
        if isinstance(option, tuple):
            found[option[0]] = option[1] if len(option) == 2 else list(option[1:])
    return found


def multicast_neighbour(address):
    """The solicited-node address of an IPv6 address and its MAC."""
    group = in6_getnsma(socket.inet_pton(socket.AF_INET6, address))
    return socket.inet_ntop(socket.AF_INET6, group), in6_getnsmac(group)


def link_local(mac):
    """The EUI-64 link-local address of a MAC."""
    parts = [int(part, 16) for part in mac.split(":")]
    parts[0] ^= 2
    packed = bytes([0xFE, 0x80] + [0] * 6 + parts[:3] + [0xFF, 0xFE] + parts[3:])
    return socket.inet_ntop(socket.AF_INET6, packed)


class Guest:
    """The VM's end of a cable."""

    def __init__(self, vm_socket, mac, ip=None, ip6=None):
        self.socket = vm_socket
        self.mac = mac
        self.ip = ip
        self.link_local = link_local(mac)
        self.ip6 = ip6 or self.link_local
        self.gateway = None
        self.gateway_mac = None
        self.seen = []

    # Frames

    def send(self, frame):
        """Sends a scapy packet or bytes; True where the helper's queue took it."""
        data = frame if isinstance(frame, bytes) else bytes(frame)
        try:
            return self.socket.send(data) == len(data)
        except BlockingIOError:
            return False

    def receive(self, timeout):
        """The next datagram as bytes, or None."""
        if not select.select([self.socket], [], [], max(0, timeout))[0]:
            return None
        return self.socket.recv(LARGEST_DATAGRAM)

    def packets(self, timeout):
        """Yields packets until `timeout` seconds are over, answering for own addresses."""
        deadline = time.monotonic() + timeout
        while (data := self.receive(deadline - time.monotonic())) is not None:
            packet = Ether(data)
            self.seen.append(packet)
            self.answer(packet)
            yield packet

    def answer(self, packet):
        if ARP in packet and packet[ARP].op == 1 and self.ip and packet[ARP].pdst == self.ip:
            self.send(Ether(dst=packet[ARP].hwsrc, src=self.mac) /
                      ARP(op=2, hwsrc=self.mac, psrc=self.ip, hwdst=packet[ARP].hwsrc,
                          pdst=packet[ARP].psrc))
        elif ICMPv6ND_NS in packet and packet[ICMPv6ND_NS].tgt in (self.ip6, self.link_local):
            self.send(Ether(dst=packet.src, src=self.mac) /
                      IPv6(src=packet[ICMPv6ND_NS].tgt, dst=packet[IPv6].src, hlim=255) /
                      ICMPv6ND_NA(tgt=packet[ICMPv6ND_NS].tgt, R=0, S=1, O=1) /
                      ICMPv6NDOptDstLLAddr(lladdr=self.mac))

    def expect(self, match, timeout=3.0, what="a frame"):
        """The first packet that `match(packet)` accepts; fails with all that came instead."""
        start = len(self.seen)
        for packet in self.packets(timeout):
            if match(packet):
                return packet
        came = "\n".join(packet.summary() for packet in self.seen[start:]) or "nothing"
        raise AssertionError(f"{what} did not come within {timeout} s; came:\n{came}")

    def expect_none(self, match, seconds=0.5, what="a frame"):
        """Fails where a packet that `match` accepts comes within `seconds`."""
        for packet in self.packets(seconds):
            if match(packet):
                raise AssertionError(f"{what} came that must not: {packet.summary()}")

    def drain(self):
        """Throws away what has already come."""
        while self.receive(0) is not None:
            pass

    # IPv4

    def arp(self, target, timeout=3.0):
        """The MAC of `target`."""
        self.send(Ether(dst=BROADCAST, src=self.mac) /
                  ARP(op=1, hwsrc=self.mac, psrc=self.ip or "0.0.0.0", pdst=target))
        reply = self.expect(lambda p: ARP in p and p[ARP].op == 2 and p[ARP].psrc == target,
                            timeout, f"an ARP reply of {target}")
        return reply[ARP].hwsrc

    def use(self, address, gateway):
        """Takes a static address and finds the gateway."""
        self.ip, self.gateway = address, gateway
        self.gateway_mac = self.arp(gateway)
        return self

    def dhcp_message(self, kind, options=(), transaction=None, **fields):
        """A client's DHCP frame; `fields` are BOOTP's (ciaddr, giaddr, flags ...)."""
        chaddr = bytes.fromhex(fields.pop("chaddr", self.mac).replace(":", ""))
        source, target = fields.pop("source", "0.0.0.0"), fields.pop("target", "255.255.255.255")
        return (Ether(src=self.mac, dst=fields.pop("target_mac", BROADCAST)) /
                IP(src=source, dst=target) / UDP(sport=68, dport=67) /
                BOOTP(chaddr=chaddr + bytes(10), xid=transaction or random.getrandbits(32),
                      **fields) /
                DHCP(options=[("message-type", kind), *options, "end"]))

    def dhcp_exchange(self, kind, options=(), timeout=3.0, **fields):
        """Sends a DHCP message and returns the reply to its transaction."""
        message = self.dhcp_message(kind, options, **fields)
        self.send(message)
        xid = message[BOOTP].xid
        return self.expect(lambda p: BOOTP in p and p[BOOTP].op == 2 and p[BOOTP].xid == xid,
                           timeout, f"a DHCP reply to {kind}")

    def dhcp(self):
        """Takes a lease by DISCOVER and REQUEST, and the address with it."""
        wanted = [("param_req_list", [1, 3, 6, 26, 51])]
        offer = self.dhcp_exchange("discover", wanted)
        promised = dhcp_options(offer)
        reply = self.dhcp_exchange("request", [("requested_addr", offer[BOOTP].yiaddr),
                                               ("server_id", promised["server_id"]), *wanted])
        options = dhcp_options(reply)
        assert options["message-type"] == 5, f"no ACK: {options}"
        self.use(reply[BOOTP].yiaddr, options.get("router", options["server_id"]))
        return Lease(self.ip, options["server_id"], options)

    def packet_to(self, target, payload, mac=None):
        """`payload` in an IPv4 packet to `target`, through the gateway where `mac` is not given."""
        return Ether(src=self.mac, dst=mac or self.gateway_mac) / \
            IP(src=self.ip, dst=target) / payload

    def ping(self, target, mac=None, timeout=3.0, size=56, ttl=64):
        """Fails where `target` does not answer an echo request; returns the reply."""
        number = random.getrandbits(16)
        request = self.packet_to(target, ICMP(id=number, seq=1) / Raw(bytes(size)), mac)
        request[IP].ttl = ttl
        self.send(request)
        return self.expect(lambda p: ICMP in p and p[ICMP].type == 0 and p[ICMP].id == number and
                           p[IP].src == target, timeout, f"an echo reply of {target}")

    def udp(self, target, port, payload, mac=None, timeout=3.0, source_port=None):
        """Sends a datagram and returns the payload of the answer."""
        own = source_port or random.randrange(20000, 60000)
        self.send(self.packet_to(target, UDP(sport=own, dport=port) / Raw(payload), mac))
        reply = self.expect(lambda p: UDP in p and p[UDP].dport == own and p[IP].src == target,
                            timeout, f"a UDP answer of {target}")
        return bytes(reply[UDP].payload)

    def tcp_answer(self, target, port, mac=None, timeout=1.0):
        """The flags of the answer to a SYN ("SA", "RA" ...), or None."""
        own = random.randrange(20000, 60000)
        self.send(self.packet_to(target, TCP(sport=own, dport=port, flags="S"), mac))
        for packet in self.packets(timeout):
            if TCP in packet and packet[TCP].dport == own:
                return str(packet[TCP].flags)
        return None

    # IPv6

    def neighbour(self, target, timeout=3.0, source=None):
        """The MAC of an IPv6 neighbour."""
        group, group_mac = multicast_neighbour(target)
        self.send(Ether(dst=group_mac, src=self.mac) /
                  IPv6(src=source or self.ip6, dst=group, hlim=255) / ICMPv6ND_NS(tgt=target) /
                  ICMPv6NDOptSrcLLAddr(lladdr=self.mac))
        reply = self.expect(lambda p: ICMPv6ND_NA in p and p[ICMPv6ND_NA].tgt == target, timeout,
                            f"a neighbour advertisement of {target}")
        return reply[ICMPv6NDOptDstLLAddr].lladdr

    def solicit_router(self, timeout=3.0):
        """The router advertisement that answers a solicitation."""
        self.send(Ether(dst="33:33:00:00:00:02", src=self.mac) /
                  IPv6(src=self.link_local, dst="ff02::2", hlim=255) / ICMPv6ND_RS() /
                  ICMPv6NDOptSrcLLAddr(lladdr=self.mac))
        return self.expect(lambda p: ICMPv6ND_RA in p, timeout, "a router advertisement")

    def autoconfigure(self):
        """Takes the address that a router advertisement leads to; returns the router."""
        advertisement = self.solicit_router()
        prefix = ipaddress.ip_address(advertisement[ICMPv6NDOptPrefixInfo].prefix)
        own = ipaddress.ip_address(self.link_local.replace("fe80::", "::", 1))
        self.ip6 = str(prefix + int(own))
        return advertisement

    def ping6(self, target, mac, timeout=3.0, source=None):
        number = random.getrandbits(16)
        self.send(Ether(src=self.mac, dst=mac) / IPv6(src=source or self.ip6, dst=target) /
                  ICMPv6EchoRequest(id=number, seq=1, data=bytes(32)))
        return self.expect(lambda p: ICMPv6EchoReply in p and p[ICMPv6EchoReply].id == number,
                           timeout, f"an echo reply of {target}")
