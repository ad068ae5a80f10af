"""IPv6 in shared mode: a ULA /64, router advertisements, NAT66, and the host's own IPv6 unharmed."""

import ipaddress

import pytest
from scapy.layers.inet6 import (ICMPv6ND_RA, ICMPv6NDOptMTU, ICMPv6NDOptPrefixInfo,
                                ICMPv6NDOptRDNSS, ICMPv6NDOptSrcLLAddr, IPv6)
from scapy.layers.l2 import Ether

from support.guest import link_local
from support.kernel_guest import KernelGuest
from support.lab import INTERNET, UPLINK, UPLINK_ADDRESS6
from support.sniffer import Sniffer
from support.snapshot import wait_until

FORWARDING = "net.ipv6.conf.{}.{}"


def test_router_advertisement(plug):
    guest = plug()
    told = guest.helper.json
    advertisement = guest.autoconfigure()
    assert advertisement[IPv6].hlim == 255
    assert ipaddress.ip_address(advertisement[IPv6].src).is_link_local
    assert advertisement[ICMPv6ND_RA].routerlifetime > 0
    option = advertisement[ICMPv6NDOptPrefixInfo]
    assert (option.prefix, option.prefixlen, option.A, option.L) == \
        (told["vmnet_nat66_prefix"], 64, 1, 1)
    assert advertisement[ICMPv6NDOptSrcLLAddr].lladdr == advertisement.src
    assert advertisement[ICMPv6NDOptMTU].mtu == 1500
    assert advertisement[ICMPv6NDOptRDNSS].dns == [INTERNET.dns6]


def test_advertised_router_is_the_gateway(plug):
    guest = plug()
    guest.ip = guest.helper.json["ip_address"]
    advertisement = guest.autoconfigure()
    assert guest.neighbour(advertisement[IPv6].src) == advertisement.src
    assert advertisement.src == guest.arp(guest.helper.json["vmnet_start_address"])


def test_ping_the_internet(plug):
    guest = plug()
    router = guest.autoconfigure()
    guest.ping6(INTERNET.web6, router.src)


def test_only_the_hosts_address_leaves(lab, plug):
    guest = plug()
    router = guest.autoconfigure()
    with Sniffer(lab.internet, "uplink1") as seen:
        guest.ping6(INTERNET.web6, router.src)
    sources = {packet[IPv6].src for packet in seen.packets() if IPv6 in packet
               and packet[IPv6].nh == 58 and INTERNET.web6 in (packet[IPv6].src, packet[IPv6].dst)}
    assert sources == {UPLINK_ADDRESS6, INTERNET.web6}


def test_kernel_guest(lab, plug):
    guest = plug()
    vm = KernelGuest(lab, "vm", guest.mac, guest.socket)
    assert wait_until(lambda: "default" in vm.run("ip", "-6", "route").stdout)
    assert UPLINK_ADDRESS6 in vm.get(f"http://[{INTERNET.web6}]/")
    assert "bits_per_second" in vm.iperf3(INTERNET.web6, "-t", "1")


def test_vms_share_the_prefix(plug):
    first, second = plug(), plug()
    assert first.helper.json["vmnet_nat66_prefix"] == second.helper.json["vmnet_nat66_prefix"]


def test_prefix_is_stable(host, plug):
    seen = set()
    for _ in range(2):
        guest = plug()
        seen.add(guest.helper.json["vmnet_nat66_prefix"])
        guest.helper.stop()
    assert len(seen) == 1


def test_gateway_answers_at_once(plug):
    """No duplicate address detection holds the gateway's addresses back."""
    guest = plug()
    router = guest.autoconfigure()
    assert guest.neighbour(router[IPv6].src, timeout=0.5) == router.src


def test_uplink_still_accepts_router_advertisements(lab, host, plug):
    """Forwarding for VMs must not make a router of the host: its default route by advertisement
    stays, and new advertisements are taken."""
    host.ip(f"route del default via {INTERNET.router6} dev {UPLINK}")
    host.sysctl(**{f"net__ipv6__conf__{UPLINK}__accept_ra": 1})

    def advertise(lifetime):
        frame = Ether(dst="33:33:00:00:00:01") / IPv6(src="fe80::1", dst="ff02::1", hlim=255) / \
            ICMPv6ND_RA(routerlifetime=lifetime)
        lab.internet.run("/usr/bin/python3", "-c",
                         "import socket, sys; s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW);"
                         "s.bind(('uplink1', 0)); s.send(bytes.fromhex(sys.argv[1]))",
                         bytes(frame).hex())

    def learned():
        return "default via fe80::1" in host.run("ip", "-6", "route").stdout

    advertise(1800)
    assert wait_until(learned)
    guest = plug()
    assert learned(), "the start purged the learned default route"
    router = guest.autoconfigure()
    lab.internet.ip(f"route replace {UPLINK_ADDRESS6}/128 dev uplink1")
    guest.ping6(INTERNET.web6, router.src)
    advertise(0)
    assert wait_until(lambda: not learned()), "an advertisement was not taken"
    advertise(1800)
    assert wait_until(learned), "an advertisement was not taken"
    guest.helper.stop()
    assert learned(), "the end purged the learned default route"
    advertise(0)
    assert wait_until(lambda: not learned())
    host.ip(f"route add default via {INTERNET.router6} dev {UPLINK}")


def test_internet_cannot_reach_in(lab, plug):
    guest = plug()
    guest.autoconfigure()
    prefix = f"{guest.helper.json['vmnet_nat66_prefix']}/64"
    lab.internet.ip(f"route add {prefix} via {UPLINK_ADDRESS6}")
    lab.internet.run("ping", "-6", "-c", "1", "-W", "1", guest.ip6, check=False)
    guest.expect_none(lambda p: IPv6 in p and p[IPv6].src == INTERNET.router6)
    lab.internet.ip(f"route del {prefix} via {UPLINK_ADDRESS6}")


@pytest.mark.parametrize("options", [("--operation-mode=host",),
                                     ("--operation-mode=host", "--network-id="
                                      "11111111-2222-4333-8444-555555555555")])
def test_no_router_in_host_mode(plug, options):
    """Where there is no way out nobody must be told of one."""
    guest = plug(*options)
    try:
        advertisement = guest.solicit_router(timeout=0.5)
    except AssertionError:
        return
    assert advertisement[ICMPv6ND_RA].routerlifetime == 0


def test_host_without_ipv6(host, plug):
    host.sysctl(net__ipv6__conf__all__disable_ipv6=1, net__ipv6__conf__default__disable_ipv6=1)
    guest = plug()
    assert "vmnet_nat66_prefix" not in guest.helper.json
    guest.dhcp()
    guest.ping(INTERNET.web)
    guest.helper.stop()
    host.sysctl(net__ipv6__conf__all__disable_ipv6=0, net__ipv6__conf__default__disable_ipv6=0)
    host.ip(f"addr add {UPLINK_ADDRESS6}/64 dev {UPLINK} nodad",
            f"addr add fe80::2/64 dev {UPLINK} nodad",
            f"route add default via {INTERNET.router6} dev {UPLINK}")
