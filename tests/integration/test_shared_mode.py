"""Shared mode: a private network with NAT to the outside."""

import pytest
from scapy.layers.inet import IP

from support.checks import assert_reach, assert_refused, explicit
from support.helper import run_to_end
from support.kernel_guest import KernelGuest
from support.lab import INTERNET, UPLINK, UPLINK_ADDRESS
from support.snapshot import wait_until
from support.sniffer import Sniffer


def test_reaches_gateway_and_internet(plug):
    guest = plug()
    guest.dhcp()
    guest.ping(guest.gateway)
    guest.ping(INTERNET.web)
    assert guest.udp(INTERNET.web, 7, b"to and fro") == b"to and fro"
    assert guest.tcp_answer(INTERNET.web, 80) == "SA"


def test_only_the_hosts_address_leaves(lab, plug):
    guest = plug()
    guest.dhcp()
    with Sniffer(lab.internet, "uplink1") as seen:
        guest.ping(INTERNET.web)
        guest.udp(INTERNET.web, 7, b"x")
    sources = {packet[IP].src for packet in seen.packets() if IP in packet}
    assert sources == {UPLINK_ADDRESS, INTERNET.web}


def test_kernel_guest_downloads_and_uploads(lab, plug):
    guest = plug()
    vm = KernelGuest(lab, "vm", guest.mac, guest.socket).dhcp()
    assert len(vm.get(f"http://{INTERNET.name}/bytes/3000000")) > 0
    assert "hello" in vm.get(f"http://{INTERNET.web}/")
    assert "bits_per_second" in vm.iperf3(INTERNET.web, "-t", "1")
    assert "bits_per_second" in vm.iperf3(INTERNET.web, "-t", "1", "-R")


def test_vms_reach_each_other(plug):
    first, second = plug(), plug()
    first.dhcp()
    second.dhcp()
    assert first.gateway == second.gateway and first.ip != second.ip
    assert_reach(first, second)


def test_host_reaches_the_vm(lab, host, plug):
    guest = plug()
    vm = KernelGuest(lab, "vm", guest.mac, guest.socket).dhcp()
    host.run("ping", "-c", "1", "-W", "3", guest.helper.json["ip_address"])
    vm.ping(guest.helper.json["vmnet_start_address"])


def test_static_end_address(plug):
    """Clients take the last address without asking DHCP, and get through."""
    guest = plug()
    told = guest.helper.json
    guest.use(told["vmnet_end_address"], told["vmnet_start_address"])
    guest.ping(guest.gateway)
    guest.ping(INTERNET.web)


def test_any_free_address(plug):
    guest = plug()
    guest.use("192.168.64.77", guest.helper.json["vmnet_start_address"])
    guest.ping(INTERNET.web)


def test_any_mac(plug):
    guest = plug(mac="52:54:00:12:34:56")
    lease = guest.dhcp()
    assert lease.address == guest.helper.json["ip_address"]
    guest.ping(guest.gateway)
    guest.ping(INTERNET.web)


def test_second_helper_joins(host, plug):
    first, second = plug(), plug()
    assert first.helper.json["vmnet_start_address"] == second.helper.json["vmnet_start_address"]
    assert first.helper.json["ip_address"] != second.helper.json["ip_address"]
    assert len([name for name in host.links() if name.startswith("vmnet-shared")]) == 1
    second.dhcp()
    first.helper.stop()
    second.ping(INTERNET.web)


@pytest.mark.parametrize("start_, end, mask", [
    ("10.1.2.1", "10.1.2.200", "255.255.255.0"), ("172.16.5.1", "172.16.5.2", "255.255.255.252"),
    ("192.168.99.129", "192.168.99.190", "255.255.255.192"), ("10.0.0.1", "10.255.255.254",
                                                              "255.0.0.0")])
def test_explicit_subnet(plug, start_, end, mask):
    guest = plug(*explicit(start_, end, mask))
    told = guest.helper.json
    assert (told["vmnet_start_address"], told["vmnet_end_address"], told["vmnet_subnet_mask"]) == \
        (start_, end, mask)
    lease = guest.dhcp()
    assert lease.address == told["ip_address"] and lease.options["subnet_mask"] == mask
    guest.ping(start_)
    guest.ping(INTERNET.web)


def test_smallest_subnet_has_one_address(host, plug):
    """A /30 holds the gateway and one VM; the second is told so."""
    options = explicit("172.16.5.1", "172.16.5.2", "255.255.255.252")
    assert plug(*options).helper.json["ip_address"] == "172.16.5.2"
    assert_refused(run_to_end(host, *options), ["172.16.5"])


