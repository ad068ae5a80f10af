"""--tap: the VM holds the TAP itself, the kernel carries its frames, the helper answers DHCP and router
solicitations and cleans up. What other files test with `plug_either` is not repeated here."""

import os
import pathlib
import signal
import time

import pytest
from scapy.layers.dhcp import BOOTP
from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6ND_RS
from scapy.layers.l2 import Dot1Q, Ether

from support import snapshot
from support.checks import assert_apart, assert_reach, assert_refused
from support.guest import BROADCAST
from support.helper import helper_processes, run_to_end, status, wait_for_no_helper
from support.installation import ROOT, SETUID_COPY, WAYS
from support.lab import INTERNET, PYTHON
from support.native_tap import (HEADER, IFF_NO_PI, IFF_TAP, IFF_VNET_HDR, NEEDS_CHECKSUM, NativeDevice,
                                device_of, gone, receive_descriptor, rest_of, there)
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

    def held(pid):
        return "".join(info.read_text() for info in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir())

    # The VM may be there first: the worker closes its own when it has sent it.
    for pid in (helper.worker(), helper.keeper()):
        assert snapshot.wait_until(lambda: helper.json["host_interface"] not in held(pid)), held(pid)


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


def test_requests_of_the_host_are_not_the_vms(host, plug_tap):
    """What goes to the VM is not asked by it."""
    guest = plug_tap()
    discover = bytes(guest.dhcp_message("discover", chaddr="02:00:00:00:00:01")).hex()
    send = ("import socket; link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW);"
            f"link.bind(('vmnet-shared0', 0)); link.send(bytes.fromhex('{discover}'))")
    host.run(PYTHON, "-c", send)
    guest.expect(lambda p: BOOTP in p and p[BOOTP].op == 1, what="the host's request")
    guest.expect_none(lambda p: BOOTP in p and p[BOOTP].op == 2, what="an answer to it")


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
    # The keeper first: it would clean up where the worker ends before it.
    pids = [guest.helper.keeper()]
    if victims == "everything":
        pids += [pid for pid in helper_processes() if pid not in pids]
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
