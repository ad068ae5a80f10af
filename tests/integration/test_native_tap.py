"""--tap: the VM holds the TAP itself, the kernel carries its frames, the helper answers DHCP and router
solicitations and cleans up. What other files test with `plug_either` is not repeated here."""

import errno
import os
import signal
import time

import pytest
from scapy.layers.dhcp import BOOTP
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6ND_RS
from scapy.layers.l2 import ARP, Dot1Q, Ether

from support import snapshot
from support.checks import assert_apart, assert_reach, assert_refused
from support.guest import BROADCAST
from support.helper import helper_processes, run_to_end, status, wait_for_no_helper
from support.installation import ROOT, SETUID_COPY, WAYS
from support.lab import INTERNET, PYTHON
from support.native_tap import (HEADER, IFF_NO_PI, IFF_TAP, IFF_VNET_HDR, NEEDS_CHECKSUM, NativeDevice,
                                receive_descriptor, rest_of)
from support.sniffer import Sniffer
from support.snapshot import wait_until

EVERY_WAY = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
ID = "2f8d5b1c-95a0-4a52-a1f2-0123456789ab"


# The device


@EVERY_WAY
def test_network(host, plug_tap, way):
    before = snapshot.host_state(host)
    guest = plug_tap(way=way)
    assert guest.dhcp().address == guest.helper.json["ip_address"]
    guest.ping(guest.gateway)
    guest.ping(INTERNET.web)
    assert guest.helper.log_lines("ERROR", "WARN") == []
    guest.helper.stop()
    assert wait_for_no_helper()
    assert not snapshot.difference(before, snapshot.host_state(host))


def test_what_is_handed_over(host, start):
    """One message with one descriptor, after the line: the device that the line names."""
    helper = start("--tap")
    fd, text = receive_descriptor(helper.vm)
    assert text == b"TAP"
    device = NativeDevice(fd)
    name, flags = device.flags()
    assert name == helper.json["host_interface"]
    assert flags & 0xFFFF == IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
    assert device.header_size() == helper.json["tap_vnet_header_size"] == HEADER
    assert rest_of(helper.vm) == []
    device.close()


def test_helper_keeps_no_copy(plug_tap):
    """Neither the worker nor the keeper: the device ends with the VM."""
    helper = plug_tap().helper
    for pid in (helper.worker(), helper.keeper()):
        held = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        assert "/dev/net/tun" not in held


def test_lasting_identity(plug_tap, plug):
    first = plug("--interface-id", ID)
    address = first.dhcp().address
    first.helper.stop()
    guest = plug_tap("--interface-id", ID)
    assert guest.helper.json["vmnet_mac_address"] == first.mac
    assert guest.dhcp().address == address


@pytest.mark.parametrize("options", [("--socket=vm.sock",), ("--fd=3", "--socket=vm.sock"),
                                     ("--fd=3", "--stats-interval=1")])
def test_usage_errors(host, options):
    assert_refused(run_to_end(host, "--tap", *options, bare=True), ["--tap"])


# DHCP and router advertisements


def test_router_solicitation(plug_tap):
    guest = plug_tap()
    advert = guest.solicit_router()
    assert advert[ICMPv6ND_RA].routerlifetime > 0


def test_unasked_advertisement(plug_tap):
    """The first comes by itself."""
    plug_tap().expect(lambda p: ICMPv6ND_RA in p, what="a router advertisement")


def test_unfinished_checksum(plug_tap):
    """A guest with checksum offload leaves DHCP's to the host."""
    guest = plug_tap()
    message = bytearray(bytes(guest.dhcp_message("discover")))
    start, offset = 14 + 20, 6
    header = bytes([NEEDS_CHECKSUM, 0, 0, 0, 0, 0, start, 0, offset, 0, 0, 0])
    pseudo = sum(int.from_bytes(message[at:at + 2], "big") for at in range(26, 34, 2))
    pseudo += 17 + len(message) - start
    pseudo = (pseudo & 0xFFFF) + (pseudo >> 16)
    message[start + offset:start + offset + 2] = pseudo.to_bytes(2, "big")
    guest.socket.send(bytes(message), header)
    guest.expect(lambda p: BOOTP in p and p[BOOTP].op == 2, what="an offer")


def test_requests_do_not_cross_the_bridge(host, plug_tap, plug):
    """What the helper answers is dropped on its way, and the answers reach their VM alone."""
    asking, other = plug_tap(), plug_tap()
    socket_vm = plug()
    with Sniffer(host, "vmnet-shared0") as seen:
        asking.dhcp()
        asking.solicit_router()
        asking.ping(asking.gateway)  # the sign that what came before has passed
        wait_until(lambda: any(ICMP in p for p in seen.packets()))
        for packet in seen.packets():
            assert BOOTP not in packet and ICMPv6ND_RS not in packet, packet.summary()
    for bystander in (other, socket_vm):
        bystander.expect_none(lambda p: BOOTP in p or (ICMPv6ND_RA in p and p.dst != BROADCAST and
                                                       p.dst == asking.mac))


