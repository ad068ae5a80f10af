"""Bridged mode: a VM on the network of an existing bridge, or of a plain NIC through macvtap."""

import json

import pytest
from scapy.layers.l2 import Ether

from support.guest import BROADCAST, Guest
from support.helper import run_to_end
from support.installation import (CAPABILITIES, CAPABLE, CAPABLE_COPY, MACVTAP_CAPABILITIES, ROOT,
                                  SETUID_COPY, SUDO, set_capabilities)
from support.kernel_guest import KernelGuest
from support.lab import INTERNET, UPLINK
from support.snapshot import wait_until

BRIDGED = "--operation-mode=bridged"


@pytest.fixture
def lan(host):
    """The uplink behind a bridge, as on a host that is set up for VMs."""
    host.ip("link add br-lan type bridge", "link set br-lan addrgenmode none",
            "link set br-lan up", f"link set {UPLINK} master br-lan")
    yield "br-lan"
    host.ip(f"link set {UPLINK} nomaster", "link del br-lan")
    host.ip(f"route replace default via {INTERNET.router}",
            f"route replace default via {INTERNET.router6} dev {UPLINK}")


def on_the_lan(guest, number=50):
    """The VM is a station of the uplink's network: a static address of its own there."""
    return guest.use(f"192.0.2.{number}", INTERNET.router)


def test_existing_bridge(host, lan, plug_either):
    guest = plug_either(BRIDGED, f"--shared-interface={lan}")
    assert f"master {lan}" in host.run("ip", "link", "show",
                                       guest.helper.json["host_interface"]).stdout
    on_the_lan(guest)
    guest.ping(INTERNET.router)
    guest.helper.stop()


def test_addresses_are_ignored_with_a_warning(lan, plug_either):
    """Callers give them in every mode; an incomplete set too."""
    guest = plug_either(BRIDGED, f"--shared-interface={lan}", "--start-address=10.7.0.1", "--end-address=10.7.0.9")
    assert "vmnet_start_address" not in guest.helper.json
    on_the_lan(guest).ping(INTERNET.router)
    guest.helper.stop()
    assert guest.helper.stderr().count("WARN  [helper] --start-address, --end-address: ignored") == 1


def test_two_vms_on_a_bridge(lan, plug_either):
    first, second = plug_either(BRIDGED, "--shared-interface=br-lan"), plug_either(BRIDGED,
                                                                     "--shared-interface=br-lan")
    on_the_lan(first, 50).ping(INTERNET.router)
    on_the_lan(second, 51).ping(INTERNET.router)
    first.helper.stop()
    second.helper.stop()


def test_any_mac_on_a_bridge(lan, plug_either):
    guest = plug_either(BRIDGED, f"--shared-interface={lan}", mac="52:54:00:aa:bb:cc")
    on_the_lan(guest).ping(INTERNET.router)
    guest.helper.stop()


def test_a_vm_of_another_network_cuts_nobody_off(host, lan, plug_either):
    """One frame with the MAC of the LAN's router, from a VM of a network of ours: what that
    VM has it has on its own bridge."""
    station, attacker = plug_either(BRIDGED, f"--shared-interface={lan}"), plug_either()
    on_the_lan(station).ping(INTERNET.router)
    attacker.send(Ether(dst=BROADCAST, src=station.gateway_mac, type=0x88B5) / bytes(46))
    tap = attacker.helper.json["host_interface"]
    assert wait_until(lambda: station.gateway_mac in host.run("bridge", "fdb", "show", "dev", tap).stdout)
    station.ping(INTERNET.router)
    station.helper.stop()


def test_bridge_gets_no_dhcp_from_us(lan, plug_either):
    """The network has its own services: ours answer nothing here."""
    guest = plug_either(BRIDGED, f"--shared-interface={lan}")
    with pytest.raises(AssertionError, match="DHCP reply"):
        guest.dhcp_exchange("discover", timeout=0.5)
    with pytest.raises(AssertionError, match="router advertisement"):
        guest.solicit_router(timeout=0.5)
    guest.helper.stop()


