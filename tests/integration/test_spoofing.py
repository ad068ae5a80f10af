"""A VM cannot take what is another's: MAC, address, the gateway, DHCP, router advertisements."""

import random

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (ICMPv6ND_NA, ICMPv6ND_RA, ICMPv6ND_RS, ICMPv6NDOptDstLLAddr,
                                ICMPv6NDOptPrefixInfo, ICMPv6NDOptSrcLLAddr, IPv6,
                                IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop)
from scapy.layers.l2 import ARP, Dot1Q, Ether

from support.checks import assert_reach
from support.guest import BROADCAST, dhcp_options
from support.lab import INTERNET


@pytest.fixture
def three(plug_either):
    """A victim, an attacker and a witness on one network."""
    guests = [plug_either() for _ in range(3)]
    for guest in guests:
        guest.dhcp()
        guest.drain()
    return guests


def neighbours(host, address):
    return host.run("ip", "neigh", "show", address).stdout


def forwarding_entry(host, mac):
    """Where the bridge sends frames for `mac`."""
    lines = host.run("bridge", "fdb", "show").stdout.splitlines()
    return [line.split()[2] for line in lines if line.startswith(mac) and "master" in line]


def test_arp_for_the_gateway(host, three):
    victim, attacker, _ = three
    for op in (1, 2):
        attacker.send(Ether(dst=BROADCAST, src=attacker.mac) /
                      ARP(op=op, hwsrc=attacker.mac, psrc=victim.gateway, pdst=victim.ip))
        attacker.send(Ether(dst=victim.mac, src=attacker.mac) /
                      ARP(op=op, hwsrc=attacker.mac, psrc=victim.gateway, pdst=victim.ip))
    victim.expect_none(lambda p: ARP in p and p[ARP].psrc == victim.gateway and
                       p[ARP].hwsrc == attacker.mac, what="a forged ARP of the gateway")


def test_arp_for_another_vm(host, three):
    victim, attacker, witness = three
    host.run("ping", "-c", "1", "-W", "1", victim.ip, check=False)
    victim.drain()
    for op in (1, 2):
        attacker.send(Ether(dst=BROADCAST, src=attacker.mac) /
                      ARP(op=op, hwsrc=attacker.mac, psrc=victim.ip, pdst=witness.ip))
    witness.expect_none(lambda p: ARP in p and p[ARP].psrc == victim.ip and
                        p[ARP].hwsrc == attacker.mac, what="a forged ARP of another VM")
    assert attacker.mac not in neighbours(host, victim.ip)


def test_frames_with_another_vms_mac(host, three):
    victim, attacker, witness = three
    victim.ping(INTERNET.web)
    before = forwarding_entry(host, victim.mac)
    for _ in range(20):
        attacker.send(Ether(dst=BROADCAST, src=victim.mac) / ARP(op=1, hwsrc=victim.mac,
                                                                 psrc=victim.ip, pdst="192.168.64.9"))
    assert forwarding_entry(host, victim.mac) == before
    victim.ping(INTERNET.web)
    assert_reach(witness, victim)


def test_frames_with_the_gateways_mac(host, three):
    victim, attacker, _ = three
    for _ in range(20):
        attacker.send(Ether(dst=BROADCAST, src=victim.gateway_mac) / IP(src=victim.gateway) /
                      UDP(sport=1, dport=2) / b"from the gateway")
    victim.expect_none(lambda p: UDP in p and b"from the gateway" in bytes(p[UDP].payload))
    victim.ping(INTERNET.web)


def test_packets_with_another_vms_address(three):
    victim, attacker, witness = three
    attacker.send(Ether(dst=witness.mac, src=attacker.mac) / IP(src=victim.ip, dst=witness.ip) /
                  UDP(sport=1, dport=2) / b"forged")
    witness.expect_none(lambda p: UDP in p and b"forged" in bytes(p[UDP].payload))


def test_rogue_dhcp_server(three):
    victim, attacker, _ = three
    request = victim.dhcp_message("discover", flags=0x8000)
    offer = (Ether(src=attacker.mac, dst=BROADCAST) / IP(src=attacker.ip, dst="255.255.255.255") /
             UDP(sport=67, dport=68) / BOOTP(op=2, yiaddr="192.168.64.66", siaddr=attacker.ip,
                                             chaddr=request[BOOTP].chaddr, xid=request[BOOTP].xid) /
             DHCP(options=[("message-type", "offer"), ("server_id", attacker.ip), "end"]))
    for target in (BROADCAST, victim.mac):
        offer.dst = target
        attacker.send(offer)
    victim.expect_none(lambda p: BOOTP in p and p[BOOTP].siaddr == attacker.ip)


