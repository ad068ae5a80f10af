"""Firewalls of the host that drop what is forwarded: the helper says so in every mode that they harm,
and what it says to add opens the way to the uplinks, and between VMs, and no other."""

import pathlib
import shutil

import pytest

from support.checks import assert_reach, carries, datagram
from support.lab import INTERNET, LAN_HOST, LAN_HOST6, UPLINK
from support.snapshot import wait_until

NFT = "nft"
FLAVOURS = [NFT, "iptables-nft", "iptables-legacy"]
BRIDGE_NETFILTER = pathlib.Path("/proc/sys/net/bridge")


class Firewall:
    """Policy drop on the forward hook, of both protocols."""

    def __init__(self, host, flavour, docker=False):
        self.host, self.flavour = host, flavour
        self.programs = [] if flavour == NFT else [flavour, flavour.replace("ip", "ip6", 1)]
        if flavour == NFT:
            host.nft("table inet site { chain routed { type filter hook forward priority 0; policy drop; }; }")
        for program in self.programs:
            for words in ["-N DOCKER-USER", "-A DOCKER-USER -j RETURN",
                          "-I FORWARD -j DOCKER-USER"] if docker else []:
                host.run(program, *words.split())
            host.run(program, "-P", "FORWARD", "DROP")

    def follow(self, helper):
        """Runs what the WARN lines say."""
        lines = []

        def said():
            lines[:] = [line for line in helper.log_lines("WARN") if "to let them: " in line]
            return len(lines) == max(1, len(self.programs))

        assert wait_until(said, 5), helper.stderr()
        for line in lines:
            commands = line.split("to let them: ")[1]
            if self.flavour == "iptables-nft":
                commands = commands.replace("tables -I DOCKER-USER", "tables-nft -I DOCKER-USER")
            self.host.run("sh", "-ec", commands)

    def remove(self):
        if self.flavour == "iptables-legacy":
            for program in self.programs:
                self.host.run(program, "-P", "FORWARD", "ACCEPT")
                self.host.run(program, "-F")
                self.host.run(program, "-X")
        for table in ("inet site", "ip filter", "ip6 filter"):
            self.host.run("nft", "delete", "table", *table.split(), check=False)
        pathlib.Path("/run/xtables.lock").unlink(missing_ok=True)


@pytest.fixture
def firewall(host):
    made = []

    def make(flavour, **options):
        if not shutil.which(flavour):
            pytest.skip("needs Debian's iptables")
        made.append(Firewall(host, flavour, **options))
        return made[0]

    yield make
    for one in made:
        one.remove()


@pytest.fixture
def bridge_netfilter(host):
    """What is bridged is shown to the forward hook, as on a host with Docker."""
    names = [f"net.bridge.bridge-nf-call-{program}" for program in ("iptables", "ip6tables")]
    if host.run("sysctl", "-n", *names, check=False).returncode != 0:
        pytest.skip("no br_netfilter in this kernel")
    old = [host.run("sysctl", "-n", name).stdout.strip() for name in names]
    host.run("sysctl", "-qw", *[f"{name}=1" for name in names])
    yield
    host.run("sysctl", "-qw", *[f"{name}={value}" for name, value in zip(names, old)])


def cannot(ping, *arguments):
    with pytest.raises(AssertionError):
        ping(*arguments, timeout=0.7)


def assert_cut_off(first, second):
    datagram(first, second.ip, second.mac, b"cut off")
    second.expect_none(carries(b"cut off"))


@pytest.mark.parametrize("isolated", [(), ("--enable-isolation",)], ids=["open", "isolated"])
@pytest.mark.parametrize("flavour, docker", [*((flavour, False) for flavour in FLAVOURS),
                                             ("iptables-nft", True)])
def test_the_way_to_the_uplinks_is_opened_and_no_other(host, lan, plug, firewall, flavour, docker, isolated):
    """Not the one to a network behind another device, as containers are."""
    closed = firewall(flavour, docker=docker)
    guest = plug(*isolated)
    guest.dhcp()
    router = guest.autoconfigure().src
    cannot(guest.ping, INTERNET.web)
    cannot(guest.ping6, INTERNET.web6, router)
    closed.follow(guest.helper)
    guest.ping(INTERNET.web)
    guest.ping6(INTERNET.web6, router)
    cannot(guest.ping, LAN_HOST)
    cannot(guest.ping6, LAN_HOST6, router)
    again = plug(*isolated)
    again.dhcp()
    again.ping(INTERNET.web)
    assert not [line for line in again.helper.log_lines("WARN") if "firewall" in line]


@pytest.mark.parametrize("mode", [(), ("--operation-mode=host",),
                                  ("--network-id=2f8d5b1c-95a0-4a52-a1f2-0123456789ab", "--operation-mode=host",
                                   "--host-ip-address=10.9.9.1", "--host-subnet-mask=255.255.255.0")],
                         ids=["shared", "host", "private"])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_is_bridged(host, plug, firewall, bridge_netfilter, flavour, mode):
    closed = firewall(flavour)
    first, second = plug(*mode), plug(*mode)
    for guest in (first, second):
        guest.dhcp()
    assert_cut_off(first, second)
    closed.follow(first.helper)
    assert_reach(first, second)


def test_a_bridge_of_the_users(host, plug, firewall, bridge_netfilter):
    host.ip("link add br-lan type bridge stp_state 0", "link set br-lan up")
    closed = firewall(NFT)
    options = ("--operation-mode=bridged", "--shared-interface=br-lan")
    first, second = plug(*options), plug(*options)
    first.ip, second.ip = "10.1.1.1", "10.1.1.2"
    assert_cut_off(first, second)
    closed.follow(first.helper)
    assert_reach(first, second)
    first.helper.stop()
    second.helper.stop()
    host.ip("link del br-lan")


@pytest.mark.parametrize("mode", [("--operation-mode=host",), ()], ids=["host", "shared"])
def test_no_word_of_what_harms_nobody(host, plug, firewall, mode):
    """Without br_netfilter host mode needs nothing of the forward hook."""
    if BRIDGE_NETFILTER.exists():
        host.run("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0", "net.bridge.bridge-nf-call-ip6tables=0")
    firewall(NFT)
    guest = plug(*mode)
    guest.dhcp()
    guest.helper.stop()
    told = [line for line in guest.helper.log_lines("WARN") if "firewall" in line]
    assert len(told) == (0 if mode else 1)
    assert all("each other" not in line and UPLINK in line for line in told)
