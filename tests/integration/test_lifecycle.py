"""Ends of every kind, and that nothing is left: signals, kill -9 of each part, races."""

import os
import signal
import socket
import subprocess
import time

import pytest

from support import snapshot
from support.guest import Guest
from support.helper import Helper, helper_processes, wait_for_no_helper
from support.installation import CAPABLE_COPY, ROOT, SETUID_COPY, SUDO, WAYS
from support.lab import INTERNET, UPLINK
from support.snapshot import wait_until

EVERY_WAY = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)


@EVERY_WAY
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_cleanly(host, plug, way, number):
    before = snapshot.host_state(host)
    guest = plug(way=way)
    guest.dhcp()
    guest.helper.stop(number)
    # The exit is the sign that all is gone: no waiting here.
    assert not snapshot.difference(before, snapshot.host_state(host))
    assert wait_for_no_helper()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGALRM,
                                    signal.SIGPIPE, signal.SIGABRT, signal.SIGSEGV])
def test_other_signals_leave_nothing(host, plug, number):
    """Whatever they do to the worker, the keeper cleans up."""
    before = snapshot.host_state(host)
    helper = plug().helper
    helper.send(number)
    if wait_until(lambda: helper.process.poll() is not None, 1) is False:
        helper.stop()
    assert wait_for_no_helper()
    assert not snapshot.difference(before, snapshot.host_state(host))


def test_sigterm_while_starting(host):
    """At any moment of the start: nothing is left, and no line is half written."""
    before = snapshot.host_state(host)
    for delay in range(0, 60, 3):
        helper = Helper(host)
        time.sleep(delay / 1000)
        helper.send(signal.SIGTERM)
        assert helper.process.wait(10) in (0, 1, -signal.SIGTERM), helper.stderr()
        assert wait_for_no_helper()
        out = helper.rest_of_stdout()
        assert out == "" or out.endswith("}\n")
        helper.__exit__()
    assert not snapshot.difference(before, snapshot.host_state(host))


@EVERY_WAY
def test_kill_of_the_worker(host, plug, way):
    """The keeper removes everything, at once."""
    before = snapshot.host_state(host)
    guest = plug(way=way)
    guest.dhcp()
    guest.helper.kill(guest.helper.worker())
    guest.helper.process.wait(10)
    assert wait_for_no_helper()
    assert not snapshot.difference(before, snapshot.host_state(host))


@EVERY_WAY
def test_kill_of_the_keeper(host, plug, way):
    """The worker ends with an error; the next helper's life leaves nothing."""
    before = snapshot.host_state(host)
    guest = plug(way=way)
    guest.dhcp()
    guest.helper.kill(guest.helper.keeper())
    assert guest.helper.wait(5) == 1
    assert guest.helper.log_lines("ERROR")
    assert wait_for_no_helper()
    plug(way=way).helper.stop()
    assert not snapshot.difference(before, snapshot.host_state(host))


@EVERY_WAY
def test_kill_of_everything(host, plug, way):
    before = snapshot.host_state(host)
    guests = [plug(way=way) for _ in range(3)]
    for guest in guests:
        guest.dhcp()
    for pid in helper_processes():
        os.kill(pid, signal.SIGKILL)
    for guest in guests:
        guest.helper.process.wait(10)
    next_life = plug(way=way)
    next_life.dhcp()
    next_life.ping(INTERNET.web)
    next_life.helper.stop()
    assert not snapshot.difference(before, snapshot.host_state(host))


def test_kill_of_one_spares_the_others(plug):
    first, second = plug(), plug()
    first.dhcp()
    second.dhcp()
    first.helper.kill(first.helper.keeper(), first.helper.worker())
    second.ping(INTERNET.web)
    third = plug()
    third.dhcp()
    third.ping(INTERNET.web)
    second.ping(INTERNET.web)


def test_kill_of_the_process_group(host, plug):
    """minikube sometimes kills the group: the keeper, in a session of its own, cleans up."""
    before = snapshot.host_state(host)
    helper_end, vm_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    fd = helper_end.fileno()
    process = subprocess.Popen([*host.prefix(), str(ROOT.helper()), "--fd", str(fd)],
                               pass_fds=(fd,), stdout=subprocess.PIPE, start_new_session=True)
    helper_end.close()
    assert process.stdout.readline().startswith(b"{")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    vm_end.close()
    assert wait_for_no_helper()
    assert not snapshot.difference(before, snapshot.host_state(host))


