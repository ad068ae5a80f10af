"""No VM uses up what the host has once for itself and all VMs: ports of NAT, tracked connections,
memory for fragments, MACs of a bridge. Each attack runs with the rules and, to prove itself, without."""
import os

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from support.route_attacks import udp_reaches
from support.rules_lab import Rules, a_lab
from support.shared_resources import (BEGUN, FRAGMENT_BYTES, FRAGMENTS, PROTOCOLS, SERVER, SERVER6, echo,
                                      fragment_memory, from_all_ports, header, send_incomplete,
                                      tracked)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and nftables")

UPLINK = {4: "203.0.113.2", 6: "2001:db8:1::2"}
TARGET = {4: SERVER, 6: SERVER6}
# Leaves NAT the ports from 1024 to 2047, and a VM a quarter of them.
OWN_PORTS = {"own_ports": "2048-65535"}
MORE_PORTS = range(1, 3000)
ISOLATED = {"isolation": "1"}


def vm_reaches(lab, vm, family):
    return udp_reaches(lab, vm.ns, vm.ip if family == 4 else vm.ip6, lab.internet, TARGET[family], port=53)


def host_reaches(lab, family):
    return udp_reaches(lab, lab.host, UPLINK[family], lab.internet, TARGET[family], port=53)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("settings", [{}, ISOLATED], ids=["open", "isolated"])
def test_one_vm_leaves_others_and_the_host_ports(settings, family):
    """Every port of a VM's to the host's own resolver."""
    with a_lab(bridge_nf=0) as lab:
        lab.install({**settings, **OWN_PORTS}, settings)
        from_all_ports(lab.vms[0], TARGET[family], 53, MORE_PORTS)
        assert host_reaches(lab, family)
        assert vm_reaches(lab, lab.vms[1], family)
        lab.replace_rules(BEGUN)
        from_all_ports(lab.vms[0], TARGET[family], 53, MORE_PORTS)
        assert host_reaches(lab, family)  # whose ports are others
        assert not vm_reaches(lab, lab.vms[1], family)


def test_where_vms_share_the_hosts_ports_one_takes_them_all():
    """What the range of ports is for."""
    family = 4
    with a_lab(bridge_nf=0) as lab:
        lab.install({"own_ports": None})
        lab.replace_rules(BEGUN)
        from_all_ports(lab.vms[0], TARGET[family], 53, range(1, 65536))
        assert not host_reaches(lab, family)


def seen_on_uplink(lab, frame, layer):
    """The packet that arrives on the internet of what VM 0 sends."""
    receiver = lab.internet.packet_socket("eth0")
    receiver.settimeout(1)
    try:
        for _ in range(2):  # the first may be lost to the router's neighbour discovery
            lab.vms[0].raw.send(frame)
        while True:
            packet = Ether(receiver.recv(65536))
            if layer in packet:
                return packet[layer]
    except TimeoutError:
        return None
    finally:
        receiver.close()


@pytest.mark.parametrize("target", [SERVER, SERVER6])
@pytest.mark.parametrize("port", [80, 40000, 65535])
def test_ports_and_ids_of_vms_are_apart_from_the_hosts(target, port):
    with a_lab(bridge_nf=0) as lab:
        lab.install()
        vm = lab.vms[0]
        frames = {UDP: bytes(header(vm, target) / UDP(sport=port, dport=9)),
                  TCP: bytes(header(vm, target) / TCP(sport=port, dport=9, flags="S")),
                  ICMPv6EchoRequest if ":" in target else ICMP: echo(vm, target, port)}
        for layer, frame in frames.items():
            packet = seen_on_uplink(lab, frame, layer)
            number = packet.id if layer not in (UDP, TCP) else packet.sport
            assert 1024 <= number < 32768, layer


@pytest.mark.parametrize("target", [SERVER, SERVER6])
@pytest.mark.parametrize("protocol", [47, 50, 51, 4])
def test_protocols_without_ports_stay_on_the_network(target, protocol):
    """What a peer of the host's sends it by ESP or GRE would be a VM's."""
    with a_lab(bridge_nf=0) as lab:
        lab.install()
        assert not arrives(lab, protocol, target)
        lab.replace_rules(PROTOCOLS)
        assert arrives(lab, protocol, target)


def arrives(lab, protocol, target):
    receiver = lab.internet.packet_socket("eth0")
    receiver.settimeout(1)
    layer, field = (IPv6, "nh") if ":" in target else (IP, "proto")
    frame = header(lab.vms[0], target)
    setattr(frame[layer], field, protocol)
    try:
        for _ in range(2):
            lab.vms[0].raw.send(bytes(frame / Raw(bytes(40))))
        while True:
            packet = Ether(receiver.recv(65536))
            if layer in packet and getattr(packet[layer], field) == protocol:
                return True
    except TimeoutError:
        return False
    finally:
        receiver.close()


MOST = 200