def test_requests_of_a_vlan_are_not_ours(plug_tap):
    guest = plug_tap()
    plain = guest.dhcp_message("discover")
    guest.send(Ether(src=plain.src, dst=plain.dst) / Dot1Q(vlan=7) / plain[IP])
    guest.expect_none(lambda p: BOOTP in p)
    guest.dhcp()


def test_flood_of_requests(plug_tap):
    guest = plug_tap()
    for number in range(5000):
        guest.send(guest.dhcp_message("discover", chaddr=f"02:00:00:00:{number >> 8:02x}:"
                                                         f"{number & 255:02x}")
                   if number % 500 == 0 else b"\xff" * 6 + bytes(60))
    guest.drain()
    assert guest.dhcp().address == guest.helper.json["ip_address"]


# Modes


def test_reaches_vms_of_both_kinds(plug, plug_tap):
    first, second, third = plug_tap(), plug_tap(), plug()
    for guest in (first, second, third):
        guest.dhcp()
        guest.drain()
    assert_reach(first, second)
    assert_reach(first, third)
    assert_reach(third, second)


def test_isolation_from_a_vm_on_a_socket(plug, plug_tap):
    first, second = plug_tap("--enable-isolation"), plug()
    for guest in (first, second):
        guest.dhcp()
        guest.gateway_mac = guest.arp(guest.helper.json["vmnet_start_address"])
        guest.drain()
    assert_apart(first, second)
    assert_apart(second, first)
    first.ping(INTERNET.web)


def test_host_mode(plug_tap):
    guest = plug_tap("--operation-mode=host")
    guest.dhcp()
    guest.ping(guest.helper.json["vmnet_start_address"])
    guest.gateway_mac = guest.arp(guest.helper.json["vmnet_start_address"])
    with pytest.raises(AssertionError):
        guest.ping(INTERNET.web, timeout=0.5)


def test_network_id(plug_tap):
    options = ("--operation-mode=host", f"--network-id={ID}")
    first, second = plug_tap(*options), plug_tap(*options)
    first.ip, second.ip = "10.1.2.3", "10.1.2.4"
    assert_reach(first, second)
    with pytest.raises(AssertionError, match="DHCP reply"):
        first.dhcp_exchange("discover", timeout=0.3)


# Privilege


@EVERY_WAY
def test_worker_has_nothing_left(plug_tap, way):
    guest = plug_tap(way=way)
    guest.dhcp()
    worker = guest.helper.worker()
    for task in os.listdir(f"/proc/{worker}/task"):
        held = status(worker, task)
        assert {int(held[kind], 16) for kind in ("CapPrm", "CapEff", "CapInh", "CapAmb")} == {0}
        assert held["NoNewPrivs"] == "1" and held["Seccomp"] == "2"


# The end


def device_of(guest):
    """How the host's list of devices names it: numbers are not used again, names are."""
    index = guest.helper.namespace.run(
        "cat", f"/sys/class/net/{guest.helper.json['host_interface']}/ifindex").stdout.strip()
    return f"{index}: {guest.helper.json['host_interface']}:"


def there(host, device):
    return any(line.startswith(device) for line in host.run("ip", "-o", "link").stdout.splitlines())


def gone(host, guest, device):
    """The device is away, also for who still holds it."""
    assert wait_until(lambda: not there(host, device)), f"{device} is still there"
    if guest.socket.fd >= 0:
        with pytest.raises(OSError) as caught:
            os.read(guest.socket.fd, 100)
        assert caught.value.errno == errno.EBADFD


def test_closed_device_ends_the_helper(host, plug_tap):
    before = snapshot.host_state(host)
    guest = plug_tap()
    guest.dhcp()
    guest.socket.close()
    assert guest.helper.process.wait(5) == 0
    assert not snapshot.difference(before, snapshot.host_state(host))


@pytest.mark.parametrize("persistent", [False, True])
def test_closed_socket_ends_the_helper(host, plug_tap, persistent):
    """And the device with it, though the VM holds it still."""
    before = snapshot.host_state(host)
    guest = plug_tap()
    device = device_of(guest)
    guest.dhcp()
    if persistent:
        guest.socket.persist()
    guest.helper.vm.close()
    assert guest.helper.process.wait(5) == 0
    gone(host, guest, device)
    assert not snapshot.difference(before, snapshot.host_state(host))


