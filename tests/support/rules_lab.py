"""A host with two shared networks, an uplink and a LAN, and stand-in VMs, all in namespaces.

    vm0 vm1      vm2            vm0: vmnet-tap0, 192.168.64.2 ...
     |   |        |             The VMs' cables are veth pairs; rules_tool installs their rules.
    shared0    shared1
      +--- host ---+--- eth0 --- internet (203.0.113.1, routes our subnets to the host)
                   +--- eth1 --- lan (198.51.100.1, default route by the host)
"""
import contextlib
import os
import pathlib
import re
import select
import socket
import subprocess
import time

from support.netns import Netns

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("VMNET_BUILD_DIR", ROOT / "build/release"))
RULES_TOOL = BUILD / "src/rules_tool"

GATEWAY_LL = "fe80::1"
SENTINEL_TYPE = b"\x88\xb6"  # IEEE local experimental


class Network:
    """The facts of shared network N, as the keeper would choose them."""

    def __init__(self, number):
        self.bridge = f"vmnet-shared{number}"
        self.port_group = 1073741826 + number
        self.links_group = 536870914 + number
        self.gateway_mac = f"0e:76:6d:00:0{number}:01"
        self.gateway = f"192.168.{64 + number}.1"
        self.subnet = f"192.168.{64 + number}.0/24"
        self.prefix = f"fd12:3456:789a:{number + 1}::"
        self.gateway_ula = self.prefix + "1"

    def vm_ip(self, number):
        return f"192.168.{64 + int(self.bridge[-1])}.{2 + number}"


class Vm:
    """A stand-in VM and its cable."""

    def __init__(self, host, number, network):
        self.number = number
        self.network = network
        self.tap = f"vmnet-tap{number}"
        self.mac = f"76:6d:00:00:aa:0{number}"
        self.tap_mac = f"72:00:00:00:00:0{number}"
        self.ip = network.vm_ip(number)
        self.ip6 = f"{network.prefix}1{number}"
        # What it makes of its MAC by itself.
        self.link_local = f"fe80::746d:ff:fe00:aa0{number}"
        self.made_ip6 = f"{network.prefix[:-1]}746d:ff:fe00:aa0{number}"
        self.ns = Netns()
        host.run(f"ip link add {self.tap} address {self.tap_mac} type veth peer name eth0 netns {self.ns.path}")
        host.run(f"ip link set {self.tap} master {network.bridge} group {network.port_group} "
                 "addrgenmode none")
        host.run(f"ip link set {self.tap} up")
        for command in (f"ip link set eth0 address {self.mac} up",
                        f"ip addr add {self.ip}/24 dev eth0",
                        f"ip addr add {self.ip6}/64 dev eth0 nodad",
                        f"ip route add default via {network.gateway}",
                        f"ip route add default via {network.gateway_ula}"):
            self.ns.run(command)
        self.raw = self.ns.packet_socket("eth0")

        self.isolated = False

    def isolate(self, host):
        """Off the bridge: a link of its own, with the gateway's MAC and addresses."""
        net = self.network
        self.isolated = True
        self.prefix = f"fd12:3456:789a:1{self.number}::"
        self.tap_mac = net.gateway_mac
        self.made_ip6 = self.prefix[:-1] + self.link_local[6:]
        self.ns.run(f"ip addr del {self.ip6}/64 dev eth0")
        self.ip6 = f"{self.prefix}1{self.number}"
        for command in (f"ip link set {self.tap} nomaster down",
                        f"ip link set {self.tap} group {net.links_group} address {net.gateway_mac}",
                        f"ip link set {self.tap} up"):
            host.run(command)
        self.ns.run(f"ip addr add {self.ip6}/64 dev eth0 nodad")
        if host.run(f"ip -4 addr show dev {net.bridge}").strip():
            for address in (f"{net.gateway} peer {self.ip}", f"{self.prefix}1/64 nodad",
                            f"{GATEWAY_LL}/64 nodad"):
                host.run(f"ip addr add {address} dev {self.tap}")
            self.ns.run(f"ip route replace default via {self.prefix}1 dev eth0")

    def rule_arguments(self, **overrides):
        net = self.network
        values = {"mode": "shared", "tap": self.tap, "gateway_mac": net.gateway_mac, "vm_mac": self.mac,
                  "vm_ipv4": self.ip, "subnet": net.subnet, "gateway": net.gateway,
                  "prefix": self.prefix if self.isolated else net.prefix}
        values.update({key: value for key, value in overrides.items() if key in values})
        if self.isolated:
            values["isolated"] = 1
        return [f"{key}={value}" for key, value in values.items() if value is not None]


