"""What the rules keep out (hardening.md, rows 34 to 38), attack by attack.

Each attack runs twice: with the rules as installed it must fail; with the rule that stops it taken
out it must succeed, or the attack would prove nothing. The rules are then the same text, loaded by
nft without that line.
"""
import contextlib
import os

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import DHCP6_Advertise
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_RA, ICMPv6ND_RS,
                                ICMPv6ND_Redirect, ICMPv6NDOptUnknown, IPv6, IPv6ExtHdrDestOpt,
                                IPv6ExtHdrFragment, IPv6ExtHdrHopByHop)
from scapy.layers.l2 import ARP, Dot1Q, Dot3, Ether, LLC, SNAP
from scapy.packet import Raw

from support.rules_lab import GATEWAY_LL, Lab, Rules, udp_arrives

GATEWAY_MAC = "0e:76:6d:00:00:01"
ULA = "fd12:3456:789a:1::1"
ALL_NODES_MAC = "33:33:00:00:00:01"
LOCAL_TYPE = 0x88b5

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and nftables")


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


def udp(source_port, target_port, *inner, vlan=()):
    return lambda sender, victim: to_all(
        sender, IP(src=sender.ip, dst="255.255.255.255"), UDP(sport=source_port, dport=target_port),
        *inner, vlan=vlan)


def udp6(source_port, target_port):
    return lambda sender, victim: to_all(
        sender, IPv6(src=sender.ip6, dst="ff02::1"), UDP(sport=source_port, dport=target_port),
        DHCP6_Advertise(), dst=ALL_NODES_MAC)


def offer():
    return BOOTP(op=2, yiaddr="192.168.64.99") / DHCP(options=[("message-type", "offer"), "end"])


def neighbour_advert(target):
    return lambda sender, victim: to_all(
        sender, routers(source=sender.ip6), ICMPv6ND_NA(R=0, S=0, O=1, tgt=target), option(),
        dst=ALL_NODES_MAC)


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
VLAN_RULE = r"meta protocol \{ 8021q, 8021ad \} drop"
SPORT_RULE = r"udp sport .* drop"
DPORT_RULE = r"udp dport .* drop"
ARP_GATEWAY_RULE = r"arp saddr ip 192\.168\.64\.1 drop"
ARP_OTHERS_RULE = r"arp saddr ip 192\.168\.64\.3 iifname .* drop"
GROUPS_RULE = r"ether daddr & .* drop"
MACS_RULE = r"ether saddr @vm_macs .* drop"