def test_persistent_device_outlives_its_holder(host, plug_tap):
    """Then the socket alone says how long it is wanted, and the user can take it up by name."""
    before = snapshot.host_state(host)
    guest = plug_tap(way=SETUID_COPY)
    helper = guest.helper
    name = helper.json["host_interface"]
    guest.socket.persist()
    guest.socket.close()
    time.sleep(0.7)
    assert name in host.links() and helper.process.poll() is None
    take_up = ("import fcntl, os, struct; fcntl.ioctl(os.open('/dev/net/tun', os.O_RDWR), 0x400454ca,"
               f" struct.pack('16sH22x', b'{name}', 0x5002))")
    assert host.run(PYTHON, "-c", take_up, user="alice", check=False).returncode == 0
    refused = host.run(PYTHON, "-c", take_up, user="mallory", check=False)
    assert refused.returncode == 1 and "not permitted" in refused.stderr
    helper.stop()
    assert not snapshot.difference(before, snapshot.host_state(host))


@EVERY_WAY
@pytest.mark.parametrize("persistent", [False, True], ids=["held", "persistent"])
def test_kill_of_the_worker(host, plug_tap, way, persistent):
    """The keeper removes everything at once, the held device too."""
    before = snapshot.host_state(host)
    guest = plug_tap(way=way)
    device = device_of(guest)
    guest.dhcp()
    if persistent:
        guest.socket.persist()
    guest.helper.kill(guest.helper.worker())
    guest.helper.process.wait(10)
    assert wait_for_no_helper()
    gone(host, guest, device)
    assert not snapshot.difference(before, snapshot.host_state(host))


@pytest.mark.parametrize("victims", ["keeper", "everything"])
@pytest.mark.parametrize("way, holding", [
    *((way, "held") for way in WAYS), (ROOT, "persistent"), (ROOT, "persistent and closed"),
    (ROOT, "closed")], ids=lambda value: getattr(value, "name", value))
def test_kill_leaves_nothing_after_the_next_life(host, plug, plug_tap, way, victims, holding):
    before = snapshot.host_state(host)
    guest = plug_tap(way=way)
    device = device_of(guest)
    guest.dhcp()
    if "persistent" in holding:
        guest.socket.persist()
    kept = "vmnet-" in host.run("nft", "list", "tables").stdout
    pids = helper_processes() if victims == "everything" else [guest.helper.keeper()]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    if "closed" in holding:
        guest.socket.close()
    ended = guest.helper.process.wait(10)
    assert wait_for_no_helper() and kept
    if victims == "keeper" and holding != "closed":
        assert ended == 1 and guest.helper.log_lines("ERROR")
    if holding != "closed":
        assert there(host, device)
    next_life = plug(way=way)
    gone(host, guest, device)
    next_life.dhcp()
    next_life.ping(INTERNET.web)
    next_life.helper.stop()
    assert not snapshot.difference(before, snapshot.host_state(host))


def test_living_devices_are_not_swept(plug, plug_tap):
    """The next helper tells a dead keeper's device from a living one's."""
    guest = plug_tap()
    guest.dhcp()
    plug().helper.stop()
    guest.ping(INTERNET.web)


# What rules hold when the keeper is gone, and against what a holder can do to its device


@pytest.fixture
def orphan(plug, plug_tap):
    """A victim, and an attacker whose keeper has been killed while it holds its device."""
    victim, attacker = plug(), plug_tap()
    for guest in (victim, attacker):
        guest.dhcp()
        guest.drain()
    attacker.helper.kill(attacker.helper.keeper())
    assert attacker.helper.process.wait(5) == 1
    yield victim, attacker
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


def test_flush_of_the_ruleset_spares_the_living(host, plug_tap):
    """A firewall's reload, while the keeper lives."""
    guest = plug_tap()
    guest.dhcp()
    rules = host.run("nft", "list", "ruleset").stdout
    host.run("nft", "flush", "ruleset")
    assert host.run("nft", "list", "ruleset").stdout == rules
    guest.ping(INTERNET.web)


@pytest.mark.parametrize("whose", ["victim", "gateway", "invented"])
def test_changed_mac_takes_the_device_away(host, plug, plug_tap, whose):
    """The bridge would take the MAC for its own, past all rules, and its owner would hear no more."""
    victim, attacker = plug(), plug_tap()
    for guest in (victim, attacker):
        guest.dhcp()
    victim.gateway_mac = victim.arp(victim.gateway)
    name, device = attacker.helper.json["host_interface"], device_of(attacker)
    attacker.socket.set_mac({"victim": victim.mac, "gateway": victim.gateway_mac,
                             "invented": "52:54:00:00:00:99"}[whose])
    assert attacker.helper.wait(5) == 1
    assert any(name in line and "MAC" in line for line in attacker.helper.log_lines("ERROR"))
    gone(host, attacker, device)
    victim.ping(INTERNET.web)


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