@pytest.mark.slow
def test_kill_at_any_moment_of_the_start(host):
    """SIGKILL to all at growing delays; after the next helper's life the host is as before."""
    before = snapshot.host_state(host)
    for step in range(60):
        helper = Helper(host, way=ROOT if step % 2 else SETUID_COPY)
        time.sleep(step * 0.001)
        for pid in helper_processes() + [helper.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        helper.process.wait(10)
        helper.__exit__()
        assert wait_for_no_helper()
        with Helper(host) as after:
            after.stop()
        left = snapshot.difference(before, snapshot.host_state(host))
        assert not left, f"killed after {step} ms:\n{left}"


def start_together(host, count, *options, way=ROOT):
    helpers = [Helper(host, *options, way=way) for _ in range(count)]
    try:
        for helper in helpers:
            helper.ready()
    except BaseException:
        for helper in helpers:
            helper.__exit__()
        raise
    return helpers


def check_round(host, count, *options, way=ROOT):
    """`count` helpers at once: one bridge, as many addresses, no error; then all end at once."""
    helpers = start_together(host, count, *options, way=way)
    addresses = {helper.json["ip_address"] for helper in helpers}
    gateways = {helper.json["vmnet_start_address"] for helper in helpers}
    bridges = [name for name in host.links() if name.startswith("vmnet-shared")]
    errors = [line for helper in helpers for line in helper.log_lines("ERROR", "WARN")]
    for helper in helpers:
        helper.send(signal.SIGTERM)
    ends = [helper.wait() for helper in helpers]
    for helper in helpers:
        helper.__exit__()
    assert len(addresses) == count and len(gateways) == 1 and len(bridges) == 1
    assert errors == [] and ends == [0] * count


def test_twelve_at_the_same_instant(host):
    """One network, twelve addresses, and each can talk."""
    helpers = start_together(host, 12)
    assert len({helper.json["ip_address"] for helper in helpers}) == 12
    assert len({helper.json["vmnet_start_address"] for helper in helpers}) == 1
    for helper in helpers:
        guest = Guest(helper.vm, helper.json["vmnet_mac_address"])
        assert guest.dhcp().address == helper.json["ip_address"]
        guest.ping(INTERNET.web)
    for helper in helpers:
        helper.stop()


@pytest.mark.parametrize("way", [SUDO, SETUID_COPY, CAPABLE_COPY], ids=lambda way: way.name)
def test_race_of_the_other_ways(host, way):
    check_round(host, 6, way=way)


def test_races(host):
    before = snapshot.host_state(host)
    for _ in range(10):
        check_round(host, 8)
        assert not snapshot.difference(before, snapshot.host_state(host))


@pytest.mark.slow
def test_hundred_rounds_of_eight(host):
    before = snapshot.host_state(host)
    for _ in range(100):
        check_round(host, 8)
    assert not snapshot.difference(before, snapshot.host_state(host))


def test_starts_and_ends_cross(host):
    """While some end, others start: a network that goes is not mistaken for one that stays."""
    before = snapshot.host_state(host)
    old = start_together(host, 4)
    for _ in range(8):
        for helper in old:
            helper.send(signal.SIGTERM)
        new = start_together(host, 4)
        for helper in old:
            assert helper.wait() == 0, helper.stderr()
            helper.__exit__()
        guest = Guest(new[0].vm, new[0].json["vmnet_mac_address"])
        guest.dhcp()
        guest.ping(INTERNET.web)
        old = new
    for helper in old:
        helper.stop()
        helper.__exit__()
    assert not snapshot.difference(before, snapshot.host_state(host))


@pytest.mark.slow
def test_thousand_cycles(host):
    before = snapshot.host_state(host)
    for _ in range(1000):
        with Helper(host) as helper:
            helper.stop()
    assert not snapshot.difference(before, snapshot.host_state(host))
    assert not helper_processes()


def test_rules_survive_a_firewall_reload(host, plug):
    guest = plug()
    guest.dhcp()
    host.run("nft", "flush", "ruleset")
    guest.ping(INTERNET.web)


def test_network_of_an_interface_that_was_deleted(host, plug):
    """Someone deletes the TAP: the helper ends by itself with an error, and cleans up."""
    before = snapshot.host_state(host)
    helper = plug().helper
    host.ip(f"link del {helper.json['host_interface']}")
    assert helper.wait(5) == 1
    assert helper.log_lines("ERROR")
    assert wait_for_no_helper()
    assert not snapshot.difference(before, snapshot.host_state(host))


def test_forwarding_switched_on_by_the_host_stays(host, plug):
    """What was on before is on afterwards."""
    host.sysctl(net__ipv4__ip_forward=1)
    before = snapshot.host_state(host)
    guest = plug()
    guest.dhcp()
    guest.ping(INTERNET.web)
    guest.helper.stop()
    assert not snapshot.difference(before, snapshot.host_state(host))
    host.sysctl(net__ipv4__ip_forward=0)


def test_uplink_changes_while_running(lab, host, plug):
    """The default route moves to another uplink: VMs follow, and both are as before at the end."""
    host.ip("link add uplink9 type veth peer name peer9 netns internet",
            "link set uplink9 addrgenmode none", "addr add 203.0.113.50/24 dev uplink9",
            "link set uplink9 up")
    lab.internet.ip("addr add 203.0.113.1/24 dev peer9", "link set peer9 up")
    before = snapshot.host_state(host)
    guest = plug()
    guest.dhcp()
    guest.ping(INTERNET.web)
    host.ip("route replace default via 203.0.113.1 dev uplink9")

    def reached():
        try:
            return guest.ping(INTERNET.web, timeout=0.3)
        except AssertionError:
            return None

    assert wait_until(reached, 5), "VMs do not follow the host's default route"
    host.ip(f"route replace default via {INTERNET.router} dev {UPLINK}")
    guest.helper.stop()
    assert not snapshot.difference(before, snapshot.host_state(host))
    host.ip("link del uplink9")