def test_overlap_with_an_address_is_refused(host):
    host.ip(f"addr add 192.168.70.9/24 dev {UPLINK}")
    route = host.run("ip", "route", "get", "192.168.70.77").stdout
    assert_refused(run_to_end(host, *explicit("192.168.70.1", "192.168.70.50")), ["192.168.70"])
    assert host.run("ip", "route", "get", "192.168.70.77").stdout == route
    host.ip(f"addr del 192.168.70.9/24 dev {UPLINK}")


def test_overlap_with_a_route_is_refused(host):
    for route in ("10.20.30.0/24", "10.20.30.64/28"):
        host.ip(f"route add {route} via {INTERNET.router}")
        assert_refused(run_to_end(host, *explicit("10.20.30.1", "10.20.30.50")), [route])
        host.ip(f"route del {route} via {INTERNET.router}")


@pytest.mark.parametrize("options", [(), explicit("10.20.30.1", "10.20.30.50"),
                                     ("--operation-mode=host",)],
                         ids=["automatic", "explicit", "host mode"])
def test_a_vpn_that_routes_all_private_networks(host, plug, options):
    """Its routes are shorter than a network's: the longest prefix wins."""
    routes = [f"route add {route} via {INTERNET.router}"
              for route in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "0.0.0.0/1", "128.0.0.0/1")]
    host.ip(*routes)
    guest = plug(*options)
    guest.dhcp()
    guest.ping(guest.gateway)
    if "--operation-mode=host" not in options:
        guest.ping(INTERNET.web)
    guest.helper.stop()
    host.ip(*[line.replace(" add ", " del ") for line in routes])


def test_automatic_subnet_skips_what_is_taken(host, plug):
    taken = [f"route add 192.168.64.0/24 via {INTERNET.router}",
             f"route add 192.168.65.4/30 via {INTERNET.router}",
             f"addr add 192.168.66.200/25 dev {UPLINK}"]
    host.ip(*taken)
    guest = plug()
    assert guest.helper.json["vmnet_start_address"] == "192.168.67.1"
    guest.dhcp()
    guest.ping(INTERNET.web)
    guest.helper.stop()
    host.ip(*[line.replace(" add ", " del ") for line in taken])


def test_another_subnet_while_a_network_is_up(host, plug):
    """Whether it is a network of its own or refused, the running one is not harmed."""
    guest = plug()
    guest.dhcp()
    status, out, err = run_to_end(host, "--start-address=192.168.64.5",
                                  "--end-address=192.168.64.9", "--subnet-mask=255.255.255.0")
    assert (status, out) == (1, ""), err
    assert "192.168.64" in err
    guest.ping(INTERNET.web)


def test_works_without_an_uplink(host, plug):
    """No default route: the network works, and the internet too once there is one."""
    host.ip("route del default", f"route del default via {INTERNET.router6} dev {UPLINK}")
    guest = plug()
    guest.dhcp()
    guest.ping(guest.gateway)
    host.ip(f"route add default via {INTERNET.router}",
            f"route add default via {INTERNET.router6} dev {UPLINK}")
    for attempt in range(10):
        try:
            guest.ping(INTERNET.web, timeout=0.5)
            break
        except AssertionError:
            if attempt == 9:
                raise


def test_firewall_that_drops_forwarding_is_told(host, plug):
    """A FORWARD policy of drop: nothing gets out, and a WARN line says what to add."""
    host.nft("table ip filter { chain FORWARD { type filter hook forward priority 0;"
             " policy drop; }; }")
    guest = plug()
    assert wait_until(lambda: any("filter" in line and "forward" in line.lower()
                                  for line in guest.helper.log_lines("WARN"))), guest.helper.stderr()
    guest.helper.stop()
    host.run("nft", "delete", "table", "ip", "filter")


@pytest.mark.parametrize("value", ["0", "1"])
def test_with_and_without_bridge_netfilter(host, plug, value):
    """Docker hosts pass bridged packets through the IP hooks: VMs must still reach each other."""
    name = "net.bridge.bridge-nf-call-iptables"
    old = host.run("sysctl", "-n", name, check=False).stdout.strip()
    if not old:
        pytest.skip("no br_netfilter in this kernel")
    host.run("sysctl", "-qw", f"{name}={value}")
    first, second = plug(), plug()
    first.dhcp()
    second.dhcp()
    assert_reach(first, second)
    first.ping(INTERNET.web)
    host.run("sysctl", "-qw", f"{name}={old}")


def test_path_mtu_error_reaches_the_vm(lab, host, plug):
    """A narrow uplink: the VM is told by ICMP, its TCP goes on."""
    host.ip(f"link set {UPLINK} mtu 1300")
    guest = plug()
    vm = KernelGuest(lab, "vm", guest.mac, guest.socket).dhcp()
    done = vm.run("ping", "-c", "1", "-M", "do", "-s", "1400", INTERNET.web, check=False)
    assert "1300" in done.stdout + done.stderr
    guest.helper.stop()
    host.ip(f"link set {UPLINK} mtu 1500")

