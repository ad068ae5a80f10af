"""No network has a subnet that holds a machine that the host needs: a DNS server, the next hop of a
route, a neighbour; neither when it is made nor later. Whoever is permitted to start a VM would
answer for that machine."""

import pathlib
import time

import pytest

from support.checks import assert_refused
from support.helper import run_to_end, wait_for_no_helper
from support.installation import CAPABLE_COPY, ROOT, SETUID_COPY, SUDO
from support.lab import INTERNET, UPLINK

ASKED = ("--start-address=10.20.16.1", "--end-address=10.20.16.99", "--subnet-mask=255.255.255.0")
HOST_MODE = ("--operation-mode=host",)
PRIVATE = (*HOST_MODE, "--network-id=11111111-2222-4333-8444-555555555555",
           "--host-ip-address=10.20.16.1", "--host-subnet-mask=255.255.255.0")
WAYS = pytest.mark.parametrize("way", [ROOT, SUDO, SETUID_COPY, CAPABLE_COPY], ids=lambda way: way.name)

MAC = "02:00:00:00:00:99"
ADDRESS = "10.20.16.53"


def name_server(host, address=ADDRESS):
    host.write_resolv_conf(f"nameserver {INTERNET.dns}\nnameserver {address}\n")


def next_hop(host, address=ADDRESS):
    host.ip(f"route add 203.0.113.0/24 via {address} dev {UPLINK} onlink")


def one_of_two_next_hops(host, address=ADDRESS):
    host.ip(f"route add 203.0.113.0/24 nexthop via {INTERNET.router} dev {UPLINK} "
            f"nexthop via {address} dev {UPLINK} onlink")


def next_hop_in_another_table(host, address=ADDRESS):
    host.ip(f"route add 203.0.113.0/24 via {address} dev {UPLINK} onlink table 77")


def neighbour(host, address=ADDRESS):
    host.ip(f"neigh add {address} lladdr {MAC} dev {UPLINK} nud reachable")


def entered_neighbour(host, address=ADDRESS):
    host.ip(f"neigh add {address} lladdr {MAC} dev {UPLINK} nud permanent")


def silent_neighbour(host, address=ADDRESS):
    """Of a network with a shorter prefix, which the host sends to itself."""
    host.ip(f"route add 10.0.0.0/8 dev {UPLINK}", f"route add 192.168.0.0/16 dev {UPLINK}",
            f"neigh add {address} lladdr {MAC} dev {UPLINK} nud stale")


NEEDS = (name_server, next_hop, one_of_two_next_hops, next_hop_in_another_table, neighbour,
         entered_neighbour, silent_neighbour)
EVERY_NEED = pytest.mark.parametrize("need", NEEDS, ids=lambda need: need.__name__)


def undo(host):
    host.write_resolv_conf(f"nameserver {INTERNET.dns}\nnameserver {INTERNET.dns6}\n")
    for line in ("route del 203.0.113.0/24", "route del 203.0.113.0/24 table 77", "route del 10.0.0.0/8",
                 "route del 192.168.0.0/16",
                 f"neigh del {ADDRESS} dev {UPLINK}", f"neigh del 192.168.64.53 dev {UPLINK}",
                 f"neigh del 192.168.128.53 dev {UPLINK}"):
        host.run("ip", *line.split(), check=False)


@pytest.fixture
def host_of_needs(host):
    yield host
    undo(host)


@EVERY_NEED
@pytest.mark.parametrize("options", [ASKED, (*HOST_MODE, *ASKED), PRIVATE], ids=["shared", "host", "private"])
def test_is_refused(host_of_needs, need, options):
    need(host_of_needs)
    assert_refused(run_to_end(host_of_needs, *options, way=SETUID_COPY), [ADDRESS, "10.20.16.0/24"])


@WAYS
def test_is_refused_in_every_way_of_privilege(host_of_needs, way):
    name_server(host_of_needs)
    assert_refused(run_to_end(host_of_needs, *ASKED, way=way), [ADDRESS, "DNS server"])


@EVERY_NEED
@pytest.mark.parametrize("options, third", [((), 64), (HOST_MODE, 128)], ids=["shared", "host"])
def test_an_automatic_subnet_is_another(host_of_needs, start, need, options, third):
    need(host_of_needs, f"192.168.{third}.53")
    assert start(*options).json["vmnet_start_address"] == f"192.168.{third + 1}.1"


def test_a_neighbour_that_merely_says_so_is_none(host, start):
    """Any machine of the uplink can say of any address that it has it (ARP)."""
    host.ip(f"neigh add {ADDRESS} lladdr {MAC} dev {UPLINK} nud stale")
    start(*ASKED).stop()
    host.ip(f"neigh del {ADDRESS} dev {UPLINK}")


@EVERY_NEED
@pytest.mark.parametrize("options", [ASKED, (*ASKED, "--enable-isolation"), (*ASKED, "--tap"),
                                     (*HOST_MODE, *ASKED), PRIVATE],
                         ids=["shared", "isolated", "tap", "host", "private"])
def test_later_ends_the_helper(host_of_needs, start, need, options):
    helper = start(*options)
    if need is silent_neighbour:
        # Behind a shorter route it is the VMs' network that the host sends to.
        need = longer_route_with_neighbour
    need(host_of_needs)
    assert helper.wait(10) == 1
    assert wait_for_no_helper()
    line = helper.log_lines("ERROR")[0]
    assert ADDRESS in line and "10.20.16.0/24" in line
    assert not [name for name in host_of_needs.links() if name.startswith("vmnet-")]
    host_of_needs.run("ip", "route", "del", f"{ADDRESS}/32", check=False)


def longer_route_with_neighbour(host):
    host.ip(f"route add {ADDRESS}/32 dev {UPLINK}",
            f"neigh add {ADDRESS} lladdr {MAC} dev {UPLINK} nud stale")


@WAYS
def test_later_ends_the_helper_in_every_way_of_privilege(host_of_needs, start, way):
    helper = start(way=way)
    name_server(host_of_needs, "192.168.64.53")
    assert helper.wait(10) == 1
    assert wait_for_no_helper()


def test_a_replaced_file_is_seen(host, start, lab):
    """As daemons write it: another file in its place."""
    folder = pathlib.Path("/run/systemd/resolve")
    folder.mkdir(parents=True)
    helper = start()
    for address, ends in ((INTERNET.dns, False), ("192.168.64.53", True)):
        (folder / "new").write_text(f"nameserver {address}\n")
        (folder / "new").rename(folder / "resolv.conf")
        if ends:
            assert helper.wait(10) == 1
    assert "DNS server" in helper.stderr()
    (folder / "resolv.conf").unlink()
    folder.rmdir()
    folder.parent.rmdir()


def test_what_a_vm_is_to_the_host_is_no_reason(host_of_needs, plug):
    """A route by way of a VM, a neighbour on our own bridge."""
    guest = plug()
    guest.dhcp()
    guest.ping("192.168.64.1")
    assert guest.ip in host_of_needs.run("ip", "neigh", "show", "dev", "vmnet-shared0").stdout
    host_of_needs.ip(f"route add 203.0.113.0/24 via {guest.ip}")
    name_server(host_of_needs, "198.51.100.99")
    time.sleep(5)  # more than twice the time after which the files are looked at
    guest.helper.stop()