# name: (the attack, the rules that stop it)
FRAME_ATTACKS = {
    "gateway-mac": (reaches_others(plain(src=GATEWAY_MAC)), [rf"ether saddr {GATEWAY_MAC} drop"]),
    "gateway-ipv4": (reaches_others(lambda s, v: to_all(s, IP(src="192.168.64.1", dst=v.ip), UDP())),
                     [r"ip saddr 192\.168\.64\.1 drop"]),
    "gateway-arp": (reaches_others(claims_gateway()), [ARP_GATEWAY_RULE]),
    "gateway-arp-vlan0": (reaches_others(claims_gateway(vlan=[0])), [ARP_GATEWAY_RULE]),
    "gateway-link-local": (
        reaches_others(lambda s, v: to_all(s, routers(GATEWAY_LL), ICMPv6EchoRequest())),
        [rf"ip6 saddr {GATEWAY_LL} drop"]),
    "gateway-ula": (reaches_others(lambda s, v: to_all(s, routers(ULA), ICMPv6EchoRequest())),
                    [rf"ip6 saddr {ULA} drop"]),
    "neighbour-advert-link-local": (reaches_others(neighbour_advert(GATEWAY_LL)),
                                    [r".*@th,64,128 0xfe80.* drop"]),
    "neighbour-advert-ula": (reaches_others(neighbour_advert(ULA)),
                             [r".*@th,64,128 0xfd12.* drop"]),
    "neighbour-advert-fragment": (
        reaches_others(first_fragment(58, bytes([136, 0, 0, 0, 0, 0, 0, 0]))),
        [r"icmpv6 type .* exthdr frag exists drop"]),
    "dhcp-offer": (reaches_others(udp(67, 1068, offer())), [SPORT_RULE]),
    "dhcp-offer-odd-port": (reaches_others(udp(1067, 68, offer())), [DPORT_RULE]),
    "dhcp-offer-vlan0": (reaches_others(udp(1067, 68, offer(), vlan=[0])), [DPORT_RULE]),
    "dhcp-offer-vlan5": (reaches_others(udp(67, 1068, offer(), vlan=[5])), [SPORT_RULE]),
    "dhcp-request": (reaches_others(udp(1068, 67)), [DPORT_RULE]),
    "dhcp6-reply": (reaches_others(udp6(547, 1546)), [SPORT_RULE]),
    "dhcp6-reply-odd-port": (reaches_others(udp6(1547, 546)), [DPORT_RULE]),
    "router-advert": (reaches_others(ra()), [ROUTER_RULE]),
    "router-advert-vlan0": (reaches_others(ra(vlan=[0])), [ROUTER_RULE]),
    "router-advert-vlan5": (reaches_others(ra(vlan=[5])), [ROUTER_RULE]),
    "router-advert-two-tags": (reaches_others(ra(vlan=[0, 0])), [VLAN_RULE]),
    "router-advert-three-tags": (reaches_others(ra(vlan=[0, 0, 0])), [VLAN_RULE]),
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
        [r"ip saddr 192\.168\.64\.3 iifname .* drop"]),
}


@contextlib.contextmanager
def a_lab(bridge_nf=1):
    lab = Lab(bridge_nf)
    try:
        yield lab
    finally:
        lab.close()


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
    lambda s, v: to_all(s, IPv6(src="fe80::aa", dst="ff02::1"), ICMPv6EchoRequest()),
    lambda s, v: to_all(s, IPv6(src=s.ip6, dst="ff02::1"), IPv6ExtHdrFragment(nh=17, m=0),
                        UDP(sport=5000, dport=5001)),
], ids=["own-mac", "any-mac", "any-address", "arp", "vlan", "ipv6", "ipv6-fragment"])
def test_honest_frames_pass(shared_lab, frame_of):
    assert reaches_others(frame_of)(shared_lab)


def test_a_chosen_mac_is_protected_once_learned(lab):
    lab.install()
    chosen = "0a:00:00:00:00:42"
    attack = reaches_others(lambda s, v: to_all(s, type=LOCAL_TYPE, src=chosen))
    assert attack(lab)
    assert lab.rules[1].command(f"mac {chosen}") == "ok"
    assert not attack(lab)
    frame = to_all(lab.vms[1], type=LOCAL_TYPE, src=chosen)
    assert lab.delivered(lab.vms[1], frame, [lab.vms[0].raw])


def test_nobody_holds_a_mac_that_is_anothers(lab):
    """VM 0 uses VM 1's MAC while that one is away; VM 1 comes back and is heard."""
    lab.install()
    lab.rules.pop(1).close()
    assert lab.rules[0].command(f"mac {lab.vms[1].mac}") == "ok"
    lab.rules.append(Rules(lab.host, lab.vms[1].rule_arguments()))
    assert lab.delivered(lab.vms[1], to_all(lab.vms[1], type=LOCAL_TYPE), [lab.vms[0].raw])
    assert not FRAME_ATTACKS["mac-of-another"][0](lab)


# --- isolation ---

def to_neighbour(lab, sender, victim):
    frame = to_all(sender, type=LOCAL_TYPE, dst=victim.mac)
    _learn(lab)
    return lab.delivered(sender, frame, [victim.raw], sentinel=False)


def _learn(lab):
    for vm in lab.vms:
        vm.raw.send(to_all(vm, type=LOCAL_TYPE))


