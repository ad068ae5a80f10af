"""One network's rules: an element a VM, put back after a flush, in force meanwhile, swept after kills."""

import json
import os
import random
import re
import signal
import time

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Ether

from support.checks import assert_apart, carries, datagram
from support.helper import wait_for_no_helper
from support.lab import INTERNET, UPLINK_ADDRESS
from support.snapshot import wait_until

ISOLATED = "--enable-isolation"
NETWORK = "vmnet-shared0"
GUARD = "table inet vmnet-shared0-guard"
TABLES = {f"table bridge {NETWORK}", f"table inet {NETWORK}", GUARD}
SEED = int(os.environ.get("VMNET_SEED", "1"))


def tables(host):
    return set(host.run("nft", "list", "tables").stdout.splitlines())


def rules(host):
    """Whatever the order in which the tables were made."""
    listed = host.run("nft", "--stateless", "list", "ruleset").stdout
    return sorted(re.split(r"^(?=table )", listed, flags=re.M))


def elements(host, name):
    listed = host.run("nft", "list", "set", "bridge", NETWORK, name, check=False).stdout
    found = re.search(r"elements = \{([^}]*)\}", listed)
    return set(found[1].replace(",", " ").split()) if found else set()


@pytest.fixture
def frozen():
    """A call that stops the keepers of helpers until the test's end, or the call of its result."""
    stopped = []

    def thaw():
        while stopped:
            os.kill(stopped.pop(), signal.SIGCONT)

    def freeze(*guests):
        for guest in guests:
            stopped.append(guest.helper.keeper())
            os.kill(stopped[-1], signal.SIGSTOP)
        return thaw
    yield freeze
    thaw()


def settled(*guests):
    for guest in guests:
        guest.dhcp()
        guest.gateway_mac = guest.arp(guest.gateway)
        guest.drain()
    return guests


def test_an_element_a_vm(host, plug):
    guests = [plug(*options) for options in ((), (), (ISOLATED,))]
    assert elements(host, "macs") == {guest.helper.json["vmnet_mac_address"] for guest in guests}
    assert elements(host, "ipv4") == {guest.helper.json["ip_address"] for guest in guests}
    assert len(elements(host, "ipv6")) == len(elements(host, "targets")) == 6
    gone = guests.pop()
    gone.helper.stop()
    assert elements(host, "ipv4") == {guest.helper.json["ip_address"] for guest in guests}
    assert TABLES < tables(host)
    for guest in guests:
        guest.helper.stop()
    assert wait_for_no_helper()
    assert not tables(host)


@pytest.mark.parametrize("options", [(), (ISOLATED,), ("--operation-mode=host",)],
                         ids=["open", "isolated", "host"])
def test_rules_are_back_after_a_flush(host, plug_either, options):
    guest = plug_either(*options)
    before = rules(host)
    host.run("nft", "flush", "ruleset")
    assert wait_until(lambda: rules(host) == before, 3)
    host.run("nft", "flush", "ruleset")
    assert wait_until(lambda: rules(host) == before, 3), "once more"


def test_one_keeper_puts_them_back(host, plug):
    guests = [plug() for _ in range(4)]
    before = rules(host)
    host.run("nft", "flush", "ruleset")
    assert wait_until(lambda: rules(host) == before, 3)
    time.sleep(0.3)
    warned = [line for guest in guests for line in guest.helper.log_lines("WARN")]
    assert len(warned) == 1 and NETWORK in warned[0]


def test_bridged_mode_too(host, plug):
    host.ip("link add br0 address 02:00:00:00:00:b0 type bridge", "link set br0 up")
    guest = plug("--operation-mode=bridged", "--shared-interface=br0")
    before = rules(host)
    assert "table bridge vmnet-on-br0" in tables(host)
    host.run("nft", "flush", "ruleset")
    assert wait_until(lambda: rules(host) == before, 3)
    guest.helper.stop()
    assert not tables(host)
    host.ip("link del br0")


def test_what_holds_while_they_are_gone(host, plug, frozen):
    """No keeper can act: a flush leaves isolation, NAT and the guard."""
    host.sysctl(net__ipv4__ip_forward=1, net__ipv4__conf__all__send_redirects=0)
    first, second, isolated = settled(plug(), plug(), plug(ISOLATED))
    thaw = frozen(first, second, isolated)
    host.run("nft", "flush", "ruleset")
    assert tables(host) & TABLES == {GUARD}
    for sender, target in ((first, isolated), (isolated, first)):
        datagram(sender, target.ip, sender.gateway_mac, b"hairpin")
        target.expect_none(carries(b"hairpin"), what="a packet through the gateway")
    assert_apart(first, isolated)
    isolated.send(Ether(dst=isolated.gateway_mac, src=isolated.mac) / IP(src=first.ip, dst=isolated.gateway) /
                  ICMP() / b"in its name")
    first.expect_none(lambda p: b"in its name" in bytes(p), what="an answer for the other VM")
    for guest in (first, isolated):
        guest.ping(INTERNET.web)
    thaw()
    assert wait_until(lambda: TABLES < tables(host), 3)
    for guest in (first, second, isolated):
        guest.helper.stop()
    host.sysctl(net__ipv4__ip_forward=0, net__ipv4__conf__all__send_redirects=1)


def test_the_uplink_reaches_no_vm_while_they_are_gone(lab, host, plug, frozen):
    (guest,) = settled(plug())
    frozen(guest)
    host.run("nft", "flush", "ruleset")
    lab.internet.ip(f"route add 192.168.64.0/24 via {UPLINK_ADDRESS}")
    lab.internet.run("ping", "-c", "1", "-W", "1", guest.ip, check=False)
    lab.internet.ip("route del 192.168.64.0/24")
    guest.expect_none(lambda p: ICMP in p, what="a packet of the uplink's")


