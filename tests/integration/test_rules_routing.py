"""What the rules keep out (hardening.md, rows 37 and 38), packet by packet.

Each attack runs twice: with the rules as installed it must fail; with the rule that stops it taken
out it must succeed, or the attack would prove nothing.
"""
import os

import pytest

from support.route_attacks import ROUTE_ATTACKS, internet, lan, through_host, udp_reaches
from support.rules_lab import a_lab, udp_arrives

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and nftables")


@pytest.fixture
def lab():
    with a_lab() as fresh:
        yield fresh


@pytest.mark.parametrize("name", ROUTE_ATTACKS)
def test_packet_is_kept_out(lab, name):
    attack, rules, first, third = ROUTE_ATTACKS[name]
    lab.internet.run("ip route add 198.51.100.0/24 via 203.0.113.2")
    lab.install(first, first, third)
    assert not attack(lab)
    lab.replace_rules(*rules)
    for namespace in (lab.host, *(one.ns for one in lab.vms)):
        namespace.run("ip addr flush to 10.9.9.9")
        namespace.run("ip -6 addr flush to 2001:db8:9::9")
    assert attack(lab)


def test_uplink_by_the_hosts_address(lab):
    lab.install()
    assert udp_reaches(lab, lab.vms[0].ns, lab.vms[0].ip, lab.internet,
                       "203.0.113.1") == "203.0.113.2"
    assert udp_reaches(lab, lab.vms[0].ns, lab.vms[0].ip6, lab.internet,
                       "2001:db8:1::1") == "2001:db8:1::2"
    lab.vms[0].ns.run("ping -c1 -W2 203.0.113.1")
    lab.vms[0].ns.run("ping -c1 -W2 2001:db8:1::1")
    lab.vms[0].ns.run("ping -c1 -W2 fe80::1%eth0")


def test_the_hosts_own_packets_keep_their_source(lab):
    lab.install()
    assert udp_reaches(lab, lab.host, "192.168.64.1", lab.host, "192.168.64.1") == "192.168.64.1"


def test_a_published_port_reaches_the_vm(lab):
    lab.install()
    lab.host.run("nft -f -", stdin="""table ip published {
        chain prerouting {
            type nat hook prerouting priority dstnat;
            iifname "eth0" udp dport 8080 dnat to 192.168.64.2:5001
        }
    }
    """)
    server = lab.vms[0].ns.udp_socket("0.0.0.0", 5001)
    client = lab.internet.udp_socket("0.0.0.0", 0)
    assert udp_arrives(server, lambda: client.sendto(b"knock", ("203.0.113.2", 8080)))
    server.close()
    client.close()


@pytest.mark.parametrize("uplink, guarded", [("eth0", True), ("ipv6/eth0", False), ("ipv4/eth0", True),
                                              (None, False)])
def test_the_guard_knows_its_uplinks(lab, uplink, guarded):
    """Each family by itself."""
    lab.internet.run("ip route add 198.51.100.0/24 via 203.0.113.2")
    lab.install(*[{"uplink": uplink}] * 3)
    assert bool(through_host(internet, "198.51.100.1", lan)(lab)) is not guarded


# Row 38: the host's services that listen on all addresses are reachable from a VM by the gateway's
# address and the host's others, as they are from the LAN; a rule of the user's closes them.
def test_the_users_rule_closes_the_hosts_services(lab):
    lab.install()
    for address in ("192.168.64.1", "203.0.113.2"):
        assert udp_reaches(lab, lab.vms[0].ns, lab.vms[0].ip, lab.host, address)
    lab.host.run("nft -f -", stdin="""table inet mine {
        chain input {
            type filter hook input priority filter;
            iifname "vmnet-*" meta l4proto { tcp, udp } ct state new drop
        }
    }
    """)
    for address in ("192.168.64.1", "203.0.113.2"):
        assert not udp_reaches(lab, lab.vms[0].ns, lab.vms[0].ip, lab.host, address)
    assert udp_reaches(lab, lab.vms[0].ns, lab.vms[0].ip, lab.internet, "203.0.113.1")
