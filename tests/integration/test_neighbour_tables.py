"""No VM fills the host's table of neighbours, which all networks share: the host would reach nobody
new, its own router included. Each flood runs with the rules and, to prove itself, without."""

import ipaddress
import os

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

from support.frame_attacks import GATEWAY_MAC, ULA
from support.rules_lab import a_lab

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and nftables")

BOUND = 64
# Well below the kernel's limit, which all network namespaces share: nobody else is to notice.
FLOOD = 150
SMALL = {}
LARGE = {"subnet": "192.168.64.0/20"}
BOUNDING_RULES = r".*update @vm_ipv[46].*|meta (pkttype host|protocol \{ ip, .*) drop"


def address(base, number):
    return str(ipaddress.ip_address(base) + 0x200 + number)


def solicit(vm, number):
    return Ether(src=vm.mac, dst=GATEWAY_MAC) / \
        IPv6(src=address(ULA[:-1], number), dst=ULA, hlim=255) / ICMPv6ND_NS(tgt=ULA) / \
        ICMPv6NDOptSrcLLAddr(lladdr=vm.mac)


def ping_from_many(vm, number):
    return Ether(src=vm.mac, dst=GATEWAY_MAC) / IPv6(src=address(ULA[:-1], number), dst=ULA) / \
        ICMPv6EchoRequest()


def ping_to_many(vm, number, to=GATEWAY_MAC):
    return Ether(src=vm.mac, dst=to) / IPv6(src=vm.ip6, dst=address(ULA[:-1], number)) / \
        ICMPv6EchoRequest()


def ping_by_tap(vm, number):
    """The bridge hands the host what is sent to its port's MAC as well."""
    return ping_to_many(vm, number, vm.tap_mac)


def arp(vm, number):
    return Ether(src=vm.mac, dst="ff:ff:ff:ff:ff:ff") / \
        ARP(op=1, hwsrc=vm.mac, psrc=address("192.168.64.0", number), pdst="192.168.64.1")


def foreign_arp(vm, number):
    """The host remembers whoever asks for it, where a route leads back."""
    return Ether(src=vm.mac, dst="ff:ff:ff:ff:ff:ff") / \
        ARP(op=1, hwsrc=vm.mac, psrc=address("10.1.0.0", number), pdst="192.168.64.1")


def ping_to_many_link_locals(vm, number):
    return Ether(src=vm.mac, dst=GATEWAY_MAC) / IPv6(src=vm.ip6, dst=address("fe80::", number)) / \
        ICMPv6EchoRequest()


def udp_to_many(vm, number):
    return Ether(src=vm.mac, dst=GATEWAY_MAC) / \
        IP(src=vm.ip, dst=address("192.168.64.0", number)) / UDP(sport=1, dport=9)


# name: (what is sent, the settings of the network)
FLOODS = {"solicitations": (solicit, SMALL), "from-many": (ping_from_many, SMALL),
          "to-many": (ping_to_many, SMALL), "by-tap": (ping_by_tap, SMALL),
          "to-many-link-locals": (ping_to_many_link_locals, SMALL),
          "foreign-arp": (foreign_arp, SMALL), "arp": (arp, LARGE),
          "ipv4-to-many": (udp_to_many, LARGE)}


def neighbours_after(lab, frame_of):
    """How many neighbours the host has on the network's bridge after the flood."""
    # A host network as large as the rules say.
    lab.host.run("ip addr replace 192.168.64.1/20 dev vmnet-shared0")
    for number in range(FLOOD):
        lab.vms[0].raw.send(bytes(frame_of(lab.vms[0], number)))
    # NOARP: the groups that the host asks in, which the kernel gives up first.
    lines = lab.host.run("ip neigh show dev vmnet-shared0 nud all").splitlines()
    return len([line for line in lines if "NOARP" not in line])


@pytest.mark.parametrize("name", FLOODS)
def test_flood_makes_few_neighbours(name):
    frame_of, settings = FLOODS[name]
    with a_lab(bridge_nf=0) as lab:
        lab.install(settings, settings)
        assert neighbours_after(lab, frame_of) <= BOUND + 10
        lab.replace_rules(BOUNDING_RULES)
        assert neighbours_after(lab, frame_of) > BOUND + 10


