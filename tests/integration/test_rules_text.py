"""The rules as `nft list ruleset` prints them, which is how docs/linux.md shows them."""
import pathlib
import re
from subprocess import DEVNULL, PIPE

import pytest

from support.netns import Netns
from support.rules_lab import ROOT, RULES_TOOL, Rules

EXPECTED = pathlib.Path(__file__).parent / "rules"

COMMON = ["tap=vmnet-tap0", "port_group=1073741826", "gateway_mac=0e:76:6d:00:00:01",
          "vm_mac=76:6d:00:00:00:02"]
IPV4 = ["vm_ipv4=192.168.64.2", "subnet=192.168.64.0/24", "gateway=192.168.64.1"]
IPV6 = ["gateway_ll=fe80::c76:6dff:fe00:1", "gateway_ula=fd12:3456:789a:1::1",
        "prefix=fd12:3456:789a:1::"]
CASES = {
    "shared": ["mode=shared", "bridge=vmnet-shared0", *IPV4, *IPV6, "uplink=eth0"],
    "shared-isolated": ["mode=shared", "bridge=vmnet-shared0", *IPV4, *IPV6, "uplink=eth0",
                        "isolation=1"],
    "shared-ipv4": ["mode=shared", "bridge=vmnet-shared0", *IPV4],
    "shared-odd-mask": ["mode=shared", "bridge=vmnet-shared0", "vm_ipv4=10.1.2.6",
                        "subnet=10.1.2.4/30", "gateway=10.1.2.5", "uplink=eth0", "uplink=wlan0"],
    "shared-large": ["mode=shared", "bridge=vmnet-shared0", "vm_ipv4=10.0.0.2", "subnet=10.0.0.0/8",
                     "gateway=10.0.0.1", *IPV6, "uplink=eth0"],
    "host": ["mode=host", "bridge=vmnet-host0", *IPV4],
    "host-isolated": ["mode=host", "bridge=vmnet-host0", *IPV4, "isolation=1"],
    "private": ["mode=host", "bridge=vmnet-priv0"],
    "bridged": ["mode=bridged", "bridge=br0"],
}


@pytest.fixture
def host():
    namespace = Netns()
    namespace.run("ip tuntap add vmnet-tap0 mode tap")
    yield namespace
    namespace.close()


def readable(text):
    """As nft 1.0.6 prints it: newer ones have a name for the target of a neighbour message."""
    text = re.sub(r"icmpv6 taddr\b", "@th,64,128", text)
    return re.sub(r" # progname.*", "", text)


@pytest.mark.parametrize("case", CASES)
def test_rules_are_listed_as_documented(host, case):
    rules = Rules(host, COMMON + CASES[case])
    listed = readable(host.run("nft list ruleset"))
    rules.close()
    assert listed == (EXPECTED / f"{case}.nft").read_text()


@pytest.mark.parametrize("case", CASES)
def test_rules_are_what_nft_makes_of_their_text(host, case):
    """The same instructions as a hand-written file: its reader can trust the text."""
    rules = Rules(host, COMMON + CASES[case])
    ours = instructions(host)
    rules.close()
    text = (EXPECTED / f"{case}.nft").read_text().replace("\tflags owner\n", "")
    host.run("nft -f -", stdin=text)
    assert ours == instructions(host)


def instructions(host):
    listed = host.run("nft --debug=netlink list ruleset").split("\ntable ", 1)[0]
    # One deliberate difference: nft asks some bridged frames for their type in their own header,
    # which for one with a VLAN tag is the tag's; ours sees behind the tag.
    listed = listed.replace("payload load 2b @ link header + 12 =>", "meta load protocol =>")
    # Rules and anonymous sets are numbered in the order of creation.
    listed = re.sub(r"^(\w+ vmnet-tap0 \w+) [\d ]+$", r"\1", listed, flags=re.M)
    listed = re.sub(r"__set\d+", "__set", listed)
    # A hash table lists its elements in any order.
    return re.sub(r"(^\telement .*\n)+", lambda block: "".join(sorted(block[0].splitlines(True))),
                  listed, flags=re.M)


def test_the_manual_shows_the_rules(host):
    manual = (ROOT / "docs/linux.md").read_text()
    shown = re.search(r"^```nft\n(.*?)^```$", manual, flags=re.M | re.S)[1]
    rules = Rules(host, ["mode=shared", "bridge=vmnet-shared0", "tap=vmnet-tap0", "uplink=uplink0",
                         "port_group=1073741827", "gateway_mac=0e:76:6d:9d:19:c7",
                         "vm_mac=76:6d:b2:30:88:1a", "vm_ipv4=192.168.64.70", "subnet=192.168.64.0/24", "gateway=192.168.64.1",
                         "gateway_ll=fe80::1", "gateway_ula=fd3c:5241:92a:19c7::1",
                         "prefix=fd3c:5241:92a:19c7::"])
    listed = readable(host.run("nft list ruleset"))
    rules.close()
    assert readable(shown) == listed


def test_tables_vanish_with_their_owner_alone(host):
    rules = Rules(host, COMMON + CASES["shared"])
    before = host.run("nft list ruleset")
    host.run("nft flush ruleset")
    assert host.run("nft list ruleset") == before
    rules.process.kill()
    rules.process.wait()
    assert host.run("nft list ruleset") == ""


def test_sets_change(host):
    rules = Rules(host, COMMON + CASES["shared"])
    assert rules.command("uplinks eth1 eth2").startswith("ok")
    for family in ("ipv4", "ipv6"):
        text = host.run(f"nft list set inet vmnet-tap0 guarded_{family}")
        assert re.findall(r'"(\w+)"', text) == ["eth1", "eth2"]
    assert rules.command("uplinks ipv6/eth1").startswith("ok")
    assert "elements" not in host.run("nft list set inet vmnet-tap0 guarded_ipv4")
    assert "eth1" in host.run("nft list set inet vmnet-tap0 guarded_ipv6")
    assert rules.command("uplinks").startswith("ok")
    assert "elements" not in host.run("nft list set inet vmnet-tap0 guarded_ipv6")
    for number in range(15):
        assert rules.command(f"mac 0a:00:00:00:00:{number:02x}") == "ok"
    assert rules.command("mac 0a:00:00:00:00:00") == "ok"
    assert rules.command("mac 0a:00:00:00:00:99") == "full"
    text = host.run("nft list set bridge vmnet-tap0 vm_macs")
    assert len(re.findall(r"0a:00:00:00:00:", text)) == 15
    assert rules.command("remove").startswith("ok")
    assert host.run("nft list ruleset") == ""
    rules.close()


def test_failure_names_the_object_and_leaves_nothing(host):
    process = host.popen([str(RULES_TOOL), "rules", "mode=shared",
                          "tap=vmnet-tap012345678", "bridge=vmnet-shared0"], stdin=DEVNULL,
                         stdout=DEVNULL, stderr=PIPE)
    errors = process.communicate()[1]
    assert process.returncode == 1
    assert "chain from_vm of table netdev vmnet-tap012345678: " in errors
    assert host.run("nft list ruleset") == ""


def test_a_foreign_table_of_the_name_is_an_error(host):
    host.run("nft add table bridge vmnet-tap0")
    process = host.popen([str(RULES_TOOL), "rules", *COMMON,
                          *CASES["shared"]], stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE)
    errors = process.communicate()[1]
    assert process.returncode == 1
    assert "table bridge vmnet-tap0: File exists" in errors
    assert host.run("nft list ruleset").split() == ["table", "bridge", "vmnet-tap0", "{", "}"]
