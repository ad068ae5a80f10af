"""Ways to have the host send a VM what another one wrote: the gateway answers, but not to the asker.

As in frame_attacks.py: VM 0 attacks VM 1, and succeeds where VM 1 is sent its bytes, or what was meant
for VM 1 goes to VM 0.
"""
import contextlib

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import (HBHOptUnknown, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6,
                                IPv6ExtHdrHopByHop)
from scapy.layers.l2 import ARP, Ether

from support.frame_attacks import (ALL_NODES_MAC, ARP_MAC_RULE, GATEWAY_IPV4_RULE, GATEWAY_MAC, IPV4_RULE,
                                   IPV6_RULE, LAST_RULE, TAP_MAC_RULE, ULA, marker)
from support.rules_lab import GATEWAY_LL

GATEWAY = "192.168.64.1"
BRIDGE = "vmnet-shared0"
# Addresses that VMs take by themselves.
STATIC = "192.168.64.200"
PRIVATE = "fd12:3456:789a:1:abcd:ef01:2345:6789"
LINK_LOCAL = "fe80::abcd:ef01:2345:6789"
CHOSEN_MAC = "0a:00:00:00:00:66"
EVERYBODY = "ff:ff:ff:ff:ff:ff"


def echo_request(source, ether_source):
    """A question whose answer has the marker last."""
    if ":" in source:
        target = GATEWAY_LL if source.startswith("fe80") else ULA
        packet = IPv6(src=source, dst=target) / ICMPv6EchoRequest(data=marker())
    else:
        packet = IP(src=source, dst=GATEWAY) / ICMP() / marker()
    return bytes(Ether(dst=GATEWAY_MAC, src=ether_source) / packet)


def answered_to(lab, receiver, source, ether_source=None):
    """Whether the answer to a question of VM 0 in `source`'s name reaches `receiver`."""
    sender = lab.vms[0]
    question = echo_request(source, ether_source or sender.mac)
    return lab.delivered(sender, question, [receiver.raw], sentinel=False)


def on(address, vm):
    link = vm.tap if vm.isolated else vm.network.bridge
    return f"{address}%{link}" if address.startswith("fe80") else address


def host_reaches(lab, vm, address):
    return ", 0% packet loss" in lab.host.run(f"ping -c 1 -W 1 {on(address, vm)}", check=False)


def take(vm, address):
    length = "64 nodad" if ":" in address else "24"
    vm.ns.run(f"ip addr replace {address}/{length} dev eth0")


def use(lab, vm, address):
    """The VM has the address, and the host knows where."""
    take(vm, address)
    assert host_reaches(lab, vm, address)


def send(vm, *layers, to=GATEWAY_MAC):
    frame = Ether(dst=to, src=vm.mac)
    for layer in layers:
        frame /= layer
    vm.raw.send(bytes(frame))


def neighbour(lab, address):
    """The MAC that the host has for it."""
    words = lab.host.run(f"ip neigh show {address} dev {BRIDGE}").split()
    return words[words.index("lladdr") + 1] if "lladdr" in words else None


def asks_in_the_name_of(which):
    """Of VM 1: `which` names one of its addresses."""
    def attack(lab):
        victim = lab.vms[1]
        address = getattr(victim, which)
        use(lab, victim, address)
        return answered_to(lab, victim, address)
    return attack


def asks_as_everybody(lab):
    return answered_to(lab, lab.vms[1], "192.168.64.255")


def no_locktime(lab):
    """The host takes a newer answer at once, as it does after a second."""
    lab.host.write_sysctl(f"net/ipv4/neigh/{BRIDGE}/locktime", 0)


def says_by_arp(mac_of):
    """VM 0 tells the host that its own address is behind another MAC."""
    def attack(lab):
        sender, victim = lab.vms[:2]
        no_locktime(lab)
        send(sender, ARP(op=1, hwsrc=mac_of(victim), psrc=sender.ip, pdst=GATEWAY))
        return answered_to(lab, victim, sender.ip)
    return attack


def advert(address, mac):
    return ICMPv6ND_NA(R=0, S=0, O=1, tgt=address), ICMPv6NDOptDstLLAddr(lladdr=mac)


