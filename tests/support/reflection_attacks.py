"""Ways to have the host send a VM what another one wrote: the gateway answers, but not to the asker.

As in frame_attacks.py: VM 0 attacks VM 1, and succeeds where VM 1 is sent its bytes, or what was meant
for VM 1 goes to VM 0.
"""
import contextlib

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import (HBHOptUnknown, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS,
                                ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, ICMPv6NDOptUnknown, IPv6,
                                IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop)
from scapy.layers.l2 import ARP, Ether

from support.frame_attacks import (ALL_NODES_MAC, ARP_MAC_RULE, GATEWAY_MAC, LOCAL_TYPE, ND_HEADER_RULE,
                                   ULA, USED_ARP_MAC_RULE, marker, to_all)
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
    return f"{address}%{vm.network.bridge}" if address.startswith("fe80") else address


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


def asks_in_the_name_of(address):
    def attack(lab):
        use(lab, lab.vms[1], address)
        return answered_to(lab, lab.vms[1], address)
    return attack


def asks_as_everybody(lab):
    return answered_to(lab, lab.vms[1], "192.168.64.255")


def takes_over(address):
    """VM 0 says that it has what VM 1 has."""
    def attack(lab):
        sender, victim = lab.vms[:2]
        use(lab, victim, address)
        if ":" in address:
            send(sender, IPv6(src=sender.link_local, dst=GATEWAY_LL, hlim=255),
                 *advert(address, sender.mac))
        else:
            no_locktime(lab)
            send(sender, ARP(op=1, hwsrc=sender.mac, psrc=address, pdst=GATEWAY))
        # Whatever comes next is behind it in the queue.
        host_reaches(lab, sender, sender.ip)
        return neighbour(lab, address) == sender.mac
    return attack


def claims_again(address):
    """VM 0 asks whether it may have what VM 1 has, which would make it VM 0's towards the rules."""
    def attack(lab):
        sender, victim = lab.vms[:2]
        use(lab, victim, address)
        send(sender, IPv6(src="::", dst=GATEWAY_LL, hlim=255), ICMPv6ND_NS(tgt=address))
        lab.host.run(f"ip neigh flush dev {BRIDGE}")
        return not host_reaches(lab, victim, address)
    return attack


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


def solicit(_address, mac):
    return ICMPv6ND_NS(tgt=ULA), ICMPv6NDOptSrcLLAddr(lladdr=mac)


def advert(address, mac):
    return ICMPv6ND_NA(R=0, S=0, O=1, tgt=address), ICMPv6NDOptDstLLAddr(lladdr=mac)


def says_by_neighbour_discovery(kind, mac_of, header=(), option=()):
    """The same by IPv6; a header or another option is to hide the one with the MAC."""
    def attack(lab):
        sender, victim = lab.vms[:2]
        use(lab, sender, sender.ip6)
        message, address_option = kind(sender.ip6, mac_of(victim))
        send(sender, IPv6(src=sender.ip6, dst=ULA, hlim=255), *header, message, *option, address_option)
        return answered_to(lab, victim, sender.ip6)
    return attack


def errs_in_the_name_of_vm2(packet_of, to=GATEWAY_MAC):
    """A packet that the host refuses before it asks any rule for IP: what it says of that goes to VM 2,
    on another network, with the packet in it."""
    def attack(lab):
        sender, victim = lab.vms[0], lab.vms[2]
        assert host_reaches(lab, victim, victim.ip) and host_reaches(lab, victim, victim.ip6)
        frame = bytes(Ether(dst=to, src=sender.mac) / packet_of(victim) / UDP(dport=9) / marker())
        return lab.delivered(sender, frame, [victim.raw], sentinel=False)
    return attack


def unknown_option(victim, to):
    """One whose sender wants to hear where it is not known, from a group's members too (RFC 8200, 4.2)."""
    return IPv6(src=victim.ip6, dst=to) / IPv6ExtHdrHopByHop(options=HBHOptUnknown(otype=0x9e, optdata=b"12"))


def victims_mac(victim):
    return victim.mac


def chosen_mac(_victim):
    return CHOSEN_MAC


def everybodys_mac(_victim):
    return EVERYBODY


def once_it_spoke_from_there(attack):
    """VM 0 has used VM 1's MAC while that one was away."""
    def after_that(lab):
        sender, victim = lab.vms[:2]
        come_back = lab.away(1)
        with contextlib.closing(lab.bridge_socket()) as host:
            assert lab.delivered(sender, to_all(sender, type=LOCAL_TYPE, src=victim.mac), [host])
            come_back()
            assert lab.delivered(victim, to_all(victim, type=LOCAL_TYPE), [host])
        return attack(lab)
    return after_that