def hairpin(lab, sender, victim):
    """VM to VM through the gateway: the frame goes to the gateway's MAC."""
    lab.host.run(f"ip neigh replace {victim.ip} lladdr {victim.mac} dev {victim.network.bridge}")
    packet = IP(src=sender.ip, dst=victim.ip) / UDP(sport=5000, dport=5001)
    frame = to_all(sender, packet, dst=GATEWAY_MAC)
    _learn(lab)
    return lab.delivered(sender, frame, [victim.raw], sentinel=False)


ISOLATION_ATTACKS = {
    "from-isolated": (lambda lab: to_neighbour(lab, lab.vms[0], lab.vms[1]),
                      [r'iifname "vmnet-tap0" drop']),
    "to-isolated": (lambda lab: to_neighbour(lab, lab.vms[1], lab.vms[0]),
                    [r'oifname "vmnet-tap0" drop']),
    "hairpin-from": (lambda lab: hairpin(lab, lab.vms[0], lab.vms[1]),
                     [r'oifname "vmnet-shared0" ether daddr .* drop']),
    "hairpin-to": (lambda lab: hairpin(lab, lab.vms[1], lab.vms[0]),
                   [r'oifname "vmnet-shared0" ether daddr .* drop']),
}


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


# --- routing ---

def udp_reaches(lab, source, source_address, target, address, bind="", port=5001):
    """Whether a datagram of `source` arrives; if so, the sender that the receiver sees."""
    server = target.udp_socket(bind or ("::" if ":" in address else "0.0.0.0"), port)
    client = source.udp_socket(source_address, 0)
    try:
        return udp_arrives(server, lambda: _send(client, address, port))
    finally:
        server.close()
        client.close()


def _send(client, address, port):
    with contextlib.suppress(OSError):  # "no route" is one way of not arriving
        client.sendto(b"knock", (address, port))


def from_vm(number, address, target):
    def attack(lab):
        vm = lab.vms[number]
        source = vm.ip6 if ":" in address else vm.ip
        return udp_reaches(lab, vm.ns, source, target(lab), address)
    return attack


def spoofed(lab, source, target, address, **arguments):
    """VM 0 speaks from an address that is not of its network."""
    vm = lab.vms[0]
    length = 128 if ":" in source else 32
    # Its neighbour discovery would be dropped as well, before the packet that is looked at.
    vm.ns.run(f"ip neigh replace {ULA} lladdr {GATEWAY_MAC} dev eth0")
    vm.ns.run(f"ip addr add {source}/{length} dev eth0" + (" nodad" if length == 128 else ""))
    return udp_reaches(lab, vm.ns, source, target, address, **arguments)


def loopback_service(lab):
    """A host with route_localnet, as Kubernetes sets it, and a service on 127.0.0.1."""
    lab.host.write_sysctl("net/ipv4/conf/all/route_localnet", 1)
    vm = lab.vms[0]
    vm.ns.run("ip route flush table local")
    vm.ns.run(f"ip route replace local {vm.ip} dev lo table local")
    vm.ns.run("ip route replace 127.0.0.1 via 192.168.64.1")
    return udp_reaches(lab, vm.ns, vm.ip, lab.host, "127.0.0.1", bind="127.0.0.1")


def through_host(source, address, target):
    return lambda lab: udp_reaches(lab, source(lab), "::" if ":" in address else "0.0.0.0",
                                   target(lab), address)


def internet(lab):
    return lab.internet


def lan(lab):
    return lab.lan


def vm(number):
    return lambda lab: lab.vms[number].ns


