"""--network NAME: a network as in shared mode, of a user's helpers with that name alone."""

import ipaddress
import json
import re

import pytest
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether

from support.checks import assert_apart, assert_reach, assert_refused
from support.helper import run_to_end, wait_for_no_helper
from support.installation import ROOT, SETUID_COPY, WAYS
from support.lab import INTERNET, UPLINK, UPLINK_ADDRESS6, run

ID = "2f8d5b1c-95a0-4a52-a1f2-0123456789ab"
POOL = ipaddress.ip_network("192.168.64.0/18")
EVERY_WAY = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
ISOLATED = "--enable-isolation"
LONGEST = "n" * 63


def networks(host):
    """Bridges of ours and their aliases."""
    links = json.loads(run("ip", "-netns", host.name, "-j", "-d", "link", "show", "type", "bridge").stdout)
    return {link["ifname"]: link.get("ifalias", "") for link in links
            if link["ifname"].startswith("vmnet-")}


def gateway(guest):
    return guest.helper.json["net_ipv4_subnet"]


def joined(guest):
    guest.dhcp()
    guest.gateway_mac = guest.arp(gateway(guest))
    guest.drain()
    return guest


@EVERY_WAY
def test_network_works(host, plug_either, way):
    guest = joined(plug_either("--network=lab", way=way))
    assert networks(host).keys() == {"vmnet-lab"}
    guest.ping(gateway(guest))
    guest.ping(INTERNET.web)
    assert guest.helper.log_lines("WARN", "ERROR") == []


def test_keys(host, start):
    told = start("--network=lab", f"--interface-id={ID}").json
    assert set(told) == {
        "vmnet_interface_id", "vmnet_mac_address", "vmnet_mtu", "vmnet_max_packet_size",
        "vmnet_read_max_packets", "vmnet_write_max_packets", "net_ipv4_subnet", "net_ipv4_mask",
        "net_ipv6_prefix", "net_ipv6_prefix_len", "ip_address", "host_interface"}
    subnet = ipaddress.ip_network(f"{told['net_ipv4_subnet']}/{told['net_ipv4_mask']}", strict=False)
    assert subnet.prefixlen == 24 and subnet.subnet_of(POOL)
    assert told["net_ipv4_subnet"] == str(subnet[1])
    assert ipaddress.ip_address(told["ip_address"]) in subnet
    prefix = ipaddress.ip_network(f"{told['net_ipv6_prefix']}/{told['net_ipv6_prefix_len']}")
    assert prefix.prefixlen == 64 and prefix.subnet_of(ipaddress.ip_network("fd00::/8"))
    assert told["vmnet_interface_id"] == ID.upper()
    assert told["host_interface"] in host.links()


def test_without_ipv6_there_is_no_prefix(lab, host, start):
    host.sysctl(net__ipv6__conf__all__disable_ipv6=1, net__ipv6__conf__default__disable_ipv6=1)
    told = start("--network=lab").stop().json
    assert not [key for key in told if "ipv6" in key or "nat66" in key]
    host.sysctl(net__ipv6__conf__all__disable_ipv6=0, net__ipv6__conf__default__disable_ipv6=0)
    host.ip(f"addr add {UPLINK_ADDRESS6}/64 dev {UPLINK} nodad",
            f"addr add fe80::2/64 dev {UPLINK} nodad",
            f"route add default via {INTERNET.router6} dev {UPLINK}")


def test_ipv6(plug_either):
    guest = plug_either("--network=lab")
    router = guest.autoconfigure().src
    assert ipaddress.ip_address(guest.ip6) in ipaddress.ip_network(
        f"{guest.helper.json['net_ipv6_prefix']}/64")
    guest.ping6(INTERNET.web6, router)


def test_same_name_joins(host, plug_either):
    first, second = joined(plug_either("--network=lab")), joined(plug_either("--network=LAB"))
    assert len(networks(host)) == 1
    assert_reach(first, second)


def test_interface_id_counts(start):
    """The same MAC and address with the id, whatever came in between."""
    first = start("--network=lab", f"--interface-id={ID}").stop().json
    start("--network=lab")
    second = start("--network=lab", f"--interface-id={ID}").json
    for key in ("vmnet_mac_address", "ip_address", "net_ipv4_subnet", "net_ipv6_prefix"):
        assert first[key] == second[key], key


@pytest.mark.parametrize("options", [(), (ISOLATED,)], ids=["open", "isolated"])
@pytest.mark.parametrize("other", [("--network=two",), (), ("--operation-mode=host",)],
                         ids=["named", "shared", "host"])
def test_networks_are_apart(plug_either, options, other):
    first = plug_either("--network=one", *options)
    second = plug_either(*other)
    for guest in (first, second):
        guest.dhcp()
        told = guest.helper.json
        guest.gateway_mac = guest.arp(told.get("net_ipv4_subnet") or told["vmnet_start_address"])
        guest.drain()
    assert_apart(first, second)
    assert_apart(second, first)


@pytest.mark.parametrize("options", [(), (ISOLATED,)], ids=["open", "isolated"])
def test_networks_are_apart_by_ipv6(plug_either, options):
    guests = [plug_either(f"--network={name}", *options) for name in ("one", "two")]
    for guest in guests:
        guest.gateway_mac = guest.autoconfigure().src
        guest.ping6(INTERNET.web6, guest.gateway_mac)
        guest.drain()
    for sender, target in (guests, guests[::-1]):
        sender.send(Ether(dst=sender.gateway_mac, src=sender.mac) /
                    IPv6(src=sender.ip6, dst=target.ip6) / ICMPv6EchoRequest(data=b"across"))
        target.expect_none(lambda p: b"across" in bytes(p), what="a packet of the other network")


