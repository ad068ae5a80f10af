"""Frames that a VM must not get through with, each with the rules that stop it.

An attack is a function of a rules_lab.Lab that returns whether it succeeded. The VMs are those of
the lab: VM 0 attacks VM 1 and the host.
"""
import os

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import DHCP6_Advertise
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_RS,
                                ICMPv6ND_Redirect, ICMPv6NDOptUnknown, IPv6, IPv6ExtHdrDestOpt,
                                IPv6ExtHdrFragment, IPv6ExtHdrHopByHop)
from scapy.layers.l2 import ARP, Dot1Q, Dot3, Ether, LLC, SNAP
from scapy.packet import Raw

from support.rules_lab import GATEWAY_LL

GATEWAY_MAC = "0e:76:6d:00:00:01"
ULA = "fd12:3456:789a:1::1"
ALL_NODES_MAC = "33:33:00:00:00:01"
LOCAL_TYPE = 0x88b5


def marker():
    return os.urandom(8)


def to_all(sender, *layers, vlan=(), **ether):
    """An Ethernet frame to everybody with a marker last."""
    frame = Ether(**{"dst": "ff:ff:ff:ff:ff:ff", "src": sender.mac, **ether})
    for tag in vlan:
        frame /= Dot1Q(vlan=tag)
    for layer in layers:
        frame /= layer
    return bytes(frame / Raw(marker()))


def reaches_others(frame_of):
    """An attack that sends one frame from VM 0 and succeeds where VM 1 or the host gets it."""
    def attack(lab):
        sender, victim = lab.vms[0], lab.vms[1]
        host = lab.bridge_socket()
        try:
            return lab.delivered(sender, frame_of(sender, victim), [victim.raw, host])
        finally:
            host.close()
    return attack


def moves_mac(frame_of):
    """An attack that sends one frame from VM 0 and succeeds where the bridge then looks for VM 1
    there."""
    def attack(lab):
        sender, victim = lab.vms[0], lab.vms[1]
        lab.delivered(victim, to_all(victim, type=LOCAL_TYPE), [sender.raw])
        assert lab.fdb_port(victim.mac) == victim.tap
        sender.raw.send(frame_of(sender, victim))
        lab.delivered(sender, to_all(sender, type=LOCAL_TYPE), [victim.raw])
        return lab.fdb_port(victim.mac) == sender.tap
    return attack


def routers(source="fe80::bad", destination="ff02::1"):
    return IPv6(src=source, dst=destination, hlim=255)


def advert():
    return ICMPv6ND_RA(routerlifetime=1800)


def option():
    # Carries the marker inside the packet: br_netfilter cuts what follows it.
    return ICMPv6NDOptUnknown(type=253, len=2, data=b"\0" * 6)


def ra(*extension, vlan=()):
    return lambda sender, victim: to_all(sender, routers(), *extension, advert(), option(),
                                         vlan=vlan, dst=ALL_NODES_MAC)


def service_tagged(frame):
    """The same frame with its third tag of type 802.1ad."""
    return frame[:20] + b"\x88\xa8" + frame[22:]


def udp(source_port, target_port, *inner, vlan=()):
    return lambda sender, victim: to_all(
        sender, IP(src=sender.ip, dst="255.255.255.255"), UDP(sport=source_port, dport=target_port),
        *inner, vlan=vlan)


def unreadable(layer, *inner):
    """A packet with a header that the kernel refuses, and with it nftables: but packet sockets see it."""
    return lambda sender, victim: to_all(sender, layer(sender), *inner)


def to_everybody(**header):
    return lambda sender: IP(src=sender.ip, dst="255.255.255.255", **header)


def udp6(source_port, target_port):
    return lambda sender, victim: to_all(
        sender, IPv6(src=sender.ip6, dst="ff02::1"), UDP(sport=source_port, dport=target_port),
        DHCP6_Advertise(), dst=ALL_NODES_MAC)


def offer():
    return BOOTP(op=2, yiaddr="192.168.64.99") / DHCP(options=[("message-type", "offer"), "end"])