BETWEEN_RULES = [r'[io]ifname "vmnet-\*" drop', r"drop"]
# name: (attack, rules that stop it, settings of VM 0's and VM 2's networks)
ROUTE_ATTACKS = {
    "other-network": (from_vm(0, "192.168.65.4", vm(2)), BETWEEN_RULES, {}, {}),
    "other-network-ipv6": (from_vm(0, "fd12:3456:789a:2::12", vm(2)), BETWEEN_RULES, {}, {}),
    "host-mode-out": (from_vm(2, "203.0.113.1", internet), [r"drop"], {}, {"mode": "host"}),
    "host-mode-out-ipv6": (from_vm(2, "2001:db8:1::1", internet), [r"drop"], {},
                           {"mode": "host"}),
    "shared-to-host-mode": (from_vm(0, "192.168.65.4", vm(2)),
                            [r'oifname "vmnet-shared1" drop', *BETWEEN_RULES], {},
                            {"mode": "host"}),
    "into-host-mode": (through_host(internet, "192.168.65.4", vm(2)),
                       [r'oifname "vmnet-shared1" drop'], {}, {"mode": "host"}),
    "foreign-source-out": (lambda lab: spoofed(lab, "10.9.9.9", lab.internet, "203.0.113.1"),
                           [r"ip saddr != 192\.168\.64\.0/24 drop"], {}, {}),
    "foreign-source-out-ipv6": (
        lambda lab: spoofed(lab, "2001:db8:9::9", lab.internet, "2001:db8:1::1"),
        [r"ip6 saddr != fd12:3456:789a:1::/64 drop"], {}, {}),
    "foreign-source-in": (lambda lab: spoofed(lab, "10.9.9.9", lab.host, "192.168.64.1"),
                          [r"ip saddr != 192\.168\.64\.0/24 drop"], {}, {}),
    "foreign-source-in-ipv6": (lambda lab: spoofed(lab, "2001:db8:9::9", lab.host, ULA),
                               [r"ip6 saddr != \{ ::, fd12:3456:789a:1::/64.* drop"], {}, {}),
    "host-loopback": (loopback_service, [r"ip daddr 127\.0\.0\.0/8 drop"], {}, {}),
    "uplink-to-vm": (through_host(internet, "192.168.64.2", vm(0)), [r"drop"], {}, {}),
    "uplink-to-vm-ipv6": (through_host(internet, "fd12:3456:789a:1::10", vm(0)), [r"drop"],
                          {}, {}),
    "lan-to-vm": (through_host(lan, "192.168.64.2", vm(0)), [r"drop"], {}, {}),
    "uplink-to-lan": (through_host(internet, "198.51.100.1", lan),
                      [r"meta nfproto ipv4 iifname @guarded_ipv4 .* drop"], {}, {}),
    "uplink-to-lan-ipv6": (through_host(internet, "2001:db8:2::1", lan),
                           [r"meta nfproto ipv6 iifname @guarded_ipv6 .* drop"], {}, {}),
}


@pytest.mark.parametrize("name", ROUTE_ATTACKS)
def test_packet_is_kept_out(lab, name):
    attack, rules, first, third = ROUTE_ATTACKS[name]
    lab.internet.run("ip route add 198.51.100.0/24 via 203.0.113.2")
    lab.install(first, first, third)
    assert not attack(lab)
    lab.replace_rules(*rules)
    for namespace in (lab.host, *(one.ns for one in lab.vms)):
        namespace.run("ip addr flush to 10.9.9.9")
        namespace.run("ip -6 addr flush to 2001:db8:9::9")
    assert attack(lab)


def test_uplink_by_the_hosts_address(lab):
    lab.install()
    assert udp_reaches(lab, lab.vms[0].ns, lab.vms[0].ip, lab.internet,
                       "203.0.113.1") == "203.0.113.2"
    assert udp_reaches(lab, lab.vms[0].ns, lab.vms[0].ip6, lab.internet,
                       "2001:db8:1::1") == "2001:db8:1::2"
    lab.vms[0].ns.run("ping -c1 -W2 203.0.113.1")
    lab.vms[0].ns.run("ping -c1 -W2 2001:db8:1::1")
    lab.vms[0].ns.run("ping -c1 -W2 fe80::c76:6dff:fe00:1%eth0")


def test_the_hosts_own_packets_keep_their_source(lab):
    lab.install()
    assert udp_reaches(lab, lab.host, "192.168.64.1", lab.host, "192.168.64.1") == "192.168.64.1"


