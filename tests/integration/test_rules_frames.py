"""What the rules keep out (hardening.md, rows 34 to 37), frame by frame.

Each attack runs twice: with the rules as installed it must fail; with the rule that stops it taken
out it must succeed, or the attack would prove nothing.
"""
import os
import re

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import ARP

from support.frame_attacks import (FRAME_ATTACKS, GATEWAY_MAC, ISOLATION_ATTACKS, LOCAL_TYPE, hairpin,
                                   offer, plain, reaches_others, to_all, to_neighbour, udp)
from support.reflection_attacks import ERROR_ATTACKS, ISOLATED_ATTACKS, NAME_ATTACKS
from support.route_attacks import ROUTE_ATTACKS, from_vm, udp_reaches
from support.rules_lab import Rules, a_lab
from support.shared_resources import BOUNDS

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and nftables")

# A network without an address of the host.
NO_ADDRESS = {"mode": "host", "subnet": None, "gateway": None,
              "prefix": None, "vm_ipv4": None, "uplink": None}
SENDERS_RULE = r"ether saddr != .* @vm_senders drop"
TO_HOST_RULES = [r"iifgroup \d+ drop", rf"ether daddr {GATEWAY_MAC} drop"]


@pytest.fixture(scope="module", params=[1, 0], ids=["bridge-nf", "no-bridge-nf"])
def shared_lab(request):
    with a_lab(request.param) as lab:
        lab.install()
        yield lab


@pytest.fixture
def lab():
    with a_lab() as fresh:
        yield fresh


@pytest.mark.parametrize("name", FRAME_ATTACKS)
def test_frame_is_kept_out(shared_lab, name):
    assert not FRAME_ATTACKS[name][0](shared_lab)


@pytest.mark.parametrize("name", FRAME_ATTACKS)
def test_frame_passes_without_its_rule(name):
    attack, rules = FRAME_ATTACKS[name]
    with a_lab(bridge_nf=0) as lab:
        lab.install()
        lab.replace_rules(*rules)
        assert attack(lab)


@pytest.mark.parametrize("frame_of", [
    plain(), plain(src="0a:00:00:00:00:77"),
    lambda s, v: to_all(s, IP(src="192.168.64.200", dst=v.ip), UDP(sport=5000, dport=5001)),
    lambda s, v: to_all(s, ARP(op=1, hwsrc=s.mac, psrc=s.ip, pdst=v.ip)),
    lambda s, v: to_all(s, IP(src=s.ip, dst=v.ip), UDP(sport=5000, dport=5001), vlan=[7]),
    lambda s, v: to_all(s, IP(src=s.ip, dst=v.ip), UDP(sport=5000, dport=5001), vlan=[5, 7]),
    lambda s, v: to_all(s, IPv6(src="fe80::aa", dst="ff02::1"), ICMPv6EchoRequest()),
    lambda s, v: to_all(s, IPv6(src=s.ip6, dst="ff02::1"), IPv6ExtHdrFragment(nh=17, m=0),
                        UDP(sport=5000, dport=5001)),
], ids=["own-mac", "any-mac", "any-address", "arp", "vlan", "two-vlans", "ipv6", "ipv6-fragment"])
def test_honest_frames_pass(shared_lab, frame_of):
    assert reaches_others(frame_of)(shared_lab)


@pytest.mark.parametrize("mac", ["00:00:5e:00:01:07", "00:00:5e:00:02:07", "52:54:00:12:34:56"])
def test_a_chosen_mac_moves(lab, mac):
    """VRRP and CARP: it is that machine's which is up."""
    lab.install()
    for first, second in (lab.vms[:2], lab.vms[1::-1]):
        assert lab.delivered(first, to_all(first, type=LOCAL_TYPE, src=mac), [second.raw])
        announced = ARP(op=2, hwsrc=mac, psrc="192.168.64.99", pdst="192.168.64.99")
        assert lab.delivered(first, to_all(first, announced, src=mac), [second.raw])


@pytest.mark.parametrize("frame_of", [
    lambda s, v: to_all(s, type=LOCAL_TYPE, src=v.mac),
    lambda s, v: to_all(s, IP(src=v.ip, dst="255.255.255.255"), UDP(sport=5000, dport=5001)),
    lambda s, v: to_all(s, ARP(op=1, hwsrc=s.mac, psrc=v.ip, pdst=v.ip)),
], ids=["mac", "ipv4", "arp"])
def test_what_a_vm_has_it_has_in_its_own_network_alone(lab, frame_of):
    """On another bridge of the host (here VM 2's) a machine may have that MAC, or address."""
    lab.install()
    other = lab.vms[2]
    host = lab.bridge_socket(network=1)
    assert lab.delivered(other, frame_of(other, lab.vms[0]), [host])
    host.close()


@pytest.mark.parametrize("bridge_nf", [1, 0])
@pytest.mark.parametrize("name", ISOLATION_ATTACKS)
def test_isolation_holds(name, bridge_nf):
    attack, rules = ISOLATION_ATTACKS[name]
    with a_lab(bridge_nf) as lab:
        lab.install({"isolation": "1"})
        assert not attack(lab)
        lab.replace_rules(*rules)
        assert attack(lab)


