"""--tap: what a VM that holds its TAP itself can do with it, and what rules hold when its keeper is
gone."""

import errno
import os
import select
import signal
import subprocess
import tempfile
import time

import pytest
from scapy.layers.dhcp import BOOTP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether

from support import slow_file
from support.checks import assert_reach
from support.helper import wait_for_no_helper
from support.lab import INTERNET, PYTHON, UPLINK, end
from support.native_tap import NEEDS_CHECKSUM, SIOCSIFHWADDR, device_of, gone, mac_request
from support.rules_lab import RULES_TOOL
from support.snapshot import wait_until


@pytest.fixture
def orphan(plug, plug_tap):
    """A victim, and an attacker whose keeper has been killed while it holds its device; the victim's
    keeper, which would take the device away, is frozen."""
    victim, attacker = plug(), plug_tap()
    for guest in (victim, attacker):
        guest.dhcp()
        guest.drain()
    os.kill(victim.helper.keeper(), signal.SIGSTOP)
    attacker.helper.kill(attacker.helper.keeper())
    assert attacker.helper.process.wait(5) == 1
    yield victim, attacker
    os.kill(victim.helper.keeper(), signal.SIGCONT)
    plug().helper.stop()


def test_rules_outlive_the_keeper(host, orphan):
    victim, attacker = orphan
    assert_reach(attacker, victim)  # it can still send
    forged = [
        Ether(dst=victim.mac, src=attacker.mac) /
        ARP(op=2, hwsrc=attacker.mac, psrc=victim.gateway, pdst=victim.ip),
        Ether(dst=victim.mac, src=victim.gateway_mac) / IP(src=attacker.ip, dst=victim.ip) /
        UDP(sport=1, dport=2) / b"the gateway's MAC",
        Ether(dst=victim.mac, src=attacker.mac) / IP(src=victim.gateway, dst=victim.ip) /
        UDP(sport=1, dport=2) / b"the gateway's address",
        Ether(dst=victim.mac, src=attacker.mac) / IP(src=attacker.ip, dst=victim.ip) /
        UDP(sport=67, dport=68) / BOOTP(op=2),
        attacker.dhcp_message("discover"),
    ]
    for frame in forged:
        attacker.send(frame)
    victim.expect_none(lambda p: p.src in (attacker.mac, victim.gateway_mac) and
                       (BOOTP in p or UDP in p or (ARP in p and p[ARP].psrc == victim.gateway)))
    victim.ping(INTERNET.web)


def test_orphans_address_stays_its_own(orphan, plug):
    """Rules that guard the orphan hold as well: nobody takes its MAC or address meanwhile."""
    victim, attacker = orphan
    victim.send(Ether(dst=attacker.mac, src=victim.mac) / IP(src=attacker.ip, dst=attacker.ip) /
                UDP(sport=1, dport=2) / b"forged")
    attacker.expect_none(lambda p: UDP in p and p.src == victim.mac)


@pytest.mark.parametrize("options", [(), ("--enable-isolation",)], ids=["open", "isolated"])
@pytest.mark.parametrize("mode", ["shared", "host"])
def test_another_keeper_takes_over(host, plug, plug_tap, mode, options):
    """The guard's, without anybody's end or start, and what the VM without a keeper still holds."""
    orphan, other = plug_tap("--operation-mode", mode, *options), plug("--operation-mode", mode)
    name, device = orphan.helper.json["host_interface"], device_of(orphan)
    guard = f"table inet vmnet-{mode}0-guard"

    def tables():
        return host.run("nft", "list", "tables").stdout.splitlines()
    assert guard in tables()
    orphan.helper.kill(orphan.helper.keeper(), orphan.helper.worker())
    orphan.helper.process.wait(5)
    gone(host, orphan, device)
    assert wait_until(lambda: f"table netdev {name}" not in tables() and guard in tables(), 3)
    host.run("nft", "flush", "ruleset")
    assert guard in tables(), "it is owned"
    other.dhcp()