def neighbour_message(message, *before, source=None):
    """Neighbour discovery whose one option is the marker."""
    def frame_of(sender, victim):
        frame = Ether(dst=ALL_NODES_MAC, src=sender.mac) / routers(source=source or sender.ip6)
        for layer in before:
            frame /= layer
        return bytes(frame / message(victim) / Raw(bytes([253, 1]) + os.urandom(6)))
    return frame_of


def neighbour_advert(target, *before):
    return neighbour_message(lambda victim: ICMPv6ND_NA(R=0, S=0, O=1, tgt=target), *before)


def snap_advert(sender, victim):
    inner = bytes(routers() / advert() / option() / Raw(marker()))
    llc = LLC(dsap=0xaa, ssap=0xaa, ctrl=3) / SNAP(OUI=0, code=0x86dd)
    return bytes(Dot3(dst="ff:ff:ff:ff:ff:ff", src=sender.mac) / llc / Raw(inner))


def first_fragment(next_header, payload):
    """The first fragment of a packet that goes on with `payload`."""
    return lambda sender, victim: to_all(
        sender, routers(source=sender.ip6),
        IPv6ExtHdrFragment(nh=next_header, offset=0, m=1, id=7), Raw(payload), dst=ALL_NODES_MAC)


def claims_victim(vlan=()):
    return lambda sender, victim: to_all(
        sender, ARP(op=2, hwsrc=sender.mac, psrc=victim.ip, pdst=victim.ip), vlan=vlan)


def claims_gateway(vlan=()):
    return lambda sender, victim: to_all(
        sender, ARP(op=2, hwsrc=sender.mac, psrc="192.168.64.1", pdst=victim.ip), vlan=vlan)


def plain(**ether):
    return lambda sender, victim: to_all(sender, **{"type": LOCAL_TYPE, **ether})


ROUTER_RULE = r"icmpv6 type \{ nd-router-solicit, .* drop"
LAST_RULE = r"meta protocol \{ ip, arp, 8021q, ip6, 8021ad \} drop"
UNREADABLE_RULE = LAST_RULE
VLAN_RULES = [LAST_RULE]
SPORT_RULE = r"udp sport .* drop"
DPORT_RULE = r"udp dport .* drop"
ARP_GATEWAY_RULE = r"arp saddr ip 192\.168\.64\.1 drop"
ARP_OTHERS_RULE = r"meta mark .* arp saddr ip @ipv4 drop"
ARP_MAC_RULE = r"meta mark .* arp saddr ether @macs drop"
IPV4_RULE = r"meta mark .* ip saddr @ipv4 drop"
IPV6_RULE = r"meta mark .* ip6 saddr @ipv6 drop"
ND_HEADER_RULE = r"icmpv6 type .* ip6 nexthdr != ipv6-icmp drop"
ND_GATEWAY_RULE = r"icmpv6 type nd-neighbor-advert @th,64,128 \{.* drop"
GROUPS_RULE = r"ether daddr & .* drop"
TAP_MAC_RULE = r"meta pkttype host drop"
MACS_RULE = r"meta mark .* ether saddr @macs drop"
GATEWAY_IPV4_RULE = r"ip saddr \{ 192\.168\.64\.1, .* drop"
GATEWAY_IPV6_RULE = r"ip6 saddr \{ fd12.*, fe80::1 \} drop"