@pytest.mark.parametrize("bridge_nf", [1, 0])
@pytest.mark.parametrize("isolated", [0, 1])
def test_no_frame_of_or_for_an_isolated_vm(bridge_nf, isolated):
    with a_lab(bridge_nf) as lab:
        lab.install(*[{"isolation": "1"} if number == isolated else {} for number in (0, 1)])
        assert not to_neighbour(lab, lab.vms[0], lab.vms[1])
        assert not hairpin(lab, lab.vms[0], lab.vms[1], lab.vms[0].tap_mac)


@pytest.mark.parametrize("bridge_nf", [1, 0])
def test_isolated_vm_has_gateway_and_uplink(bridge_nf):
    with a_lab(bridge_nf) as lab:
        lab.install({"isolation": "1"}, {"isolation": "1"})
        assert udp_reaches(lab, lab.vms[0].ns, lab.vms[0].ip, lab.host, "192.168.64.1")
        assert udp_reaches(lab, lab.vms[0].ns, lab.vms[0].ip, lab.internet, "203.0.113.1")


@pytest.mark.parametrize("bridge_nf", [1, 0])
def test_neighbours_talk_without_isolation(bridge_nf):
    with a_lab(bridge_nf) as lab:
        lab.install()
        assert to_neighbour(lab, lab.vms[0], lab.vms[1])
        assert hairpin(lab, lab.vms[0], lab.vms[1])


def test_a_network_without_addresses_has_no_host(lab):
    """The host's other addresses are not reachable by the bridge's MAC either."""
    lab.host.run("ip addr flush dev vmnet-shared0")
    lab.install(NO_ADDRESS, NO_ADDRESS)
    lab.vms[0].ns.run(f"ip neigh replace 192.168.64.1 lladdr {GATEWAY_MAC} dev eth0")
    attack = from_vm(0, "203.0.113.2", lambda l: l.host)
    assert not attack(lab)
    assert to_neighbour(lab, lab.vms[0], lab.vms[1])
    lab.replace_rules(*TO_HOST_RULES)
    assert attack(lab)


def test_bridged_mode_guards_only_our_vms_from_each_other(lab):
    """On a bridge of the user's: no spanning tree from the VM, no MAC of another VM; the user's own
    machine (here: the third port) may use any."""
    lab.host.run("ip link set vmnet-tap2 nomaster")
    lab.host.run("ip link set vmnet-tap2 name user0")
    lab.host.run("ip link set user0 master vmnet-shared0 up")
    lab.vms[2].tap = "user0"
    network = lab.networks[0]
    lab.rules["network"] = Rules(lab.host, "network", [
        "mode=bridged", f"bridge={network.bridge}", f"port_group={network.port_group}",
        *(f"vm={vm.mac}" for vm in lab.vms[:2])])
    lab.host.run("ip link set user0 group 0")
    for vm_ in lab.vms[:2]:
        lab.rules[vm_.tap] = Rules(lab.host, "vm", vm_.rule_arguments(mode="bridged"))
    impostor = lambda s: to_all(s, type=LOCAL_TYPE, src=lab.vms[1].mac)
    assert not FRAME_ATTACKS["spanning-tree"][0](lab)
    assert not lab.delivered(lab.vms[0], impostor(lab.vms[0]), [lab.vms[2].raw])
    assert lab.delivered(lab.vms[2], impostor(lab.vms[2]), [lab.vms[0].raw])
    assert reaches_others(udp(67, 68, offer()))(lab)


def shape(rule):
    """A rule without the numbers, in which the rules of one VM differ from those of another."""
    rule = re.sub(r"0x(fe80|fd)\w+", r"0x\1", rule)
    rule = re.sub(r"(fe80|fd)[\da-f]*:[\da-f:]+", r"\1::", rule)
    rule = re.sub(r"([\da-f]{2}:){5}[\da-f]{2}|\d+\.\d+\.\d+\.\d+", "ADDRESS", rule)
    rule = re.sub(r"([io]ifgroup) \d+", r"\1 N", rule)
    return re.sub(r"(vmnet-[a-z]+)\d", r"\1N", rule)


def test_every_rule_has_its_attack():
    """No rule that drops is there without an attack that succeeds where it is not."""
    attacks = [*FRAME_ATTACKS.values(), *ISOLATION_ATTACKS.values(), *ROUTE_ATTACKS.values(),
               *NAME_ATTACKS.values(), *ISOLATED_ATTACKS.values(), *ERROR_ATTACKS.values()]
    patterns = [pattern for attack in attacks for pattern in attack[1]] + \
        TO_HOST_RULES + [SENDERS_RULE, *BOUNDS]
    drops = []
    for settings in (({"isolation": "1"}, {}), ({"mode": "host"}, {"mode": "host", "isolation": "1"}),
                     ({}, {}, {"mode": "host"}), (NO_ADDRESS, NO_ADDRESS)):
        with a_lab() as lab:
            lab.install(*settings)
            drops += [line.strip() for line in lab.host.run("nft list ruleset").splitlines()
                      if line.strip().endswith("drop")]
    shown = {shape(rule) for rule in drops for pattern in patterns if re.fullmatch(pattern, rule)}
    assert len(shown) > 20
    assert not sorted({shape(rule) for rule in drops} - shown)