def test_flush_of_the_ruleset_spares_the_living(host, plug_tap):
    """A firewall's reload, while the keeper lives."""
    guest = plug_tap()
    guest.dhcp()
    device = guest.helper.json["host_interface"]

    def tables():
        return sorted(host.run("nft", "list", "tables").stdout.splitlines())
    own, all_tables = host.run("nft", "--stateless", "list", "table", "netdev", device).stdout, tables()
    host.run("nft", "flush", "ruleset")
    assert host.run("nft", "--stateless", "list", "table", "netdev", device).stdout == own
    assert wait_until(lambda: tables() == all_tables)
    guest.ping(INTERNET.web)


def mac_of_gateway(host):
    return host.run("cat", "/sys/class/net/vmnet-shared0/address").stdout.strip()


@pytest.mark.parametrize("whose", ["victim", "gateway"])
def test_changed_mac_takes_the_device_away(host, plug, plug_tap, whose):
    """The bridge would take the MAC for its own, past all rules, and its owner would hear no more."""
    victim, attacker = plug(), plug_tap()
    for guest in (victim, attacker):
        guest.dhcp()
    victim.gateway_mac = victim.arp(victim.gateway)
    name, device = attacker.helper.json["host_interface"], device_of(attacker)
    attacker.socket.set_mac({"victim": victim.mac, "gateway": victim.gateway_mac}[whose])
    assert attacker.helper.wait(5) == 1
    assert any(name in line and "MAC" in line for line in attacker.helper.log_lines("ERROR"))
    gone(host, attacker, device)
    victim.ping(INTERNET.web)


def test_macs_of_nobody_are_undone_a_few_times(host, plug_tap):
    """udev does that too, once; who goes on is no udev."""
    attacker = plug_tap()
    device, right = device_of(attacker), attacker.socket.mac()
    for number in range(4):
        attacker.socket.set_mac(f"52:54:00:00:00:{number:02x}")
        assert wait_until(lambda: attacker.socket.mac() == right)
    attacker.dhcp()
    attacker.socket.set_mac("52:54:00:00:00:99")
    assert attacker.helper.wait(5) == 1
    gone(host, attacker, device)