def test_isolated_vms_of_a_network_are_apart(plug_either):
    first, second = (joined(plug_either("--network=lab", ISOLATED)) for _ in range(2))
    assert_apart(first, second)
    second.ping(INTERNET.web)
    prefixes = {guest.helper.json["net_ipv6_prefix"] for guest in (first, second)}
    assert len(prefixes) == 2


def test_another_users_name_is_another_network(host, plug):
    roots, alices = (joined(plug("--network=lab", way=way)) for way in (ROOT, SETUID_COPY))
    assert gateway(roots) != gateway(alices)
    assert roots.helper.json["net_ipv6_prefix"] != alices.helper.json["net_ipv6_prefix"]
    aliases = sorted(networks(host).values())
    assert [re.findall(r" name=lab uid=(\d+) ", alias) for alias in aliases] in (
        [["0"], ["47001"]], [["47001"], ["0"]])
    assert_apart(roots, alices)
    assert_apart(alices, roots)


def test_every_way_of_a_user_is_the_same_network(host, start):
    told = [start("--network=lab", way=way).json for way in WAYS if way is not ROOT]
    assert len({each["net_ipv4_subnet"] for each in told}) == 1
    assert len(networks(host)) == 1


def test_range_stays_the_names(host, start):
    first = start("--network=lab").stop().json
    assert wait_for_no_helper() and not networks(host)
    others = [start(f"--network=other{number}").json for number in range(3)]
    again = start("--network=lab").json
    assert again["net_ipv4_subnet"] == first["net_ipv4_subnet"]
    assert again["net_ipv6_prefix"] == first["net_ipv6_prefix"]
    assert len({each["net_ipv4_subnet"] for each in [again, *others]}) == 4


def test_taken_range_is_left_alone(host, start):
    first = start("--network=lab").stop().json
    taken = str(ipaddress.ip_network(f"{first['net_ipv4_subnet']}/24", strict=False))
    host.ip(f"route add {taken} via {INTERNET.router}")
    second = start("--network=lab").stop().json
    assert second["net_ipv4_subnet"] != first["net_ipv4_subnet"]
    assert second["net_ipv6_prefix"] == first["net_ipv6_prefix"]
    host.ip(f"route del {taken}")
    assert start("--network=lab").json["net_ipv4_subnet"] == first["net_ipv4_subnet"]


def test_automatic_network_keeps_the_first_range(start):
    for number in range(5):
        start(f"--network=n{number}")
    assert start().json["vmnet_start_address"] == "192.168.64.1"


def test_explicit_addresses_do_not_join(host, start):
    told = start("--network=lab").json
    first = ipaddress.ip_address(told["net_ipv4_subnet"])
    assert_refused(run_to_end(host, f"--start-address={first}", f"--end-address={first + 253}",
                              "--subnet-mask=255.255.255.0"), ["vmnet-lab"])


def test_kill_leaves_nothing_for_the_next(host, start):
    killed = start("--network=lab")
    told = killed.json
    killed.kill(killed.keeper(), killed.pid)
    again = start("--network=lab")
    assert len(networks(host)) == 1
    assert again.json["net_ipv4_subnet"] == told["net_ipv4_subnet"]
    again.stop()
    assert wait_for_no_helper() and not networks(host)


@pytest.mark.parametrize("names", [["lab"], ["one", "two", "three"]], ids=["one-name", "three-names"])
def test_twelve_starts_at_once(host, start, names):
    helpers = [start(f"--network={names[number % len(names)]}", ready=False) for number in range(12)]
    told = [helper.ready().json for helper in helpers]
    assert len(networks(host)) == len(names)
    assert len({each["net_ipv4_subnet"] for each in told}) == len(names)
    assert len({each["ip_address"] for each in told}) == 12


def test_twenty_names_have_a_range_each(host, start):
    helpers = [start(f"--network=net-{number}", ready=False) for number in range(20)]
    told = [helper.ready().json for helper in helpers]
    assert len({each["net_ipv4_subnet"] for each in told}) == 20
    assert len({each["net_ipv6_prefix"] for each in told}) == 20
    assert len(networks(host)) == 20


@pytest.mark.parametrize("name", ["tap0", "mvt0", "shared0", "host0", "priv0", "lock", "a-guard", "x",
                                  "123456789", "1234567890", LONGEST])
def test_names_that_are_no_devices(host, plug, name):
    """Whatever the name: the network works, beside others, and its end takes all along."""
    others = [plug(), plug("--operation-mode=host"), plug("--network=a")]
    guest = joined(plug(f"--network={name}"))
    guest.ping(INTERNET.web)
    assert [bridge for bridge, alias in networks(host).items() if f" name={name} " in alias]
    for other in others:
        other.dhcp()
        other.ping(other.gateway)
    guest.helper.stop()
    for other in others:
        other.ping(other.gateway)


def test_users_device_of_that_name_is_left_alone(host, start):
    host.ip("link add vmnet-lab type bridge")
    start("--network=lab").stop()
    host.ip("link del vmnet-lab")


@pytest.mark.parametrize("name", ["", "-x", "x-", "a.b", "a_b", "a b", "\u00fc", "n" * 64, "a/b", "*"])
def test_bad_names(host, name):
    before = networks(host)
    assert_refused(run_to_end(host, f"--network={name}"), ["--network"])
    assert networks(host) == before


def test_vmnet_run(host):
    """It passes the option on, and the line."""
    done = host.run(ROOT.runner(), "--network=lab", "--", "/bin/true")
    assert "net_ipv4_subnet" in json.loads(done.stdout)