def test_thousand_macs_have_one_lease(three):
    """Whatever MACs a VM makes up: one address is all it gets, by one of them, and no other VM hears of it."""
    asking, other, _ = three
    asking.packets(0.05)
    for number in range(1000):
        chaddr = random.randbytes(5).hex()
        asking.send(asking.dhcp_message("discover", chaddr=f"02{chaddr}"))
        if number % 100 == 99:
            assert not [packet for packet in asking.packets(0.05) if BOOTP in packet], \
                "a MAC beside the one that has the address is answered"
    own = asking.helper.json["ip_address"]
    for address in ("192.168.64.200", other.ip):
        refused = asking.dhcp_exchange("request", [("requested_addr", address)])
        assert dhcp_options(refused)["message-type"] == 6, "no NAK"
    given = asking.dhcp_exchange("request", [("requested_addr", own)])
    assert given[BOOTP].yiaddr == own and dhcp_options(given)["message-type"] == 5
    other.expect_none(lambda p: BOOTP in p or (UDP in p and p[UDP].dport in (67, 68)))


def rogue_advertisement(attacker):
    return (Ether(src=attacker.mac, dst="33:33:00:00:00:01") /
            IPv6(src=attacker.link_local, dst="ff02::1", hlim=255) /
            ICMPv6ND_RA(routerlifetime=1800) / ICMPv6NDOptSrcLLAddr(lladdr=attacker.mac) /
            ICMPv6NDOptPrefixInfo(prefix="2001:db8:bad::", prefixlen=64, L=1, A=1))


def test_router_advertisement_of_a_vm(host, three):
    victim, attacker, _ = three
    routes = host.run("ip", "-6", "route").stdout
    frame = rogue_advertisement(attacker)
    attacker.send(frame)
    frame.dst = victim.mac
    attacker.send(frame)
    victim.expect_none(lambda p: ICMPv6ND_RA in p and p.src == attacker.mac)
    assert host.run("ip", "-6", "route").stdout == routes


def test_router_advertisement_behind_an_extension_header(three):
    """A hop-by-hop or fragment header before it must not carry it past the rule."""
    victim, attacker, _ = three
    plain = rogue_advertisement(attacker)
    for header in (IPv6ExtHdrHopByHop(), IPv6ExtHdrDestOpt(), IPv6ExtHdrFragment(id=7)):
        frame = Ether(src=attacker.mac, dst="33:33:00:00:00:01") / \
            IPv6(src=attacker.link_local, dst="ff02::1", hlim=255) / header / \
            plain[ICMPv6ND_RA].copy()
        attacker.send(frame)
    victim.expect_none(lambda p: p.src == attacker.mac and
                       (ICMPv6ND_RA in p or b"\x20\x01\x0d\xb8\x0b\xad" in bytes(p)))


def test_router_solicitation_reaches_no_other_vm(three):
    asking, other, _ = three
    asking.solicit_router()
    other.expect_none(lambda p: ICMPv6ND_RS in p)


def test_neighbour_advertisement_for_the_gateway(three):
    victim, attacker, _ = three
    router = victim.solicit_router()[IPv6].src
    attacker.send(Ether(src=attacker.mac, dst=victim.mac) /
                  IPv6(src=router, dst=victim.link_local, hlim=255) /
                  ICMPv6ND_NA(tgt=router, R=1, S=0, O=1) /
                  ICMPv6NDOptDstLLAddr(lladdr=attacker.mac))
    attacker.send(Ether(src=attacker.mac, dst=victim.mac) /
                  IPv6(src=attacker.link_local, dst=victim.link_local, hlim=255) /
                  ICMPv6ND_NA(tgt=router, R=1, S=0, O=1) /
                  ICMPv6NDOptDstLLAddr(lladdr=attacker.mac))
    victim.expect_none(lambda p: ICMPv6ND_NA in p and p[ICMPv6ND_NA].tgt == router and
                       p.src == attacker.mac)


def test_vlan_tag_hides_nothing(three):
    victim, attacker, _ = three
    attacker.send(Ether(dst=BROADCAST, src=attacker.mac) / Dot1Q(vlan=0) /
                  ARP(op=2, hwsrc=attacker.mac, psrc=victim.gateway, pdst=victim.ip))
    victim.expect_none(lambda p: ARP in p and p[ARP].hwsrc == attacker.mac and
                       p[ARP].psrc == victim.gateway)