def test_a_published_port_reaches_the_vm(lab):
    lab.install()
    lab.host.run("nft -f -", stdin="""table ip published {
        chain prerouting {
            type nat hook prerouting priority dstnat;
            iifname "eth0" udp dport 8080 dnat to 192.168.64.2:5001
        }
    }
    """)
    server = lab.vms[0].ns.udp_socket("0.0.0.0", 5001)
    client = lab.internet.udp_socket("0.0.0.0", 0)
    assert udp_arrives(server, lambda: client.sendto(b"knock", ("203.0.113.2", 8080)))
    server.close()
    client.close()


def test_the_guard_follows_its_list(lab):
    lab.internet.run("ip route add 198.51.100.0/24 via 203.0.113.2")
    lab.install({"uplink": None}, {"uplink": None}, {"uplink": None})
    attack = through_host(internet, "198.51.100.1", lan)
    assert attack(lab)
    assert lab.rules[0].command("uplinks eth1 eth0").startswith("ok")
    assert not attack(lab)
    assert lab.rules[0].command("uplinks").startswith("ok")
    assert attack(lab)


def test_a_network_without_addresses_has_no_host(lab):
    """The host's other addresses are not reachable by the bridge's MAC either."""
    lab.host.run("ip addr flush dev vmnet-shared0")
    none = {"mode": "host", "subnet": None, "gateway": None, "gateway_ll": None,
            "gateway_ula": None, "prefix": None, "vm_ipv4": None, "uplink": None}
    lab.install(none, none)
    lab.vms[0].ns.run(f"ip neigh replace 192.168.64.1 lladdr {GATEWAY_MAC} dev eth0")
    attack = from_vm(0, "203.0.113.2", lambda l: l.host)
    assert not attack(lab)
    assert to_neighbour(lab, lab.vms[0], lab.vms[1])
    lab.replace_rules(r'iifname "vmnet-tap\d" drop')
    assert attack(lab)


# Row 38: the host's services that listen on all addresses are reachable from a VM by the gateway's
# address and the host's others, as they are from the LAN; a rule of the user's closes them.
def test_the_users_rule_closes_the_hosts_services(lab):
    lab.install()
    for address in ("192.168.64.1", "203.0.113.2"):
        assert udp_reaches(lab, lab.vms[0].ns, lab.vms[0].ip, lab.host, address)
    lab.host.run("nft -f -", stdin="""table inet mine {
        chain input {
            type filter hook input priority filter;
            iifname "vmnet-*" meta l4proto { tcp, udp } ct state new drop
        }
    }
    """)
    for address in ("192.168.64.1", "203.0.113.2"):
        assert not udp_reaches(lab, lab.vms[0].ns, lab.vms[0].ip, lab.host, address)
    assert udp_reaches(lab, lab.vms[0].ns, lab.vms[0].ip, lab.internet, "203.0.113.1")


def test_bridged_mode_guards_only_our_vms_from_each_other(lab):
    """On a bridge of the user's: no spanning tree from the VM, no MAC of another VM; the user's own
    machine (here: the third port) may use any."""
    lab.host.run("ip link set vmnet-tap2 nomaster")
    lab.host.run("ip link set vmnet-tap2 name user0")
    lab.host.run("ip link set user0 master vmnet-shared0 up")
    lab.vms[2].tap = "user0"
    bridged = {"mode": "bridged"}
    for vm_ in lab.vms[:2]:
        lab.rules.append(Rules(lab.host, vm_.rule_arguments(**bridged)))
    impostor = lambda s: to_all(s, type=LOCAL_TYPE, src=lab.vms[1].mac)
    assert not FRAME_ATTACKS["spanning-tree"][0](lab)
    assert not lab.delivered(lab.vms[0], impostor(lab.vms[0]), [lab.vms[2].raw])
    assert lab.delivered(lab.vms[2], impostor(lab.vms[2]), [lab.vms[0].raw])
    assert reaches_others(udp(67, 68, offer()))(lab)