# What the kernel has at most for all namespaces is a thousand.
BURST, SCAN = 64, 300
NEXT_HOP_RULES = r"jump new_hop"


def neighbours(lab, family):
    lines = lab.host.run(f"ip {family} neigh show dev eth0 nud all").splitlines()
    return [line.split()[0] for line in lines if "NOARP" not in line]


def frame_to(vm, target):
    packet = IPv6(src=vm.ip6, dst=target) if ":" in target else IP(src=vm.ip, dst=target)
    return bytes(Ether(src=vm.mac, dst=vm.network.gateway_mac) / packet / UDP(sport=1, dport=9))


def scanned(lab, base):
    """How many neighbours the host has on its uplink after a VM has tried a part of that subnet, and
    how many of a second VM's ten."""
    first, second = (address(base, 0x200 * number) for number in (0, 1))
    for number in range(SCAN):
        lab.vms[0].raw.send(frame_to(lab.vms[0], address(first, number)))
    for number in range(10):
        lab.vms[1].raw.send(frame_to(lab.vms[1], address(second, number)))
    known = neighbours(lab, "-6" if ":" in base else "-4")
    others = [address(second, number) for number in range(10)]
    return len(known), len([one for one in others if one in known])


@pytest.mark.parametrize("isolation", [{}, {"isolation": "1"}], ids=["open", "isolated"])
@pytest.mark.parametrize("base", ["203.0.112.0", "2001:db8:1::"])
def test_scan_of_the_uplinks_subnet_makes_few_neighbours(base, isolation):
    """And costs no other VM of the network its own."""
    with a_lab(bridge_nf=0) as lab:
        lab.host.run("ip addr add 203.0.113.2/20 dev eth0")
        lab.install(isolation, isolation)
        known, others = scanned(lab, base)
        assert known < 2 * BURST
        assert others == 10
        lab.replace_rules(NEXT_HOP_RULES)
        assert scanned(lab, base)[0] > 2 * BURST


@pytest.mark.parametrize("base,router", [("203.0.112.0", "203.0.113.77"), ("2001:db8:1::", "2001:db8:1::77")])
def test_scan_costs_a_vm_no_router(base, router):
    far = "2001:db8:77::1" if ":" in base else "198.18.0.1"
    family = "-6" if ":" in base else "-4"
    with a_lab(bridge_nf=0) as lab:
        vm = lab.vms[0]
        frames = [frame_to(vm, address(base, number)) for number in range(SCAN)] + [frame_to(vm, far)]

        def router_is_known():
            """When the VM has tried the subnet, and then goes by the router."""
            lab.host.run("ip neigh flush dev eth0")
            for frame in frames:
                vm.raw.send(frame)
            return router in neighbours(lab, family)

        lab.host.run("ip addr add 203.0.113.2/20 dev eth0")
        lab.host.run(f"ip route add default via {router} dev eth0")
        lab.install({"router6" if ":" in base else "router4": router})
        assert router_is_known()
        lab.replace_rules(r".* @routers_ipv. accept")
        assert not router_is_known()


def test_who_is_known_stays_known(plug):
    """The flood costs the VM its new addresses, not those it has, nor another VM anything."""
    flooding, other = plug(), plug()
    for guest in (flooding, other):
        guest.autoconfigure()
        guest.dhcp()
    gateway = str(ipaddress.ip_address(flooding.helper.json["vmnet_nat66_prefix"]) + 1)
    router = flooding.neighbour(gateway)
    flooding.ping6(gateway, router)
    for number in range(FLOOD):
        source = str(ipaddress.ip_address(gateway) + 0x200 + number)
        flooding.send(Ether(src=flooding.mac, dst=router) / IPv6(src=source, dst=gateway) /
                      ICMPv6EchoRequest())
    flooding.drain()
    flooding.ping6(gateway, router)
    other.ping6(gateway, router)
    flooding.ping(flooding.gateway)