@pytest.mark.parametrize("way", [ROOT, SUDO, SETUID_COPY], ids=lambda way: way.name)
def test_plain_nic(lab, plug, way):
    guest = plug(BRIDGED, f"--shared-interface={UPLINK}", way=way)
    on_the_lan(guest).ping(INTERNET.router)
    guest.helper.stop()


def test_plain_nic_with_file_capabilities(plug):
    program = CAPABLE / "bin" / "vmnet-helper"
    set_capabilities(program, MACVTAP_CAPABILITIES)
    try:
        guest = plug(BRIDGED, f"--shared-interface={UPLINK}", way=CAPABLE_COPY)
        on_the_lan(guest).ping(INTERNET.router)
        guest.helper.stop()
    finally:
        set_capabilities(program, CAPABILITIES)


def test_missing_capability_is_named(host):
    status, out, err = run_to_end(host, BRIDGED, f"--shared-interface={UPLINK}", way=CAPABLE_COPY)
    assert (status, out) == (1, "")
    assert "cap_mknod" in err.lower() or "cap_dac_override" in err.lower(), err


def test_plain_nic_any_mac(plug):
    """The kernel filters by MAC: the VM's own, chosen late, must get its unicast."""
    guest = plug(BRIDGED, f"--shared-interface={UPLINK}", mac="52:54:00:aa:bb:01")
    on_the_lan(guest, 60).ping(INTERNET.router)
    moved = Guest(guest.socket, "52:54:00:aa:bb:02")
    on_the_lan(moved, 61).ping(INTERNET.router)


def test_native_macvtap_follows_the_vms_mac(plug_tap):
    """Who holds the device sets its MAC; the printed one is there to begin with."""
    guest = plug_tap(BRIDGED, f"--shared-interface={UPLINK}")
    assert guest.socket.mac() == guest.helper.json["vmnet_mac_address"]
    on_the_lan(guest).ping(INTERNET.router)
    guest.socket.set_mac("52:54:00:aa:bb:03")
    moved = Guest(guest.socket, "52:54:00:aa:bb:03")
    on_the_lan(moved, 61).ping(INTERNET.router)
    guest.helper.stop()


def test_two_vms_on_a_nic(plug_either):
    first = plug_either(BRIDGED, f"--shared-interface={UPLINK}")
    second = plug_either(BRIDGED, f"--shared-interface={UPLINK}")
    on_the_lan(first, 50).ping(INTERNET.router)
    on_the_lan(second, 51).ping(INTERNET.router)
    first.helper.stop()
    second.ping(INTERNET.router)


def test_nic_with_a_kernel_guest(lab, plug):
    guest = plug(BRIDGED, f"--shared-interface={UPLINK}")
    vm = KernelGuest(lab, "vm", guest.mac, guest.socket)
    vm.run("ip", "addr", "add", "192.0.2.70/24", "dev", "eth0")
    vm.run("ip", "route", "add", "default", "via", INTERNET.router)
    lab.internet.ip("route add 192.0.2.70/32 dev uplink1")
    assert "192.0.2.70" in vm.get(f"http://{INTERNET.web}/")
    assert "bits_per_second" in vm.iperf3(INTERNET.web, "-t", "1", "-R")
    guest.helper.stop()
    lab.internet.ip("route del 192.0.2.70/32 dev uplink1")


@pytest.mark.parametrize("victims", ["worker", "keeper", "both"])
def test_kill_leaves_nothing_after_the_next_life(host, plug_either, victims):
    """A macvtap survives its descriptor: the keeper, or the next helper, removes it."""
    guest = plug_either(BRIDGED, f"--shared-interface={UPLINK}")
    helper = guest.helper
    device = helper.json["host_interface"]
    pids = {"worker": [helper.worker()], "keeper": [helper.keeper()],
            "both": [helper.keeper(), helper.worker()]}[victims]
    helper.kill(*pids)
    helper.process.wait(10)
    if victims == "worker":
        assert wait_until(lambda: device not in host.links())
    plug_either(BRIDGED, f"--shared-interface={UPLINK}").helper.stop()
    assert device not in host.links()