class Rules:
    """A running rules_tool that holds the rules of a network or of a VM, all of them or some not."""

    def __init__(self, host, kind, arguments, omit=()):
        self.made_of = host, kind, arguments, omit
        command = [str(RULES_TOOL), kind, ",".join(omit) or "-", *arguments]
        self.process = host.popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        answer = self.process.stdout.readline()
        assert answer.startswith("installed"), answer

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


def rules_of(listed):
    """The rules of `nft list ruleset` with where they are: (family, table, chain, number, rule)."""
    family = table = chain = None
    number = 0
    for line in map(str.strip, listed.splitlines()):
        words = line.split()
        if line.startswith("table "):
            family, table = words[1:3]
        elif line.startswith("chain "):
            chain, number = words[1], 0
        elif line == "}":
            chain = None
        elif chain and words and words[0] != "type":
            yield family, table, chain, number, line
            number += 1


class Lab:
    def __init__(self, bridge_nf=1):
        # Frames sent one after the other stay in order: one CPU's queue.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        self.host, self.internet, self.lan = Netns(), Netns(), Netns()
        self.networks = [Network(0), Network(1)]
        self.host.sysctl(net__ipv4__conf__all__rp_filter=0, net__ipv4__conf__default__rp_filter=0)
        for network in self.networks:
            self._add_bridge(network)
        self._add_uplink("eth0", self.internet, "203.0.113", "2001:db8:1")
        self._add_uplink("eth1", self.lan, "198.51.100", "2001:db8:2")
        self.lan.run("ip route add default via 198.51.100.2")
        for network in self.networks:
            self.internet.run(f"ip route add {network.subnet} via 203.0.113.2")
            self.internet.run(f"ip route add {network.prefix}/64 via 2001:db8:1::2")
        self.vms = [Vm(self.host, 0, self.networks[0]), Vm(self.host, 1, self.networks[0]),
                    Vm(self.host, 2, self.networks[1])]
        self.host.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
        self.host.sysctl(**{"net__bridge__bridge-nf-call-iptables": bridge_nf,
                            "net__bridge__bridge-nf-call-ip6tables": bridge_nf})
        self.rules = {}

    def _add_bridge(self, network):
        for command in (f"ip link add {network.bridge} address {network.gateway_mac} group "
                        f"{network.links_group} type bridge mcast_snooping 0",
                        f"ip link set {network.bridge} addrgenmode none",
                        f"ip link set {network.bridge} up",
                        f"ip addr add {network.gateway}/24 dev {network.bridge}",
                        f"ip addr add {network.gateway_ula}/64 dev {network.bridge} nodad",
                        f"ip addr add {GATEWAY_LL}/64 dev {network.bridge} nodad"):
            self.host.run(command)

    def _add_uplink(self, device, other, prefix, prefix6):
        self.host.run(f"ip link add {device} type veth peer name eth0 netns {other.path}")
        for namespace, name, number in ((self.host, device, 2), (other, "eth0", 1)):
            namespace.run(f"ip addr add {prefix}.{number}/24 dev {name}")
            namespace.run(f"ip addr add {prefix6}::{number}/64 dev {name} nodad")
            namespace.run(f"ip link set {name} up")
        other.run(f"ip route add default via {prefix6}::2")

    # --- rules ---

    def install(self, *overrides):
        """Rules for each VM and each network; `overrides`: a dictionary for VM 0, VM 1, VM 2, of which
        "isolation" puts the VM on a link of its own."""
        self.overrides = [*overrides, {}, {}, {}][:3]
        for vm, settings in zip(self.vms, self.overrides):
            if settings.get("isolation") and not vm.isolated:
                vm.isolate(self.host)
        self.start_rules(lambda table: [])

    def start_rules(self, omit):
        """`omit(table)`: which rules of a table are left out."""
        for network in self.networks:
            kind = ("network", self.network_arguments(network))
            self.rules[network.bridge] = Rules(self.host, *kind, omit(network.bridge))
        for vm, settings in zip(self.vms, self.overrides):
            kind = ("vm", vm.rule_arguments(**settings))
            self.rules[vm.tap] = Rules(self.host, *kind, omit(vm.tap))

    def network_arguments(self, network):
        vms = [(vm, settings) for vm, settings in zip(self.vms, self.overrides) if vm.network is network]
        values = {"mode": "shared", "subnet": network.subnet, "prefix": network.prefix, "uplink": "eth0",
                  "own_ports": "32768-60999", "connections": None, "router4": None, "router6": None}
        values.update({key: value for key, value in vms[0][1].items() if key in values})
        values.update(bridge=network.bridge, port_group=network.port_group,
                      links_group=network.links_group)
        words = [f"{key}={value}" for key, value in values.items() if value is not None]
        for vm, settings in vms:
            address = settings.get("vm_ipv4", vm.ip)
            words.append(f"vm={vm.mac}/{address}" if address else f"vm={vm.mac}")
        return words

    def replace_rules(self, *without):
        """The same rules, forgetful of what they have learned, without those that match."""
        listed = self.host.run("nft list ruleset")
        for pattern in without:
            assert any(re.fullmatch(pattern, rule) for *_, rule in rules_of(listed)), \
                f"no rule matches {pattern}"
        self.remove_rules()

        def omit(owner):
            return [f"{family}/{table}/{chain}/{number}"
                    for family, table, chain, number, rule in rules_of(listed)
                    if table in (owner, f"{owner}-guard")
                    and any(re.fullmatch(pattern, rule) for pattern in without)]
        self.start_rules(omit)
        for device in self.links():  # what the host has learned is forgotten as well
            self.host.run(f"ip neigh flush dev {device}")

    def links(self):
        return [network.bridge for network in self.networks] + [vm.tap for vm in self.vms if vm.isolated]

    def remove_rules(self):
        for rules in self.rules.values():
            rules.close()
        self.rules = {}

    # --- observations ---

    def bridge_socket(self, network=0):
        return self.host.packet_socket(self.networks[network].bridge)

    def delivered(self, sender, frame, receivers, sentinel=True):
        """Whether `frame` (its last bytes a marker) that VM `sender` sends reaches a receiver.

        A sentinel that always passes is sent behind it, so nobody waits for what never comes.
        """
        marker = frame[-8:]
        sentinel_frame = (b"\xff" * 6 + bytes.fromhex(sender.mac.replace(":", "")) +
                          SENTINEL_TYPE + os.urandom(46))
        for receiver in receivers:
            _drain(receiver)
        sender.raw.send(frame)
        sender.raw.send(sentinel_frame)
        seen = False
        for receiver in receivers:
            for data in _frames_until(receiver, sentinel_frame if sentinel else None):
                seen = seen or marker in data
        return seen

    def fdb_port(self, mac):
        """The port on which the bridge believes `mac` is."""
        for line in self.host.run("bridge fdb show").splitlines():
            fields = line.split()
            if fields[0] == mac and "master" in fields and "permanent" not in fields:
                return fields[2]
        return None

    def close(self):
        self.remove_rules()
        for vm in self.vms:
            vm.raw.close()
            vm.ns.close()
        for namespace in (self.host, self.internet, self.lan):
            namespace.close()


@contextlib.contextmanager
def a_lab(bridge_nf=1):
    lab = Lab(bridge_nf)
    try:
        yield lab
    finally:
        lab.close()


def _drain(receiver):
    while select.select([receiver], [], [], 0)[0]:
        receiver.recv(65536)


def _frames_until(receiver, last):
    """The frames that arrive before `last` does; without one, those of the next 0.2 seconds."""
    deadline = time.monotonic() + (5 if last else 0.2)
    while select.select([receiver], [], [], max(0, deadline - time.monotonic()))[0]:
        data = receiver.recv(65536)
        if last and data[12:] == last[12:]:
            return
        yield data
    assert last is None, "the sentinel did not arrive: the lab itself is broken"


def udp_arrives(receiver, send, timeout=0.3):
    """The first datagram's sender, or None. `send` is called a few times: ARP may lose the first."""
    receiver.settimeout(timeout)
    for _ in range(3):
        send()
        try:
            return receiver.recvfrom(65536)[1][0]
        except socket.timeout:
            continue
    return None
