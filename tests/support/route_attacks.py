"""Packets that must not be routed, each with the rules that stop it; as frame_attacks.py."""
import contextlib

from support.frame_attacks import GATEWAY_MAC, ULA
from support.rules_lab import udp_arrives


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
FOREIGN_IPV4 = [r"ip saddr != 192\.168\.64\.0/24 (ether daddr .*)?drop"]
FOREIGN_IPV6 = [r"ip6 saddr != \{ ::, fd12:3456:789a:1::/64.* (ether daddr .*)?drop"]
# name: (attack, rules that stop it, settings of VM 0's and VM 2's networks)
ROUTE_ATTACKS = {
    "other-network": (from_vm(0, "192.168.65.4", vm(2)), BETWEEN_RULES, {}, {}),
    "other-network-ipv6": (from_vm(0, "fd12:3456:789a:2::12", vm(2)), BETWEEN_RULES, {}, {}),
    "host-mode-out": (from_vm(2, "203.0.113.1", internet), [r"drop"], {}, {"mode": "host"}),
    "host-mode-out-ipv6": (from_vm(2, "2001:db8:1::1", internet), [r"drop"], {},
                           {"mode": "host"}),
    "shared-to-host-mode": (from_vm(0, "192.168.65.4", vm(2)),
                            [r"oifgroup \d+ drop", *BETWEEN_RULES], {},
                            {"mode": "host"}),
    "into-host-mode": (through_host(internet, "192.168.65.4", vm(2)),
                       [r"oifgroup \d+ drop"], {}, {"mode": "host"}),
    "foreign-source-out": (lambda lab: spoofed(lab, "10.9.9.9", lab.internet, "203.0.113.1"),
                           FOREIGN_IPV4, {}, {}),
    "foreign-source-out-ipv6": (
        lambda lab: spoofed(lab, "2001:db8:9::9", lab.internet, "2001:db8:1::1"),
        FOREIGN_IPV6, {}, {}),
    "foreign-source-in": (lambda lab: spoofed(lab, "10.9.9.9", lab.host, "192.168.64.1"),
                          FOREIGN_IPV4, {}, {}),
    "foreign-source-in-ipv6": (lambda lab: spoofed(lab, "2001:db8:9::9", lab.host, ULA),
                               FOREIGN_IPV6, {}, {}),
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
