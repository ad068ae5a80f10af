"""The host answers who asked: no VM makes it send another one anything in the name of what that was given.

What the host does for a VM follows from what it believes of addresses, and VMs tell it. So what a VM says of
a MAC or an address that was given to another is dropped; of an isolated VM all but its own.
"""
import os

import pytest
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP

from support import reflection_attacks as attacks
from support.reflection_attacks import (CHOSEN_MAC, ERROR_ATTACKS, GATEWAY, ISOLATED_ATTACKS, LINK_LOCAL,
                                        NAME_ATTACKS, PRIVATE, STATIC, ULA, advert, host_reaches, send,
                                        take, use)
from support.rules_lab import GATEWAY_LL, a_lab

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and nftables")

OPEN, ISOLATED = {}, {"isolation": "1"}
FREE_ADDRESSES = [STATIC, PRIVATE, LINK_LOCAL]
GATEWAYS = {PRIVATE: ULA, LINK_LOCAL: GATEWAY_LL + "%eth0"}


USERS_RULES = """
table bridge user {
    chain c {
        type filter hook prerouting priority -500
        meta mark set meta mark | 0x7
    }
}
table inet user {
    chain c {
        type filter hook prerouting priority -500
        iifname "vmnet-shared0" meta mark 0x7 counter
        iifname "vmnet-shared0" meta mark != 0x7 counter
    }
}
"""


@pytest.fixture
def lab():
    with a_lab(bridge_nf=0) as fresh:
        yield fresh


@pytest.mark.parametrize("name", NAME_ATTACKS)
def test_answers_go_to_who_asked(lab, name):
    attack, rules = NAME_ATTACKS[name]
    lab.install(OPEN, OPEN)
    assert not attack(lab)
    lab.replace_rules(*rules)
    assert attack(lab)


def test_an_open_vm_does_not_ask_as_an_isolated_one(lab):
    attack, rules = NAME_ATTACKS["asks-as-given-ipv4"]
    lab.install(OPEN, ISOLATED)
    assert not attack(lab)
    lab.replace_rules(*rules)
    assert attack(lab)


@pytest.mark.parametrize("other", [OPEN, ISOLATED], ids=["of-open", "of-isolated"])
@pytest.mark.parametrize("name", ISOLATED_ATTACKS)
def test_an_isolated_vm_asks_as_itself(lab, name, other):
    attack, rules = ISOLATED_ATTACKS[name]
    lab.install(ISOLATED, other)
    assert not attack(lab)
    lab.replace_rules(*rules)
    assert attack(lab)


@pytest.mark.parametrize("name", ERROR_ATTACKS)
def test_errors_go_to_no_other_network(lab, name):
    attack, rules = ERROR_ATTACKS[name]
    lab.install(OPEN, OPEN, OPEN)
    assert not attack(lab)
    lab.replace_rules(*rules)
    assert attack(lab)


@pytest.mark.parametrize("name", ERROR_ATTACKS)
def test_errors_of_an_isolated_vm_go_to_nobody_else(lab, name):
    lab.install(ISOLATED, OPEN, OPEN)
    assert not ERROR_ATTACKS[name][0](lab)


@pytest.mark.parametrize("mac", [None, CHOSEN_MAC], ids=["given-mac", "chosen-mac"])
def test_a_vm_may_use_any_free_address(lab, mac):
    lab.install(OPEN, OPEN)
    vm = lab.vms[0]
    if mac:
        vm.ns.run(f"ip link set eth0 address {mac}")
    for address in (vm.ip, *FREE_ADDRESSES):
        use(lab, vm, address)
        source = address + ("%eth0" if address == LINK_LOCAL else "")
        vm.ns.run(f"ping -c 1 -W 1 -I {source} {GATEWAYS.get(address, GATEWAY)}")


@pytest.mark.parametrize("mac", [None, CHOSEN_MAC], ids=["given-mac", "chosen-mac"])
def test_an_isolated_vm_uses_its_address_and_its_prefix(lab, mac):
    lab.install(ISOLATED, ISOLATED)
    vm = lab.vms[0]
    if mac:
        vm.ns.run(f"ip link set eth0 address {mac}")
    any_of_its_own = vm.prefix[:-1] + "abcd:ef01:2345:6789"
    for address, gateway in ((vm.ip, GATEWAY), (any_of_its_own, vm.prefix + "1"),
                             (LINK_LOCAL, GATEWAY_LL + "%eth0")):
        if address != vm.ip:
            take(vm, address)
        source = address + ("%eth0" if address == LINK_LOCAL else "")
        vm.ns.run(f"ping -c 1 -W 1 -I {source} {gateway}")
        assert host_reaches(lab, vm, address)
    take(vm, STATIC)
    assert vm.ns.run(f"ping -c 1 -W 1 -I {STATIC} {GATEWAY}", check=False).count(", 100% packet loss") == 1


@pytest.mark.parametrize("address", FREE_ADDRESSES)
def test_an_address_moves_between_open_vms(lab, address):
    """As that of a service does which another VM takes over (VRRP)."""
    lab.install(OPEN, OPEN)
    first, second = lab.vms[:2]
    use(lab, first, address)
    first.ns.run(f"ip addr del {address}/{64 if ':' in address else 24} dev eth0")
    take(second, address)
    attacks.no_locktime(lab)
    if ":" in address:
        send(second, IPv6(src=address, dst=GATEWAY_LL, hlim=255), *advert(address, second.mac))
    else:
        send(second, ARP(op=1, hwsrc=second.mac, psrc=address, pdst=address), to=attacks.EVERYBODY)
    assert host_reaches(lab, second, address)
    assert attacks.neighbour(lab, address) == second.mac


def test_the_hosts_marks_are_left_alone(lab):
    """The bits by which the rules know an address that was not given are gone behind them, a user's own
    are not."""
    lab.install(OPEN, OPEN)
    lab.host.run("nft -f -", stdin=USERS_RULES)
    for address in FREE_ADDRESSES:
        use(lab, lab.vms[0], address)
    seen = [int(line.split("packets ")[1].split()[0])
            for line in lab.host.run("nft list table inet user").splitlines() if "packets" in line]
    assert seen[0] >= 3
    assert seen[1] == 0


def test_a_silent_vm_is_found_again(lab):
    """The bridge has forgotten its MAC, and sends to all ports what is for it: to its own too."""
    lab.install(OPEN, OPEN)
    vm = lab.vms[0]
    vm.ns.run(f"ip link set eth0 address {CHOSEN_MAC}")
    use(lab, vm, vm.ip)
    lab.host.run(f"bridge fdb del {CHOSEN_MAC} dev {vm.tap} master")
    assert host_reaches(lab, vm, vm.ip)