# name: (the attack, the rules that stop it)
FRAME_ATTACKS = {
    "gateway-mac": (reaches_others(plain(src=GATEWAY_MAC)), [rf"ether saddr {GATEWAY_MAC} drop"]),
    "gateway-ipv4": (reaches_others(lambda s, v: to_all(s, IP(src="192.168.64.1", dst=v.ip), UDP())),
                     [GATEWAY_IPV4_RULE]),
    "gateway-arp": (reaches_others(claims_gateway()), [ARP_GATEWAY_RULE]),
    "gateway-arp-vlan0": (reaches_others(claims_gateway(vlan=[0])), [ARP_GATEWAY_RULE]),
    "gateway-link-local": (
        reaches_others(lambda s, v: to_all(s, routers(GATEWAY_LL), ICMPv6EchoRequest())),
        [GATEWAY_IPV6_RULE]),
    "gateway-ula": (reaches_others(lambda s, v: to_all(s, routers(ULA), ICMPv6EchoRequest())),
                    [GATEWAY_IPV6_RULE]),
    "neighbour-advert-link-local": (reaches_others(neighbour_advert(GATEWAY_LL)),
                                    [ND_GATEWAY_RULE]),
    "neighbour-advert-ula": (reaches_others(neighbour_advert(ULA)),
                             [ND_GATEWAY_RULE]),
    "neighbour-advert-fragment": (
        reaches_others(first_fragment(58, bytes([136, 0, 0, 0, 0, 0, 0, 0]))), [ND_HEADER_RULE]),
    "neighbour-advert-extension": (
        reaches_others(neighbour_advert("fe80::1234", IPv6ExtHdrDestOpt())), [ND_HEADER_RULE]),
    "neighbour-advert-of-another": (
        reaches_others(neighbour_message(lambda victim: ICMPv6ND_NA(O=1, tgt=victim.link_local))),
        [r"meta mark .* nd-neighbor-advert @th,64,128 @targets drop"]),
    "tentative-address-of-another": (
        reaches_others(neighbour_message(lambda victim: ICMPv6ND_NS(tgt=victim.link_local),
                                         source="::")),
        [r"meta mark .* nd-neighbor-solicit ip6 saddr :: @th,64,128 @targets drop"]),
    "ipv6-of-another": (
        reaches_others(lambda s, v: to_all(s, IPv6(src=v.link_local, dst="ff02::1"), UDP(),
                                           dst=ALL_NODES_MAC)), [IPV6_RULE]),
    "ipv6-of-another-ula": (
        reaches_others(lambda s, v: to_all(s, IPv6(src=v.made_ip6, dst="ff02::1"), UDP(),
                                           dst=ALL_NODES_MAC)), [IPV6_RULE]),
    "arp-names-mac-of-another": (
        reaches_others(lambda s, v: to_all(s, ARP(op=1, hwsrc=v.mac, psrc=s.ip, pdst=v.ip))),
        [ARP_MAC_RULE]),
    "dhcp-offer": (reaches_others(udp(67, 1068, offer())), [SPORT_RULE]),
    "dhcp-offer-odd-port": (reaches_others(udp(1067, 68, offer())), [DPORT_RULE]),
    "dhcp-offer-vlan0": (reaches_others(udp(1067, 68, offer(), vlan=[0])), [DPORT_RULE]),
    "dhcp-offer-vlan5": (reaches_others(udp(67, 1068, offer(), vlan=[5])), [SPORT_RULE]),
    "dhcp-offer-no-version": (
        reaches_others(unreadable(to_everybody(version=5), UDP(sport=67, dport=68), offer())),
        [UNREADABLE_RULE]),
    "dhcp-offer-short-header": (
        reaches_others(unreadable(to_everybody(ihl=4), UDP(sport=67, dport=68), offer())),
        [UNREADABLE_RULE]),
    "dhcp-offer-no-length": (
        reaches_others(unreadable(to_everybody(len=0), UDP(sport=67, dport=68), offer())),
        [UNREADABLE_RULE]),
    "dhcp-offer-long": (
        reaches_others(unreadable(to_everybody(len=9000), UDP(sport=67, dport=68), offer())),
        [UNREADABLE_RULE]),
    "router-advert-long": (
        reaches_others(unreadable(lambda s: IPv6(src="fe80::bad", dst="ff02::1", hlim=255, plen=9000),
                                  advert(), option())), [UNREADABLE_RULE]),
    "dhcp-request": (reaches_others(udp(1068, 67)), [DPORT_RULE]),
    "dhcp6-reply": (reaches_others(udp6(547, 1546)), [SPORT_RULE]),
    "dhcp6-reply-odd-port": (reaches_others(udp6(1547, 546)), [DPORT_RULE]),
    "router-advert": (reaches_others(ra()), [ROUTER_RULE]),
    "router-advert-vlan0": (reaches_others(ra(vlan=[0])), [ROUTER_RULE]),
    "router-advert-vlan5": (reaches_others(ra(vlan=[5])), [ROUTER_RULE]),
    "router-advert-two-tags": (reaches_others(ra(vlan=[0, 0])), VLAN_RULES),
    "router-advert-three-tags": (reaches_others(ra(vlan=[0, 0, 0])), VLAN_RULES),
    "router-advert-outer-vlan0": (reaches_others(ra(vlan=[0, 5])), VLAN_RULES),
    "router-advert-inner-vlan0": (reaches_others(ra(vlan=[5, 0])), VLAN_RULES),
    "router-advert-third-tag": (reaches_others(ra(vlan=[5, 5, 0])), VLAN_RULES),
    "router-advert-third-service-tag": (
        reaches_others(lambda s, v: service_tagged(ra(vlan=[5, 5, 0])(s, v))), VLAN_RULES),
    "router-advert-hop-by-hop": (reaches_others(ra(IPv6ExtHdrHopByHop())), [ROUTER_RULE]),
    "router-advert-destination": (reaches_others(ra(IPv6ExtHdrDestOpt(), IPv6ExtHdrDestOpt())),
                                  [ROUTER_RULE]),
    "router-advert-atomic-fragment": (
        reaches_others(ra(IPv6ExtHdrFragment(offset=0, m=0))), [ROUTER_RULE]),
    "router-advert-snap": (reaches_others(snap_advert), [r"meta protocol 0x0004 .* drop"]),
    "router-advert-hidden-by-fragments": (
        # The options are longer than this fragment; what follows them comes with the next one.
        reaches_others(first_fragment(60, bytes([58, 4]) + bytes(14))),
        [r"frag nexthdr .* drop"]),
    "router-solicit": (
        reaches_others(lambda s, v: to_all(s, routers(s.ip6), ICMPv6ND_RS(), option())),
        [ROUTER_RULE]),
    "redirect": (
        reaches_others(lambda s, v: to_all(s, routers(), ICMPv6ND_Redirect(), option())),
        [ROUTER_RULE]),
    "spanning-tree": (reaches_others(plain(dst="01:80:c2:00:00:00")), [GROUPS_RULE]),
    "lldp-moves-mac": (moves_mac(lambda s, v: to_all(s, type=0x88cc, src=v.mac,
                                                     dst="01:80:c2:00:00:0e")), [GROUPS_RULE]),
    "mac-of-another": (reaches_others(lambda s, v: to_all(s, type=LOCAL_TYPE, src=v.mac)),
                       [MACS_RULE]),
    "mac-of-another-moves": (moves_mac(lambda s, v: to_all(s, type=LOCAL_TYPE, src=v.mac)),
                             [MACS_RULE]),
    "arp-of-another": (reaches_others(claims_victim()), [ARP_OTHERS_RULE]),
    "arp-of-another-vlan0": (reaches_others(claims_victim(vlan=[0])), [ARP_OTHERS_RULE]),
    "ipv4-of-another": (
        reaches_others(lambda s, v: to_all(s, IP(src=v.ip, dst="192.168.64.1"), UDP())),
        [IPV4_RULE]),
}


