"""The lock of a network namespace, and what is said of a firewall in the way."""
import os
import shutil
import time
from subprocess import DEVNULL, PIPE

import pytest

from support.netns import Netns
from support.rules_lab import RULES_TOOL

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces and nftables")


@pytest.fixture
def host():
    namespace = Netns()
    yield namespace
    namespace.close()


def take_lock(host, milliseconds):
    return host.popen([str(RULES_TOOL), "lock", str(milliseconds)], stdin=PIPE, stdout=PIPE,
                      stderr=PIPE)


def test_one_holder_at_a_time(host):
    first = take_lock(host, 1000)
    assert first.stdout.readline().startswith("locked")
    output, errors = take_lock(host, 50).communicate(timeout=10)
    assert output == ""
    assert "holds this network namespace's lock (nftables table inet vmnet-lock)" in errors
    waiting = take_lock(host, 10000)
    time.sleep(0.05)
    first.communicate(timeout=10)
    assert waiting.stdout.readline().startswith("locked")
    waiting.communicate(timeout=10)
    assert host.run("nft list ruleset") == ""


def test_a_killed_holder_holds_nothing(host):
    first = take_lock(host, 1000)
    assert first.stdout.readline().startswith("locked")
    first.kill()
    first.communicate(timeout=10)
    assert take_lock(host, 1000).communicate(timeout=10)[0].startswith("locked")


def test_namespaces_have_locks_of_their_own(host):
    first = take_lock(host, 1000)
    assert first.stdout.readline().startswith("locked")
    other = Netns()
    assert take_lock(other, 0).communicate(timeout=10)[0].startswith("locked")
    other.close()
    first.communicate(timeout=10)


def test_nobody_takes_it_without_privilege(host):
    tool = shutil.copy(RULES_TOOL, "/tmp/rules_tool_test")  # where any user can execute it
    try:
        process = host.popen(["setpriv", "--reuid=65534", "--clear-groups", tool, "lock", "1000"],
                             stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
        output, errors = process.communicate(timeout=10)
    finally:
        os.unlink(tool)
    assert output == ""
    assert "CAP_NET_ADMIN" in errors


def warnings(host):
    return host.run([str(RULES_TOOL), "firewall"]).splitlines()


def forward_chain(host, policy, *rules):
    host.run("nft -f -", stdin=f"""table inet site {{
        chain routed {{
            type filter hook forward priority filter; policy {policy};
            {'; '.join(rules)}
        }}
    }}
    """)


def test_an_open_host_gives_no_warning(host):
    assert warnings(host) == []
    forward_chain(host, "accept", "ip protocol tcp drop", "counter accept")
    assert warnings(host) == []


@pytest.mark.parametrize("policy, rules", [
    ("drop", ["ct state established accept"]),
    ("accept", ["ct state established accept", "counter drop"]),
    ("accept", ["ct state established accept", "counter log reject"]),
], ids=["policy", "last-drop", "last-reject"])
def test_a_closed_forward_chain_is_named_with_its_remedy(host, policy, rules):
    forward_chain(host, policy, *rules)
    (line,) = warnings(host)
    assert "nftables table inet site, chain routed" in line
    for command in line.split("to let them: ")[1].split(" && "):
        host.run(["sh", "-c", command])
    text = host.run("nft list chain inet site routed")
    assert text.index('iifname "vmnet-*" oifname "uplink0" accept') < text.index("ct state established accept")
    assert warnings(host) == []


@pytest.mark.skipif(not shutil.which("iptables-legacy"), reason="needs Debian's iptables")
@pytest.mark.parametrize("flavour", ["iptables-nft", "iptables-legacy", "ip6tables-legacy"])
def test_iptables_is_seen(host, flavour):
    host.run(f"{flavour} -P FORWARD DROP")
    (line,) = warnings(host)
    assert "chain FORWARD" in line
    host.run(f"{flavour} -I FORWARD -i vmnet-+ -o uplink0 -j ACCEPT")
    assert warnings(host) == []


@pytest.mark.skipif(not shutil.which("iptables-nft"), reason="needs Debian's iptables")
def test_dockers_chain_is_the_remedy_where_there_is_one(host):
    for command in ("-P FORWARD DROP", "-N DOCKER-USER", "-A FORWARD -j DOCKER-USER"):
        host.run(f"iptables-nft {command}")
    (line,) = warnings(host)
    assert "iptables -I DOCKER-USER -i vmnet-+ -o uplink0 -j ACCEPT" in line
    host.run("iptables-nft -I DOCKER-USER -i vmnet-+ -o uplink0 -j ACCEPT")
    assert warnings(host) == []


def test_looking_makes_no_table(host):
    def tables():
        with host.inside(), open("/proc/self/net/ip_tables_names", encoding="ascii") as names:
            return names.read()
    assert tables() == ""
    warnings(host)
    assert tables() == ""