def errs_in_the_name_of_vm2(packet_of, to=GATEWAY_MAC):
    """A packet that the host refuses before it asks any rule for IP: what it says of that goes to VM 2,
    on another network, with the packet in it. `to` None: the MAC of VM 0's own TAP."""
    def attack(lab):
        sender, victim = lab.vms[0], lab.vms[2]
        assert host_reaches(lab, victim, victim.ip) and host_reaches(lab, victim, victim.ip6)
        target = sender.tap_mac if to is None else to
        frame = bytes(Ether(dst=target, src=sender.mac) / packet_of(victim) / UDP(dport=9) / marker())
        return lab.delivered(sender, frame, [victim.raw], sentinel=False)
    return attack


def unknown_option(victim, to):
    """One whose sender wants to hear where it is not known, from a group's members too (RFC 8200, 4.2)."""
    return IPv6(src=victim.ip6, dst=to) / IPv6ExtHdrHopByHop(options=HBHOptUnknown(otype=0x9e, optdata=b"12"))


def victims_mac(victim):
    return victim.mac


OWN_IPV6_RULE = r"ip6 saddr != \{ ::, fd12.* \} drop"

# name: (attack, the rules that stop it), between open VMs.
NAME_ATTACKS = {
    "asks-as-everybody": (asks_as_everybody, [GATEWAY_IPV4_RULE]),
    "asks-as-given-ipv4": (asks_in_the_name_of("ip"), [IPV4_RULE]),
    "asks-as-given-ipv6": (asks_in_the_name_of("made_ip6"), [IPV6_RULE]),
    "asks-as-given-link-local": (asks_in_the_name_of("link_local"), [IPV6_RULE]),
    "arp-to-victim": (says_by_arp(victims_mac), [ARP_MAC_RULE]),
}
# VM 0 is isolated; VM 1 may be. Where both are, link-local addresses are of different links.
ISOLATED_ATTACKS = {
    "asks-as-given-ipv4": (asks_in_the_name_of("ip"), [LAST_RULE]),
    "asks-as-given-ipv6": (asks_in_the_name_of("made_ip6"), [OWN_IPV6_RULE]),
    "asks-as-any-ipv6": (asks_in_the_name_of("ip6"), [OWN_IPV6_RULE]),
}

FOREIGN_IPV4 = rf"ip saddr != 192\.168\.64\.0/24 ether daddr {GATEWAY_MAC} drop"
FOREIGN_IPV6 = rf"ip6 saddr != \{{ ::, fd12.* \}} ether daddr {GATEWAY_MAC} drop"
FOREIGN_OPTIONS = r"ip6 nexthdr ip ip6 saddr != \{ ::, fd12.* \} drop"
# Between any two networks.
ERROR_ATTACKS = {
    "too-many-hops": (errs_in_the_name_of_vm2(lambda v: IP(src=v.ip, dst="203.0.113.1", ttl=1)),
                      [FOREIGN_IPV4]),
    "no-route": (errs_in_the_name_of_vm2(lambda v: IP(src=v.ip, dst="203.0.114.1")), [FOREIGN_IPV4]),
    "too-many-hops-ipv6": (
        errs_in_the_name_of_vm2(lambda v: IPv6(src=v.ip6, dst="2001:db8:1::1", hlim=1)), [FOREIGN_IPV6]),
    "no-route-ipv6": (
        errs_in_the_name_of_vm2(lambda v: IPv6(src=v.ip6, dst="2001:db8:9::1")), [FOREIGN_IPV6]),
    "too-many-hops-by-tap": (
        errs_in_the_name_of_vm2(lambda v: IP(src=v.ip, dst="203.0.113.1", ttl=1), to=None), [TAP_MAC_RULE]),
    "unknown-option": (errs_in_the_name_of_vm2(lambda v: unknown_option(v, ULA)),
                       [FOREIGN_IPV6, FOREIGN_OPTIONS]),
    "unknown-option-to-all": (
        errs_in_the_name_of_vm2(lambda v: unknown_option(v, "ff02::1"), ALL_NODES_MAC),
        [FOREIGN_OPTIONS]),
}