def link_of(host, name):
    return json.loads(host.run("ip", "-d", "-j", "link", "show", name).stdout)[0]


@pytest.fixture(params=["with the uplink", "alone"])
def jumbo_bridge(host, request):
    """A bridge as people make it: its MAC and MTU are those of its ports, or nobody's."""
    host.ip("link add br-own type bridge", "link set br-own addrgenmode none",
            "link add nic0 type veth peer name nic1", "link set nic0 mtu 9000",
            "link set nic1 mtu 9000 addrgenmode none up")
    if request.param == "with the uplink":
        host.ip("link set nic0 master br-own")
    else:
        host.ip("link set br-own mtu 9000")
    host.ip("link set nic0 addrgenmode none up", "link set br-own up")
    yield "br-own"
    host.ip("link del br-own", "link del nic0")


def test_the_users_bridge_stays_as_it_is(host, jumbo_bridge, plug_either):
    """Its MAC is the host's in the network, and its MTU the network's, whoever joins and leaves."""
    before = link_of(host, jumbo_bridge)
    assert before["mtu"] == 9000
    guests = [plug_either(BRIDGED, f"--shared-interface={jumbo_bridge}") for _ in range(3)]
    for guest in [None, *guests]:
        if guest:
            guest.helper.stop()
        after = link_of(host, jumbo_bridge)
        assert (after["address"], after["mtu"]) == (before["address"], before["mtu"])


def test_the_bridge_follows_its_other_ports(host, lan, plug_either):
    """A larger MTU of the NIC reaches the bridge while a VM is there, as without one."""
    guest = plug_either(BRIDGED, f"--shared-interface={lan}")
    host.ip(f"link set {UPLINK} mtu 1400")
    assert link_of(host, lan)["mtu"] == 1400
    host.ip(f"link set {UPLINK} mtu 9000")
    assert link_of(host, lan)["mtu"] == 9000
    guest.helper.stop()
    host.ip(f"link set {UPLINK} mtu 1500")


@pytest.mark.parametrize("kind", ["bridge", "NIC"])
def test_mtu_of_the_network(lab, lan_or_nic, plug_either, kind):
    """It is told, and frames up to it pass both ways."""
    shared = lan_or_nic(kind, 9000)
    guest = plug_either(BRIDGED, f"--shared-interface={shared}")
    assert guest.helper.json["vmnet_mtu"] == 9000
    assert guest.helper.json["vmnet_max_packet_size"] == 9014
    on_the_lan(guest)
    guest.ping(INTERNET.router, size=9000 - 28)
    guest.helper.stop()


@pytest.fixture
def lan_or_nic(lab, request):
    """Gives the uplink an MTU: make(kind, mtu) returns what is shared, a bridge with it or itself."""
    def make(kind, mtu):
        lab.host.ip(f"link set {UPLINK} mtu {mtu}")
        lab.internet.ip(f"link set uplink1 mtu {mtu}")
        return request.getfixturevalue("lan") if kind == "bridge" else UPLINK

    yield make
    lab.host.ip(f"link set {UPLINK} mtu 1500")
    lab.internet.ip("link set uplink1 mtu 1500")


def test_loopback_is_refused(host):
    status, out, err = run_to_end(host, BRIDGED, "--shared-interface=lo")
    assert (status, out) == (1, "") and "lo" in err


def test_our_own_bridge_is_refused_or_works(host, plug):
    """A helper's own network is no interface to share: it is not offered and not taken."""
    plug()
    ours = next(name for name in host.links() if name.startswith("vmnet-shared"))
    status, out, err = run_to_end(host, BRIDGED, f"--shared-interface={ours}")
    assert (status, out) == (1, "") and ours in err
