"""The privileged process that stays: what it may do, and that all its work fits into that.

A call that its sandbox does not allow ends it, which the worker tells in a WARN line.
"""

import os
import pathlib
import signal
import subprocess
import time

import pytest

from support import snapshot
from support.helper import cable, helper_processes, status, wait_for_no_helper
from support.installation import (CAPABILITIES, CAPABLE_COPY, MACVTAP_CAPABILITIES, ROOT, WAYS,
                                  set_capabilities)
from support.lab import INTERNET, UPLINK
from support.rules_lab import RULES_TOOL
from support.snapshot import wait_until

FEW = {"cap_net_admin": 12, "cap_setgid": 6, "cap_setuid": 7, "cap_dac_override": 1}


def take_lock(host):
    """The helpers' lock, held until communicate()."""
    lock = host.start(RULES_TOOL, "lock", "1000", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert lock.stdout.readline().startswith(b"locked")
    return lock


def mask(*names):
    return sum(1 << FEW[name] for name in names)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_few_rights(plug, way):
    held = status(plug(way=way).helper.keeper())
    few = mask("cap_net_admin", "cap_setgid", "cap_setuid")
    if way is ROOT:  # whose socket may be in anybody's folder
        few |= mask("cap_dac_override")
    assert int(held["CapEff"], 16) == int(held["CapPrm"], 16) == few
    assert int(held["CapInh"], 16) == 0
    assert held["NoNewPrivs"] == "1" and held["Seccomp"] == "2"


def assert_ended_well(helper, host, before):
    """By itself, not by its sandbox, and with nothing left."""
    assert wait_for_no_helper()
    assert not [line for line in helper.log_lines("WARN", "ERROR") if "keeper" in line]
    assert not snapshot.difference(before, snapshot.host_state(host))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
@pytest.mark.parametrize("options", [(), ("--operation-mode=host",), ("--enable-isolation",),
                                     ("--operation-mode=host",
                                      "--network-id=11111111-2222-4333-8444-555555555555"),
                                     ("--operation-mode=bridged", "--shared-interface=br0")],
                         ids=["shared", "host", "isolated", "private", "bridge"])
def test_end_of_every_kind_of_network(host, plug, way, options):
    """Last of its network: bridge and settings go with it."""
    host.ip("link add br0 address 02:00:00:00:00:b0 type bridge", "link set br0 addrgenmode none",
            "link add leg0 type veth peer name leg1", "link set leg0 addrgenmode none master br0",
            "link set leg1 addrgenmode none up", "link set leg0 up", "link set br0 up")
    wait_until(lambda: "state UP" in host.ip("link show br0"))
    before = snapshot.host_state(host)
    helper = plug(*options, way=way).helper
    helper.stop()
    assert_ended_well(helper, host, before)
    host.ip("link del br0", "link del leg0")


@pytest.mark.parametrize("way", [ROOT, CAPABLE_COPY], ids=lambda way: way.name)
def test_end_of_a_macvtap(host, plug, way):
    program = CAPABLE_COPY.helper()
    set_capabilities(program, MACVTAP_CAPABILITIES)
    try:
        before = snapshot.host_state(host)
        helper = plug("--operation-mode=bridged", f"--shared-interface={UPLINK}", way=way).helper
        helper.stop()
        assert_ended_well(helper, host, before)
    finally:
        set_capabilities(program, CAPABILITIES)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_end_with_a_socket_of_a_name(host, start, alice_folder, way):
    """Its files are removed as their user."""
    before = snapshot.host_state(host)
    helper = start(path=alice_folder / "vm.sock", way=way)
    helper.stop()
    assert not list(alice_folder.iterdir())
    assert_ended_well(helper, host, before)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_death_of_the_worker(host, start, alice_folder, way):
    before = snapshot.host_state(host)
    helper = start(path=alice_folder / "vm.sock", way=way)
    helper.kill(helper.worker())
    helper.process.wait(10)
    assert_ended_well(helper, host, before)
    assert not list(alice_folder.iterdir())


def test_not_the_last_of_its_network(host, plug):
    before = snapshot.host_state(host)
    first, second = plug(), plug()
    first.helper.stop()
    second.dhcp()
    second.ping(INTERNET.web)
    second.helper.stop()
    assert_ended_well(first.helper, host, before)
    assert_ended_well(second.helper, host, before)


def test_another_network_takes_the_settings_over(host, plug):
    """The old values move to another network's record, and are put back by that one's end."""
    before = snapshot.host_state(host)
    first = plug()
    second = plug("--start-address=10.77.0.1", "--end-address=10.77.0.9",
                  "--subnet-mask=255.255.255.0")
    first.helper.stop()
    second.dhcp()
    second.ping(INTERNET.web)
    second.helper.stop()
    assert_ended_well(first.helper, host, before)
    assert_ended_well(second.helper, host, before)


def test_routes_come_and_go(lab, host, plug):
    """What it does meanwhile: a new uplink."""
    host.ip("link add uplink9 type veth peer name peer9 netns internet",
            "link set uplink9 addrgenmode none", "addr add 203.0.113.50/24 dev uplink9",
            "link set uplink9 up")
    lab.internet.ip("addr add 203.0.113.1/24 dev peer9", "link set peer9 up")
    before = snapshot.host_state(host)
    guest = plug()
    guest.dhcp()
    lock = take_lock(host)
    host.ip("route add 198.18.0.0/15 via 203.0.113.1 dev uplink9")
    forwarding = pathlib.Path("proc/sys/net/ipv4/conf/uplink9/forwarding")
    time.sleep(0.5)
    lock.communicate()
    assert wait_until(lambda: host.run("cat", f"/{forwarding}").stdout == "1\n")
    host.ip("route del 198.18.0.0/15 via 203.0.113.1 dev uplink9")
    guest.ping(INTERNET.web)
    guest.helper.stop()
    assert_ended_well(guest.helper, host, before)
    host.ip("link del uplink9")


@pytest.mark.parametrize("flavour", ["iptables-legacy", "ip6tables-legacy", "iptables-nft"])
def test_firewall_is_told_of(host, plug, flavour):
    """Read with the few rights that are left, after the start."""
    if host.run("which", flavour, check=False).returncode != 0:
        pytest.skip("needs Debian's iptables")
    host.run(flavour, "-P", "FORWARD", "DROP")
    try:
        helper = plug().helper
        assert wait_until(lambda: any("FORWARD" in line for line in helper.log_lines("WARN")))
    finally:
        host.run(flavour, "-P", "FORWARD", "ACCEPT")
        host.run("nft", "delete", "table", "ip", "filter", check=False)
        pathlib.Path("/run/xtables.lock").unlink(missing_ok=True)


def test_guards_stay_as_long_as_what_they_guard(host, plug):
    """The end waits for the lock: until forwarding is back, the host is a router for nobody."""
    helper = plug().helper
    device = helper.json["host_interface"]
    lock = take_lock(host)
    helper.send(signal.SIGTERM)
    assert wait_until(lambda: device not in host.ip("link"))
    time.sleep(0.2)
    rules = host.run("nft", "list", "tables").stdout
    assert host.run("sysctl", "-n", f"net.ipv4.conf.{UPLINK}.forwarding").stdout == "1\n"
    lock.communicate()
    helper.wait()
    assert "table inet vmnet-shared0" in rules and f"table netdev {device}" in rules
    assert wait_for_no_helper()
    assert not host.run("nft", "list", "tables").stdout


def test_nothing_is_logged_under_the_lock(host, start):
    """Standard error is the user's, who could let a write to it wait, and all other helpers too."""
    left = start()
    left.kill(*helper_processes())
    left.process.wait(10)
    assert wait_for_no_helper()
    helper_end, vm_end = cable(host)
    fd = helper_end.fileno()
    trace = pathlib.Path("/tmp/lock-trace")
    process = subprocess.Popen(
        [*host.prefix(), "strace", "-f", "-e", "trace=sendto,write", "-s", "200", "-o", trace,
         str(ROOT.helper()), "--verbose", "--fd", str(fd)], pass_fds=(fd,),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    helper_end.close()
    assert process.stdout.readline().startswith(b"{")
    vm_end.close()
    assert process.wait(20) == 0
    process.stdout.close()
    calls = trace.read_text().splitlines()
    trace.unlink()
    lock = "".join(f"\\x{ord(letter):02x}" for letter in "vmnet-lock")
    released = [n for n, call in enumerate(calls) if "NFT_MSG_DELTABLE" in call and lock in call]
    logged = [n for n, call in enumerate(calls) if "write(2, " in call and "whose helper" in call]
    logged += [n for n, call in enumerate(calls) if "write(2, " in call and "has no VM" in call]
    assert logged and released and min(logged) > released[0]
