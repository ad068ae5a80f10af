"""docs/many-hosts.md: two hosts, a stand-in VM on each, one network between them, made by the page's
own commands."""

import pathlib
import shutil
import subprocess

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from support import docs, snapshot
from support.guest import Guest
from support.helper import Helper
from support.lab import INTERNET, WORK

PAGE = "many-hosts.md"
OWN = ("10.0.0.1", "10.0.0.2")
BRIDGED = ("--operation-mode", "bridged", "--shared-interface", "br-vms")
FRR = pathlib.Path("/usr/lib/frr")


class Host:
    """One of the two: a namespace where the page's commands are typed."""

    def __init__(self, namespace, own, other):
        self.namespace = namespace
        self.own, self.other = own, other
        self.environment = {}

    def type(self, name, *replacements):
        """Runs the page's block `name`, after the line that says who is who."""
        text = docs.block(PAGE, name)
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        self.shell(f'own={self.own} others="{self.other}"\n{text}')

    def shell(self, text):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **self.environment}
        return self.namespace.run("bash", "-euc", text, env=environment)


@pytest.fixture
def hosts(lab):
    """Two hosts with a network between them: the lab's, which has the internet too, and another."""
    second = lab.namespace("second")
    lab.host.ip("link add cable0 mtu 1550 type veth peer name cable1 mtu 1550 netns second")
    made = []
    for number, namespace in enumerate((lab.host, second)):
        namespace.ip(f"link set cable{number} addrgenmode none",
                     f"addr add {OWN[number]}/24 dev cable{number}", f"link set cable{number} up")
        made.append(Host(namespace, OWN[number], OWN[1 - number]))
    yield made
    for host in made:
        for process in reversed(host.namespace.processes):
            process.terminate()
            process.wait(10)
    lab.host.run("sh", "-c", "for device in vxlan100 br-vms to-ovs cable0; do "
                 "ip link delete $device; done; nft delete table inet vxlan_peers", check=False)


@pytest.fixture
def vms():
    """vms(hosts): a VM of the network on each host, with its address."""
    helpers = []

    def start(hosts):
        guests = []
        for number, host in enumerate(hosts):
            helper = Helper(host.namespace, *BRIDGED).ready()
            helpers.append(helper)
            guests.append(Guest(helper.vm, helper.json["vmnet_mac_address"], f"10.20.0.{11 + number}"))
        return guests

    yield start
    for helper in helpers:
        helper.stop()


def reach(first, second, attempts=1):
    """`exchange`, once more where a network needs a moment to learn."""
    for left in reversed(range(attempts)):
        try:
            exchange(first, second)
            return
        except AssertionError:
            if not left:
                raise


def exchange(first, second):
    """An ARP request and an echo request of `first`, each answered by `second` in turn."""
    first.send(Ether(dst="ff:ff:ff:ff:ff:ff", src=first.mac) /
               ARP(op=1, hwsrc=first.mac, psrc=first.ip, pdst=second.ip))
    second.expect(lambda p: ARP in p and p[ARP].pdst == second.ip, 2, "the ARP request")
    first.expect(lambda p: ARP in p and p[ARP].op == 2 and p[ARP].psrc == second.ip, 2, "its answer")
    first.send(first.packet_to(second.ip, ICMP(id=7, seq=1) / Raw(bytes(1472)), second.mac))
    got = second.expect(lambda p: ICMP in p and p[ICMP].id == 7, 2, "the full frame")
    assert len(got[Raw]) == 1472


def test_the_page_names_the_hosts_of_this_test():
    assert docs.block(PAGE, "hosts").startswith(f'own={OWN[0]} others="{OWN[1]}"')


def test_vxlan(hosts, vms):
    before = [snapshot.host_state(host.namespace) for host in hosts]
    for host in hosts:
        host.type("vxlan")
        host.type("peers-only")
    first, second = vms(hosts)
    reach(first, second)
    reach(second, first)
    assert "br-vms" not in hosts[0].shell("ip -oneline address").stdout, "the host stays out of it"
    learned = hosts[0].shell("bridge fdb show dev vxlan100").stdout
    assert f"{second.mac} dst {OWN[1]}" in learned
    for guest in (first, second):
        guest.socket.close()
    for host in hosts:
        snapshot.wait_until(lambda: "vmnet-tap0" not in host.namespace.links())
        host.type("vxlan-undo")
    assert [snapshot.host_state(host.namespace) for host in hosts] == before


def test_strangers_are_kept_out_of_the_vxlan(lab, hosts, vms):
    """A third host on the same cable that knows the number of the network."""
    for host in hosts:
        host.type("vxlan")
    stranger = lab.namespace("stranger")
    lab.host.ip("link add cable2 mtu 1550 type veth peer name cable3 mtu 1550 netns stranger",
                "addr add 10.0.1.1/24 dev cable2", "link set cable2 up")
    stranger.ip("addr add 10.0.1.3/24 dev cable3", "link set cable3 up",
                "link add vxlan100 type vxlan id 100 local 10.0.1.3 remote 10.0.1.1 dstport 4789",
                "addr add 10.20.0.66/24 dev vxlan100", "link set vxlan100 up")
    first, _ = vms(hosts)

    def asked_for(guest):
        stranger.start("ping", "-c", "1", "-W", "1", guest.ip, stdout=subprocess.DEVNULL)
        return guest.expect(lambda p: p.haslayer("ARP") and p["ARP"].psrc == "10.20.0.66", 2)

    assert asked_for(first), "without the rule the stranger is on the network"
    hosts[0].type("peers-only")
    with pytest.raises(AssertionError):
        asked_for(first)
    hosts[0].shell("nft delete table inet vxlan_peers; ip link delete cable2")


