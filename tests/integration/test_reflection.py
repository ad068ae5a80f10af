"""The host answers who asked: no VM makes it send another one anything, or has what is another's.

What the host does for a VM follows from what it believes of addresses, and VMs tell it. So each claim
is held against who had the address first, and what ARP says against who speaks.
"""
import os

import pytest
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP

from support import reflection_attacks as attacks
from support.reflection_attacks import (CHOSEN_MAC, CLAIM_ATTACKS, ERROR_ATTACKS, GATEWAY, LINK_LOCAL,
                                        MAC_ATTACKS, PRIVATE, STATIC, ULA, advert, host_reaches, send, take, use)
from support.rules_lab import GATEWAY_LL, Rules, a_lab

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and nftables")

OPEN, ISOLATED = {}, {"isolation": "1"}
PAIRS = {"from-isolated": (ISOLATED, OPEN), "to-isolated": (OPEN, ISOLATED)}
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


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("name", CLAIM_ATTACKS)
def test_isolated_vms_keep_their_addresses(lab, name, pair):
    attack, rules = CLAIM_ATTACKS[name]
    lab.install(*PAIRS[pair])
    assert not attack(lab)
    lab.replace_rules(*rules)
    assert attack(lab)


@pytest.mark.parametrize("name", MAC_ATTACKS)
def test_answers_go_to_who_asked(lab, name):
    """These rules are the same with isolation and without."""
    attack, rules = MAC_ATTACKS[name]
    lab.install(OPEN, OPEN)
    assert not attack(lab)
    lab.replace_rules(*rules)
    assert attack(lab)


@pytest.mark.parametrize("name", ERROR_ATTACKS)
def test_errors_go_to_no_other_network(lab, name):
    attack, rules = ERROR_ATTACKS[name]
    lab.install(ISOLATED, ISOLATED, ISOLATED)
    assert not attack(lab)
    lab.replace_rules(*rules)
    assert attack(lab)


@pytest.mark.parametrize("settings", [OPEN, ISOLATED], ids=["open", "isolated"])
@pytest.mark.parametrize("mac", [None, CHOSEN_MAC], ids=["given-mac", "chosen-mac"])
def test_a_vm_may_use_any_free_address(lab, settings, mac):
    lab.install(settings, settings)
    vm = lab.vms[0]
    if mac:
        vm.ns.run(f"ip link set eth0 address {mac}")
    for address in (vm.ip, *FREE_ADDRESSES):
        use(lab, vm, address)
        source = address + ("%eth0" if address == LINK_LOCAL else "")
        vm.ns.run(f"ping -c 1 -W 1 -I {source} {GATEWAYS.get(address, GATEWAY)}")


@pytest.mark.parametrize("address", FREE_ADDRESSES)
def test_who_came_first_keeps_it_where_vms_are_isolated(lab, address):
    lab.install(ISOLATED, ISOLATED)
    first, second = lab.vms[:2]
    use(lab, first, address)
    take(second, address)
    second.ns.run(f"ping -c 1 -W 1 -I {address} {GATEWAY}", check=False)
    lab.host.run(f"ip neigh flush dev {attacks.BRIDGE}")
    assert host_reaches(lab, first, address)
    assert attacks.neighbour(lab, address) == first.mac


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


@pytest.mark.parametrize("mac", [None, CHOSEN_MAC], ids=["given-mac", "chosen-mac"])
@pytest.mark.parametrize("which", ["ip", "link_local", "made_ip6"])
def test_nobody_claims_what_a_vm_is_given(lab, which, mac):
    """VM 0 uses it while VM 1 is away; VM 1 comes and has it."""
    lab.install(ISOLATED, ISOLATED)
    early, late = lab.vms[:2]
    address = getattr(late, which)
    lab.rules.pop(1).close()
    late.ns.run("ip link set eth0 down")
    use(lab, early, address)
    early.ns.run(f"ip addr del {address}/{64 if ':' in address else 24} dev eth0")
    lab.rules.append(Rules(lab.host, late.rule_arguments(**ISOLATED)))
    if mac:
        late.ns.run(f"ip link set eth0 address {mac}")
    late.ns.run("ip link set eth0 up")
    lab.host.run(f"ip neigh flush dev {attacks.BRIDGE}")
    use(lab, late, address)
    assert attacks.neighbour(lab, address) == (mac or late.mac)


def test_a_claim_is_one_of_its_bridge(lab):
    """Link-local addresses are the same in every network."""
    lab.install(ISOLATED, ISOLATED, ISOLATED)
    use(lab, lab.vms[0], LINK_LOCAL)
    use(lab, lab.vms[2], LINK_LOCAL)


def test_few_addresses_are_claimed(lab):
    """A VM keeps no small subnet from those that come later."""
    lab.install(ISOLATED, ISOLATED)
    for number in range(100, 140):
        send(lab.vms[0], ARP(op=1, hwsrc=lab.vms[0].mac, psrc=f"192.168.64.{number}", pdst=GATEWAY))
    lab.host.run(f"ip neigh flush dev {attacks.BRIDGE}")
    use(lab, lab.vms[1], STATIC)
    use(lab, lab.vms[1], "192.168.64.139")


def test_the_hosts_marks_are_left_alone(lab):
    """The bits by which the rules know a claim are gone behind them, a user's own are not."""
    lab.install(ISOLATED, ISOLATED)
    lab.host.run("nft -f -", stdin=USERS_RULES)
    for address in FREE_ADDRESSES:
        use(lab, lab.vms[0], address)
    seen = [int(line.split("packets ")[1].split()[0])
            for line in lab.host.run("nft list table inet user").splitlines() if "packets" in line]
    assert seen[0] >= 3
    assert seen[1] == 0


def test_a_silent_vm_is_found_again(lab):
    """The bridge has forgotten its MAC, and sends to all ports what is for it: to its own too."""
    lab.install(ISOLATED, ISOLATED)
    vm = lab.vms[0]
    vm.ns.run(f"ip link set eth0 address {CHOSEN_MAC}")
    use(lab, vm, vm.ip)
    lab.host.run(f"bridge fdb del {CHOSEN_MAC} dev {vm.tap} master")
    assert host_reaches(lab, vm, vm.ip)