def to_neighbour(lab, sender, victim):
    frame = to_all(sender, type=LOCAL_TYPE, dst=victim.mac)
    _learn(lab)
    return lab.delivered(sender, frame, [victim.raw], sentinel=False)


def _learn(lab):
    for vm in lab.vms:
        vm.raw.send(to_all(vm, type=LOCAL_TYPE))


def hairpin(lab, sender, victim, to=GATEWAY_MAC):
    """VM to VM through the gateway: the frame goes to the gateway's MAC, or to another that the
    bridge takes for the host's."""
    link = victim.tap if victim.isolated else victim.network.bridge
    lab.host.run(f"ip neigh replace {victim.ip} lladdr {victim.mac} dev {link}")
    packet = IP(src=sender.ip, dst=victim.ip) / UDP(sport=5000, dport=5001)
    frame = to_all(sender, packet, dst=to)
    _learn(lab)
    return lab.delivered(sender, frame, [victim.raw], sentinel=False)


# VM 0 is isolated.
ISOLATION_ATTACKS = {
    "hairpin-from": (lambda lab: hairpin(lab, lab.vms[0], lab.vms[1]), [r'oifname "vmnet-\*" drop']),
    "hairpin-to": (lambda lab: hairpin(lab, lab.vms[1], lab.vms[0]), [r'oifname "vmnet-\*" drop']),
}