def is_forgotten(lab):
    """VM 0 has a MAC of its own choice, which the bridge forgets while the host knows it."""
    sender, victim = lab.vms[:2]
    sender.ns.run(f"ip link set eth0 address {CHOSEN_MAC}")
    use(lab, sender, STATIC)
    question = echo_request(STATIC, CHOSEN_MAC)
    lab.host.run(f"bridge link set dev {sender.tap} learning off")
    lab.host.run(f"ip link set {sender.tap} type bridge_slave fdb_flush")
    return lab.delivered(sender, question, [victim.raw], sentinel=False)


CLAIMED = r"{} @claimed_\w+ iifgroup .* drop"
CLAIMED_IPV4 = CLAIMED.format("ip saddr")
CLAIMED_ARP = CLAIMED.format("arp saddr ip")
CLAIMED_IPV6 = CLAIMED.format("ip6 saddr")
CLAIMED_TARGET = CLAIMED.format("icmpv6 type nd-neighbor-advert @th,64,128")
CLAIMED_TENTATIVE = CLAIMED.format("icmpv6 type nd-neighbor-solicit ip6 saddr :: @th,64,128")
TO_VM_RULE = r'oifname "vmnet-tap\d" ether daddr & .* drop'
TO_VM_IPV6_RULE = r'oifname "vmnet-tap\d" ip6 daddr .* drop'

# name: (attack, the rules that stop it), with one of the two VMs isolated or both.
CLAIM_ATTACKS = {
    "asks-as-static-ipv4": (asks_in_the_name_of(STATIC), [CLAIMED_IPV4]),
    "asks-as-ipv6": (asks_in_the_name_of(PRIVATE), [CLAIMED_IPV6]),
    "asks-as-link-local": (asks_in_the_name_of(LINK_LOCAL), [CLAIMED_IPV6]),
    "takes-static-ipv4": (takes_over(STATIC), [CLAIMED_ARP]),
    "takes-ipv6": (takes_over(PRIVATE), [CLAIMED_TARGET]),
    "takes-link-local": (takes_over(LINK_LOCAL), [CLAIMED_TARGET]),
    "claims-what-is-claimed": (claims_again(PRIVATE), [CLAIMED_TENTATIVE]),
}
# The same between any two VMs, isolated or not.
MAC_ATTACKS = {
    "asks-as-everybody": (asks_as_everybody, [r"ip saddr 192\.168\.64\.255 drop"]),
    "arp-to-victim": (says_by_arp(victims_mac), [ARP_MAC_RULE, USED_ARP_MAC_RULE]),
    "arp-to-all-ports": (says_by_arp(chosen_mac), [ARP_MAC_RULE, TO_VM_RULE]),
    "arp-to-everybody": (says_by_arp(everybodys_mac), [ARP_MAC_RULE]),
    "solicit-to-victim": (says_by_neighbour_discovery(solicit, victims_mac), [TO_VM_IPV6_RULE]),
    "solicit-to-all-ports": (says_by_neighbour_discovery(solicit, chosen_mac),
                             [TO_VM_IPV6_RULE, TO_VM_RULE]),
    "solicit-to-everybody": (says_by_neighbour_discovery(solicit, everybodys_mac), [TO_VM_IPV6_RULE]),
    "advert-to-victim": (says_by_neighbour_discovery(advert, victims_mac), [TO_VM_IPV6_RULE]),
    "solicit-behind-header": (
        says_by_neighbour_discovery(solicit, victims_mac, header=[IPv6ExtHdrDestOpt()]),
        [ND_HEADER_RULE, TO_VM_IPV6_RULE]),
    "solicit-behind-option": (
        says_by_neighbour_discovery(solicit, victims_mac,
                                    option=[ICMPv6NDOptUnknown(type=253, len=1, data=bytes(6))]),
        [TO_VM_IPV6_RULE]),
    "arp-to-absent": (once_it_spoke_from_there(says_by_arp(victims_mac)), [USED_ARP_MAC_RULE]),
    "solicit-to-absent": (
        once_it_spoke_from_there(says_by_neighbour_discovery(solicit, victims_mac)), [TO_VM_IPV6_RULE]),
    "forgotten-mac": (is_forgotten, [TO_VM_RULE]),
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
    "unknown-option": (errs_in_the_name_of_vm2(lambda v: unknown_option(v, ULA)),
                       [FOREIGN_IPV6, FOREIGN_OPTIONS]),
    "unknown-option-to-all": (
        errs_in_the_name_of_vm2(lambda v: unknown_option(v, "ff02::1"), ALL_NODES_MAC),
        [FOREIGN_OPTIONS]),
}
