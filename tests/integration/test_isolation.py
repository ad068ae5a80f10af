"""--enable-isolation: the host and the outside, but no other VM, at layer 2 or through the gateway."""

import json

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.inet6 import (ICMPv6EchoRequest, ICMPv6ND_NS, ICMPv6NDOptPrefixInfo,
                                ICMPv6NDOptSrcLLAddr, IPv6)
from scapy.layers.l2 import ARP, Ether

from support.checks import assert_apart, assert_reach, carries, datagram
from support.guest import BROADCAST
from support.lab import INTERNET

ISOLATED = "--enable-isolation"


@pytest.fixture(params=["0", "1"], ids=["plain", "bridge-nf-call-iptables"])
def netfilter_on_bridges(request, host):
    """Both settings of a host: Docker's passes bridged packets through the IP hooks."""
    name = "net.bridge.bridge-nf-call-iptables"
    old = host.run("sysctl", "-n", name, check=False).stdout.strip()
    if not old:
        pytest.skip("no br_netfilter in this kernel")
    host.run("sysctl", "-qw", f"{name}={request.param}")
    yield
    host.run("sysctl", "-qw", f"{name}={old}")


def pair(plug_either, first_options, second_options):
    first, second = plug_either(*first_options), plug_either(*second_options)
    for guest in (first, second):
        guest.dhcp()
        guest.gateway_mac = guest.arp(guest.helper.json["vmnet_start_address"])
        guest.drain()
    return first, second


@pytest.mark.parametrize("mode", ["shared", "host"])
def test_isolated_vms_are_apart(plug_either, netfilter_on_bridges, mode):
    options = (ISOLATED, f"--operation-mode={mode}")
    first, second = pair(plug_either, options, options)
    assert_apart(first, second)
    assert_apart(second, first)


def test_isolated_vm_reaches_host_and_internet(plug_either, netfilter_on_bridges):
    guest = plug_either(ISOLATED)
    guest.dhcp()
    guest.ping(guest.gateway)
    guest.ping(INTERNET.web)


def test_others_still_reach_each_other(plug_either, netfilter_on_bridges):
    plug_either(ISOLATED).dhcp()
    first, second = pair(plug_either, (), ())
    assert_reach(first, second)


@pytest.mark.parametrize("isolated", ["first", "second"])
def test_isolated_and_open_vm_are_apart(plug_either, netfilter_on_bridges, isolated):
    """«No other VM reachable» holds towards a VM that is not isolated too."""
    options = {"first": ((ISOLATED,), ()), "second": ((), (ISOLATED,))}[isolated]
    first, second = pair(plug_either, *options)
    assert_apart(first, second)


def test_the_devices_own_mac_is_no_way_round(host, plug_either, netfilter_on_bridges):
    """The bridge takes what is sent to a port's MAC for the host's, as what is sent to its own."""
    first, second = pair(plug_either, (ISOLATED,), (ISOLATED,))
    for helper in (first.helper, second.helper):
        links = host.run("ip", "-j", "link", "show", helper.json["host_interface"]).stdout
        device = json.loads(links)[0]["address"]
        datagram(first, second.ip, device, b"by the device")
    second.expect_none(carries(b"by the device"), what="a packet by a device's MAC")


def test_the_gateway_answers_who_asked(plug_either):
    """Neither to the MAC that ARP names nor to the owner of the address in whose name is asked."""
    first, second = pair(plug_either, (ISOLATED,), (ISOLATED,))
    advertised = [guest.autoconfigure()[ICMPv6NDOptPrefixInfo].prefix for guest in (first, second)]
    gateway, others_gateway = (prefix + "1" for prefix in advertised)
    second.ip6 = advertised[1][:-1] + "abcd:ef01:2345:6789"
    router = second.neighbour(others_gateway)
    second.ping6(others_gateway, router)
    for target in (gateway, others_gateway):
        first.send(Ether(dst=router, src=first.mac) / IPv6(src=second.ip6, dst=target) /
                   ICMPv6EchoRequest(data=b"reflected"))
    first.send(Ether(dst=router, src=first.mac) / IPv6(src=first.ip6, dst=gateway, hlim=255) /
               ICMPv6ND_NS(tgt=gateway) / ICMPv6NDOptSrcLLAddr(lladdr=second.mac))
    first.send(Ether(dst=router, src=first.mac) / IPv6(src=first.ip6, dst=gateway) /
               ICMPv6EchoRequest(data=b"reflected"))
    first.send(Ether(dst=BROADCAST, src=first.mac) /
               ARP(op=1, hwsrc=second.mac, psrc=first.ip, pdst=first.gateway))
    first.send(first.packet_to(first.gateway, ICMP() / b"reflected", first.gateway_mac))
    second.expect_none(lambda p: b"reflected" in bytes(p), what="an answer for the other VM")
    second.ping6(others_gateway, router)


@pytest.fixture
def absent(host, plug_either):
    """A VM, and another one that is away: what it had, and a call that brings it back."""
    options = (ISOLATED, "--interface-id=5c0e7bd8-6d5f-4bb5-9f62-0e9d6ad3a1f4")
    first, second = pair(plug_either, (ISOLATED,), options)
    for guest in (first, second):
        router = guest.autoconfigure()
        guest.gateway6 = router[ICMPv6NDOptPrefixInfo].prefix + "1"
    second.helper.stop()
    return first, second, lambda: plug_either(*options)


def test_a_mac_named_in_its_absence_leads_to_no_vm(absent):
    first, second, come_back = absent
    first.send(Ether(dst=BROADCAST, src=second.mac) /
               ARP(op=1, hwsrc=second.mac, psrc=first.ip, pdst=first.gateway))
    first.send(Ether(dst=first.gateway_mac, src=second.mac) /
               IPv6(src=first.ip6, dst=first.gateway6, hlim=255) /
               ICMPv6ND_NS(tgt=first.gateway6) / ICMPv6NDOptSrcLLAddr(lladdr=second.mac))
    second = come_back()
    first.send(first.packet_to(first.gateway, ICMP() / b"reflected", first.gateway_mac))
    first.send(Ether(dst=first.gateway_mac, src=first.mac) / IPv6(src=first.ip6, dst=first.gateway6) /
               ICMPv6EchoRequest(data=b"reflected"))
    second.expect_none(lambda p: b"reflected" in bytes(p), what="an answer for the other VM")


def test_an_address_used_in_its_absence_leads_to_its_vm(host, absent):
    first, second, come_back = absent
    for address in (second.ip6, second.link_local):
        first.send(Ether(dst=first.gateway_mac, src=first.mac) /
                   IPv6(src=address, dst=first.gateway6, hlim=255) /
                   ICMPv6ND_NS(tgt=first.gateway6) / ICMPv6NDOptSrcLLAddr(lladdr=first.mac))
    second = come_back()
    device = second.helper.json["host_interface"]
    for address in (second.ip6, f"{second.link_local}%{device}"):
        host.run("ping", "-c", "1", "-W", "1", address, check=False)
    first.expect_none(lambda p: ICMPv6EchoRequest in p, what="a packet for the other VM")


def test_hairpin_with_a_host_that_forwards(host, plug_either):
    host.sysctl(net__ipv4__ip_forward=1, net__ipv4__conf__all__send_redirects=0)
    first, second = pair(plug_either, (ISOLATED,), (ISOLATED,))
    datagram(first, second.ip, first.gateway_mac, b"hairpin")
    second.expect_none(carries(b"hairpin"), what="a packet through the gateway")
    first.helper.stop()
    second.helper.stop()
    host.sysctl(net__ipv4__ip_forward=0, net__ipv4__conf__all__send_redirects=1)