def test_router_for_all(hosts, vms):
    for host in hosts:
        host.type("vxlan")
    hosts[0].type("router")
    _, second = vms(hosts)
    second.use(second.ip, "10.20.0.1")
    second.ping(INTERNET.web)
    hosts[0].shell("nft delete table ip vms_out; sysctl -qw net.ipv4.ip_forward=0")


def test_small_mtu_between_the_hosts(hosts, vms):
    """The kernel tells the VM what fits."""
    for number, host in enumerate(hosts):
        host.type("vxlan")
        host.shell(f"ip link set cable{number} mtu 1500")
    first, second = vms(hosts)
    packet = first.packet_to(second.ip, ICMP(id=7, seq=1) / Raw(bytes(1472)), second.mac)
    packet[IP].flags = "DF"
    # The place of the second VM is known, as after its first frame.
    second.send(second.packet_to(first.ip, ICMP(id=8, seq=1), first.mac))
    first.expect(lambda p: ICMP in p and p[ICMP].id == 8, 3, "a small packet")
    first.send(packet)
    told = first.expect(lambda p: ICMP in p and p[ICMP].type == 3, 3, "fragmentation needed")
    assert told[ICMP].code == 4 and told[ICMP].nexthopmtu == 1450


@pytest.fixture
def frr():
    """frr(host, number) starts zebra and bgpd of one host; their files go with the test."""
    folders = [pathlib.Path(f"/run/frr{number}") for number in range(2)]

    def start(host, number):
        folders[number].mkdir()
        shutil.chown(folders[number], "frr", "frr")
        start_frr(host, number, folders[number])

    yield start
    for folder in (*folders, pathlib.Path("/run/frr"), pathlib.Path("/var/tmp/frr")):
        shutil.rmtree(folder, ignore_errors=True)


def start_frr(host, number, folder):
    """The daemons become the user frr, whose the folder is."""
    text = docs.block(PAGE, "frr-conf")
    if number:
        text = text.replace(OWN[0], "x").replace(OWN[1], OWN[0]).replace("x", OWN[1])
    (folder / "frr.conf").write_text(text)
    for name in ("zebra", "bgpd"):
        host.namespace.start(FRR / name, "--pid_file", folder / f"{name}.pid", "--socket",
                             folder / "zserv.api", "--vty_socket", folder, "--config_file",
                             folder / "frr.conf", "--vty_addr", "127.0.0.1",
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        snapshot.wait_until((folder / f"{name}.vty").exists, 10)


@pytest.mark.skipif(not FRR.is_dir(), reason="FRR is not installed (package frr)")
def test_evpn(hosts, frr, vms):
    for number, host in enumerate(hosts):
        host.type("evpn")
        frr(host, number)
    first, second = vms(hosts)
    # A VM's first frame tells its own host where it is, BGP the other.
    for guest, other in ((first, second), (second, first)):
        guest.send(guest.packet_to(other.ip, ICMP(id=1, seq=1), other.mac))

    def told():
        shown = hosts[0].shell("bridge fdb show dev vxlan100").stdout
        return f"{second.mac} dst {OWN[1]} self extern_learn" in shown
    assert snapshot.wait_until(told, 60, 0.2), "BGP did not bring the other VM's MAC"
    reach(first, second, attempts=3)


def start_ovs(host, number):
    """Open vSwitch with a folder of its own, and a bridge that carries the tunnel's packets."""
    folder = WORK / f"ovs{number}"
    folder.mkdir()
    host.environment = {name: str(folder) for name in ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR")}
    host.shell(f"ovsdb-tool create {folder}/conf.db /usr/share/openvswitch/vswitch.ovsschema")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL,
             "env": {"PATH": "/usr/sbin:/usr/bin", **host.environment}}
    host.namespace.start("ovsdb-server", f"{folder}/conf.db", f"--remote=punix:{folder}/db.sock",
                         f"--unixctl={folder}/db.ctl", **quiet)
    snapshot.wait_until(lambda: (folder / "db.sock").exists(), 10)
    host.shell("ovs-vsctl --no-wait init")
    host.namespace.start("ovs-vswitchd", f"unix:{folder}/db.sock", f"--unixctl={folder}/vs.ctl", **quiet)
    cable = f"cable{number}"
    host.shell(f"""ovs-vsctl --timeout=20 add-br phy0 -- set bridge phy0 datapath_type=netdev \
                     -- add-port phy0 {cable}
                   ip address flush dev {cable}
                   ip address add {host.own}/24 dev phy0
                   ip link set phy0 mtu 1550 up""")
    return folder


@pytest.mark.skipif(not shutil.which("ovs-vswitchd"), reason="Open vSwitch is not installed")
def test_open_vswitch(hosts, vms):
    folders = [start_ovs(host, number) for number, host in enumerate(hosts)]
    for host in hosts:
        host.type("ovs", ("datapath=system", "datapath=netdev"))
    first, second = vms(hosts)
    reach(first, second, attempts=5)
    for host in hosts:
        host.shell("ovs-vsctl --timeout=20 del-br ovs0 -- del-br phy0")
    for folder in folders:
        shutil.rmtree(folder)