def test_changed_mac_is_seen_while_the_lock_is_waited_for(host, plug_tap):
    """Routes are followed under the lock, which another helper may have for seconds."""
    attacker = plug_tap()
    attacker.dhcp()
    device = attacker.helper.json["host_interface"]
    lock = host.start(RULES_TOOL, "lock", "1000", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert lock.stdout.readline().startswith(b"locked")
    host.ip(f"route add 198.18.0.0/15 via {INTERNET.router} dev {UPLINK}")
    time.sleep(0.5)
    attacker.socket.set_mac(mac_of_gateway(host))
    taken = wait_until(lambda: device not in host.ip("link"), 3)
    lock.communicate()
    host.ip(f"route del 198.18.0.0/15 via {INTERNET.router} dev {UPLINK}")
    assert taken
    assert attacker.helper.wait(10) == 1


@pytest.fixture
def slow_log(host):
    """The descriptor of a file to which a write does not end."""
    folder = tempfile.mkdtemp()
    server = subprocess.Popen([PYTHON, slow_file.__file__, folder], stdout=subprocess.PIPE, text=True)
    said = server.stdout.readline()
    if said != "ready\n":
        end(server)
        os.rmdir(folder)
        pytest.skip(said)
    fd = os.open(f"{folder}/log", os.O_WRONLY)
    yield fd
    end(server)  # writes that wait fail now
    os.close(fd)
    subprocess.run(["umount", "--lazy", folder], check=True)
    os.rmdir(folder)
    assert wait_for_no_helper()


def test_changed_mac_takes_the_device_away_whatever_becomes_of_the_log(host, plug_tap, slow_log):
    """Standard error is the user's, who could let the keeper wait in a write to it."""
    attacker = plug_tap(stderr=slow_log)
    device = device_of(attacker)
    attacker.socket.set_mac(mac_of_gateway(host))
    gone(host, attacker, device)


def test_nobody_has_a_device_before_the_keeper_has_said_its_say(host, start, slow_log):
    """A host with a firewall, of which the keeper warns: it must not wait in that when it should watch."""
    host.run("nft", "add table inet closed; add chain inet closed forward "
             "{ type filter hook forward priority 0; policy drop; }")
    helper = start("--tap", ready=False, stderr=slow_log)
    assert not select.select([helper.vm], [], [], 2)[0]
    helper.kill()
    host.run("nft", "delete table inet closed")


def unfinished(frame, field, wanted, start=20):
    """`frame` with a header that asks the kernel to write a checksum over the two bytes at `field`,
    and a last word that makes it come out as `wanted`."""
    frame = bytearray(frame.ljust(60, b"\0"))
    words = (int.from_bytes(frame[at:at + 2], "big") for at in range(start, 58, 2))
    total = sum(words)
    target = ~int.from_bytes(wanted, "big") & 0xFFFF
    last = (target - total) % 0xFFFF
    frame[58:60] = last.to_bytes(2, "big")
    header = bytes([NEEDS_CHECKSUM, 0, 0, 0, 0, 0, start, 0, field - start, 0, 0, 0])
    return bytes(frame), header


def test_checksum_that_would_forge_an_address(plug, plug_tap):
    """The rules see a frame before the kernel writes the checksum that its header asks for. Written
    over the sender's address of an ARP reply, it would make the gateway's of it."""
    victim, attacker = plug(), plug_tap()
    for guest in (victim, attacker):
        guest.dhcp()
        guest.drain()
    innocent = bytes(Ether(dst=victim.mac, src=attacker.mac) /
                     ARP(op=2, hwsrc=attacker.mac, psrc="192.168.99.99", pdst=victim.ip))
    frame, header = unfinished(innocent, 30, bytes([64, 1]))
    attacker.socket.send(frame, header)
    victim.expect_none(lambda p: ARP in p and p[ARP].psrc == victim.gateway and
                       p[ARP].hwsrc == attacker.mac, what="an ARP reply in the gateway's name")
    victim.ping(INTERNET.web)


def test_hostile_headers(host, plug, plug_tap):
    """Any header: the kernel refuses or carries the frame, the others' network lives on."""
    victim, attacker = plug(), plug_tap()
    for guest in (victim, attacker):
        guest.dhcp()
    large = bytes(attacker.packet_to(victim.ip, UDP(sport=1, dport=2) / bytes(60000), victim.mac))
    tcp = bytes(Ether(dst=victim.mac, src=attacker.mac) / IP(src=attacker.ip, dst=victim.ip, proto=6,
                                                             len=60040) / bytes(60020))
    for frame in (large, tcp, large[:60]):
        for kind in (0, 1, 3, 4, 5, 0x81, 0xFF):
            for size in (0, 1, 8, 1448, 0xFFFF):
                for start in (0, 14, 34, 40, 0xFFFF):
                    header = bytes([NEEDS_CHECKSUM, kind]) + b"".join(
                        value.to_bytes(2, "little") for value in (54, size, start, 16, 0))
                    try:
                        attacker.socket.send(frame, header)
                    except OSError as refused:
                        assert refused.errno in (errno.EINVAL, errno.ENOBUFS, errno.EAGAIN)
    assert victim.helper.process.poll() is None and attacker.helper.process.poll() is None
    victim.drain()
    victim.ping(INTERNET.web, timeout=10)


SET_MAC = ("import fcntl, sys, time\n"
           "while True:\n"
           "    fcntl.ioctl(int(sys.argv[1]), int(sys.argv[2]), bytes.fromhex(sys.argv[3]))\n"
           "    time.sleep(0.005)")


def test_a_busy_device_does_not_hold_up_the_hosts_routes(host, plug_tap):
    """The VM makes the kernel tell of its device all the time, by setting the MAC that it has: new
    uplinks are followed all the same."""
    guest = plug_tap()
    guest.dhcp()
    host.ip("link add uplink9 type veth peer name peer9 netns internet",
            "link set uplink9 addrgenmode none", "addr add 203.0.113.50/24 dev uplink9",
            "link set uplink9 up")
    fd = guest.socket.fd
    teller = host.start(PYTHON, "-c", SET_MAC, fd, SIOCSIFHWADDR, mac_request(guest.socket.mac()).hex(),
                        pass_fds=(fd,))
    time.sleep(0.3)  # until it is under way
    host.ip("route add 198.18.0.0/15 via 203.0.113.1 dev uplink9")
    forwarding = "/proc/sys/net/ipv4/conf/uplink9/forwarding"
    assert wait_until(lambda: host.run("cat", forwarding).stdout == "1\n")
    assert teller.poll() is None
    end(teller)
    guest.helper.stop()
    host.ip("link del uplink9")