@pytest.mark.parametrize("target", [SERVER, SERVER6, "gateway", "gateway6"])
@pytest.mark.parametrize("settings", [{}, ISOLATED, {"mode": "host"}], ids=["open", "isolated", "host-mode"])
def test_one_vm_fills_no_table_of_connections(settings, target):
    with a_lab(bridge_nf=0) as lab:
        lab.install({**settings, "connections": MOST})
        vm = lab.vms[0]
        gateway6 = vm.prefix + "1" if vm.isolated else vm.network.gateway_ula
        to = {"gateway": vm.network.gateway, "gateway6": gateway6}.get(target, target)
        if settings.get("mode") == "host" and to == target:
            pytest.skip("nothing leads there")
        from_all_ports(vm, to, 9, range(1000, 3000))
        assert 0 < tracked(lab.host) <= MOST + 20
        lab.replace_rules(BEGUN)
        from_all_ports(vm, to, 9, range(3000, 5000))
        assert tracked(lab.host) > 1000


def test_other_macs_of_a_vm_have_room_together():
    with a_lab(bridge_nf=0) as lab:
        lab.install({"connections": MOST})
        vm, given = lab.vms[0], lab.vms[0].mac
        for number in range(20):
            vm.mac = f"0a:00:00:00:00:{number:02x}"
            from_all_ports(vm, SERVER, 9, range(1000 + 100 * number, 1100 + 100 * number))
        assert tracked(lab.host) <= MOST + 20
        vm.mac = given
        assert vm_reaches(lab, lab.vms[1], 4)


def test_bridged_frames_are_counted_where_br_netfilter_tracks_them():
    with a_lab(bridge_nf=1) as lab:
        lab.install({"connections": MOST})
        first, second = lab.vms[:2]
        from_all_ports(first, second.ip, 9, range(1000, 3000), mac=second.mac)
        assert tracked(lab.host) <= MOST + 20
        lab.replace_rules(BEGUN)
        from_all_ports(first, second.ip, 9, range(3000, 5000), mac=second.mac)
        assert tracked(lab.host) > 1000


def big_datagram_arrives(lab, vm, family):
    """A datagram in parts, whole again on the host."""
    address = vm.network.gateway if family == 4 else \
        (vm.prefix + "1" if vm.isolated else vm.network.gateway_ula)
    return vm.ns.popen(f"ping -c3 -i0.2 -W3 -s 8000 {address}", stdout=-3).wait() == 0


# Not large ones of IPv6: the neighbour's datagram is lost at times with the rules too, why is not known yet.
@pytest.mark.parametrize("settings", [{}, ISOLATED], ids=["open", "isolated"])
@pytest.mark.parametrize("family,size,count,rules", [(4, 8, 9000, FRAGMENTS), (6, 8, 9000, FRAGMENTS),
                                                     (4, 60000, 200, FRAGMENT_BYTES)],
                         ids=["many-4", "many-6", "large-4"])
def test_fragments_of_one_vm_leave_the_host_memory(settings, family, size, count, rules):
    with a_lab(bridge_nf=0) as lab:
        for vm in lab.vms[:1]:
            vm.ns.run("ip link set eth0 mtu 65535")
            lab.host.run(f"ip link set {vm.tap} mtu 65535")
        lab.install(settings, settings)
        vm = lab.vms[0]
        target = vm.network.gateway if family == 4 else \
            (vm.prefix + "1" if vm.isolated else vm.network.gateway_ula)
        for attempt, without in enumerate(("", rules)):
            if without:
                lab.replace_rules(without)
            send_incomplete(vm, target, range(10000 * attempt, 10000 * attempt + count), size)
            assert big_datagram_arrives(lab, lab.vms[1], family) == (not without)
        if family == 4:
            assert fragment_memory(lab.host) > 1 << 20


@pytest.mark.parametrize("family", [4, 6])
def test_honest_fragments_pass(family):
    """Twenty datagrams of 8000 bytes at once, then one a second without end."""
    with a_lab() as lab:
        lab.install()
        vm = lab.vms[0]
        address = vm.network.gateway if family == 4 else vm.network.gateway_ula
        answered = vm.ns.run(f"ping -c 30 -i 0.01 -W 2 -s 8000 {address}")
        assert " 0% packet loss" in answered


def bridge_knows(lab):
    lines = lab.host.run("bridge fdb show br vmnet-shared0").splitlines()
    return len([line for line in lines if "permanent" not in line])


def test_bridged_vm_speaks_from_few_macs():
    """The bridge is the user's, and learns without bound."""
    with a_lab(bridge_nf=0) as lab:
        vm = lab.vms[0]
        arguments = vm.rule_arguments(mode="bridged")

        def flood(prefix):
            for number in range(1000):
                mac = f"0a:00:00:{prefix}:{number >> 8:02x}:{number & 255:02x}"
                vm.raw.send(bytes(Ether(src=mac, dst="ff:ff:ff:ff:ff:ff", type=0x88b5) / Raw(bytes(46))))
            return bridge_knows(lab)

        lab.rules[vm.tap] = Rules(lab.host, "vm", arguments)
        assert flood("01") < 80
        lab.rules[vm.tap].close()
        lab.rules[vm.tap] = Rules(lab.host, "vm", arguments, [f"netdev/{vm.tap}/from_vm/{number}"
                                                              for number in (3, 4)])
        assert flood("02") > 900