def test_another_keeper_takes_the_guard(host, plug):
    """Its owner is killed: nobody is told of that, but of the VM's device."""
    first, second = settled(plug(), plug(ISOLATED))
    first.helper.kill(first.helper.keeper())
    first.helper.process.wait(10)
    assert wait_until(lambda: GUARD in tables(host), 3)
    host.run("nft", "flush", "ruleset")
    assert GUARD in tables(host), "it is owned"
    assert wait_until(lambda: TABLES < tables(host), 3)
    second.ping(INTERNET.web)


def test_another_keeper_has_the_guard_after_an_end(host, plug):
    first, second = plug(), plug()
    first.helper.stop()
    assert wait_until(lambda: GUARD in tables(host), 3)
    host.run("nft", "flush", "ruleset")
    assert GUARD in tables(host)
    second.dhcp()
    second.ping(INTERNET.web)


def test_ten_vms_and_kills_in_any_order(host, plug):
    """Who lives keeps network and rules; who was killed has left nothing at the next start."""
    draw = random.Random(SEED)
    guests = [plug(*([ISOLATED] if number % 3 == 2 else [])) for number in range(10)]
    draw.shuffle(guests)
    killed, living = guests[:7], guests[7:]
    for number, guest in enumerate(killed):
        pids = [(guest.helper.keeper(),), (guest.helper.worker(),),
                (guest.helper.keeper(), guest.helper.worker())][number % 3]
        guest.helper.kill(*pids)
        guest.helper.process.wait(10)
    assert wait_until(lambda: TABLES < tables(host), 3)
    for guest in living:
        guest.dhcp()
        guest.ping(INTERNET.web)
    living.append(plug())
    assert elements(host, "macs") == {guest.helper.json["vmnet_mac_address"] for guest in living}
    assert elements(host, "ipv4") == {guest.helper.json["ip_address"] for guest in living}
    assert tables(host) == TABLES | {f"table netdev {guest.helper.json['host_interface']}"
                                     for guest in living}


def test_rules_guard_when_all_keepers_were_killed(lab, host, plug, plug_tap):
    """VMs that hold their devices live on, the host still is a router for them alone."""
    guest = plug_tap()
    guest.dhcp()
    guest.helper.kill(guest.helper.keeper())
    guest.helper.process.wait(10)
    assert {f"table bridge {NETWORK}", f"table inet {NETWORK}"} < tables(host)
    guest.ping(INTERNET.web)
    lab.internet.ip(f"route add 192.168.64.0/24 via {UPLINK_ADDRESS}")
    guest.drain()
    lab.internet.run("ping", "-c", "1", "-W", "1", guest.ip, check=False)
    lab.internet.ip("route del 192.168.64.0/24")
    guest.expect_none(lambda p: ICMP in p and p[ICMP].type == 8, what="a packet of the uplink's")
    plug().helper.stop()


def test_a_saved_ruleset_from_before_is_swept(host, plug):
    """A reload that loads tables of ours, with elements of VMs that are no more."""
    host.nft("add table bridge vmnet-shared0\nadd set bridge vmnet-shared0 macs { type ether_addr; }\n"
             "add element bridge vmnet-shared0 macs { 76:6d:01:02:03:04 }\nadd table inet vmnet-shared7\n")
    guest = plug()
    assert elements(host, "macs") == {guest.helper.json["vmnet_mac_address"]}
    assert "table inet vmnet-shared7" not in tables(host)
    assert "chain ports" in host.run("nft", "list", "ruleset").stdout


def bridge_group(host):
    """The device group of the bridge, and the one that the rules ask for."""
    link = json.loads(host.run("ip", "-j", "-d", "link", "show", NETWORK).stdout)[0]
    asked = set(re.findall(r"[io]ifgroup (\d+) goto", host.run("nft", "list", "ruleset").stdout))
    return {str(link["group"])}, asked


def test_a_bridge_made_anew_has_its_rules_made_anew(host, plug):
    """Killed with all it had, the network comes back under its name, as another device."""
    first = plug()
    first.helper.kill(first.helper.keeper(), first.helper.worker())
    first.helper.process.wait(10)
    assert wait_for_no_helper()
    plug()
    assert len(set.union(*bridge_group(host))) == 1


def test_a_start_while_the_last_one_ends(host, start):
    """The same where the other is in the middle of its end."""
    for _ in range(10):
        with start() as old:
            old.send(signal.SIGTERM)
            with start() as new:
                old.wait()
                assert wait_until(lambda: GUARD in tables(host), 3)
                assert len(set.union(*bridge_group(host))) == 1
                new.stop()


def test_isolated_and_open_vms_share_a_subnet(host, plug):
    guests = [plug(*options) for options in ((ISOLATED,), (), (ISOLATED,), ())]
    assert len({guest.helper.json["ip_address"] for guest in guests}) == 4
    assert {guest.helper.json["vmnet_start_address"] for guest in guests} == {"192.168.64.1"}
    prefixes = [guest.helper.json["vmnet_nat66_prefix"] for guest in guests]
    assert len(set(prefixes)) == 3 and prefixes[1] == prefixes[3]


def test_a_new_vm_has_the_address_of_one_before(host, plug):
    """At once, while another one keeps the network: the host forgets who had it."""
    keeps, first = plug(), plug()
    first.dhcp()
    first.helper.stop()
    host.ip(f"neigh replace {first.ip} lladdr {first.mac} nud reachable dev {NETWORK}")
    second = plug()
    assert second.helper.json["ip_address"] == first.ip
    assert first.mac not in host.ip(f"neigh show dev {NETWORK}")
    assert keeps.helper.process.poll() is None
