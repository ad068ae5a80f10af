"""--fd: an inherited datagram socket, its buffers, its end."""

import os
import select
import signal
import socket
import subprocess
import time

import pytest

from support.guest import Guest
from support.helper import Helper, cable, wait_for_no_helper
from support.installation import ROOT, WAYS
from support.lab import INTERNET


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_socket_kinds(plug, kind):
    guest = plug(socket_kind=kind)
    guest.dhcp()
    guest.ping(INTERNET.web)


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_end_of_the_vm_without_traffic(start, kind, way):
    helper = start(way=way, socket_kind=kind)
    begin = time.monotonic()
    helper.vm.close()
    assert helper.wait() == 0
    assert time.monotonic() - begin < 3, "the contract says 2 s"
    assert wait_for_no_helper()


def test_kill_of_the_vm(host):
    """A VM process that dies of SIGKILL while frames are on their way."""
    helper_end, vm_end = cable(host)
    vm = subprocess.Popen(["/usr/bin/python3", "-c",
                           "import socket, sys, time\n"
                           "s = socket.socket(fileno=int(sys.argv[1]))\n"
                           "while True: s.send(bytes(60)); time.sleep(0.001)",
                           str(vm_end.fileno())], pass_fds=(vm_end.fileno(),))
    vm_end.close()
    fd = helper_end.fileno()
    helper = Helper(host, "--fd", fd, bare=True, pass_fds=(fd,))
    helper_end.close()
    with helper:
        vm.kill()
        vm.wait()
        assert helper.wait(5) == 0


def test_small_client_buffers(host):
    """Clients may leave theirs at 64 KiB: the helper's queue towards the VM is its own matter."""
    helper_end, vm_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        vm_end.setsockopt(socket.SOL_SOCKET, option, 65536)
    fd = helper_end.fileno()
    with Helper(host, "--fd", fd, bare=True, pass_fds=(fd,)) as helper:
        sent = helper_end.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        helper_end.close()
        guest = Guest(vm_end, helper.json["vmnet_mac_address"])
        guest.dhcp()
        # The VM reads nothing for a while; what the helper queued meanwhile is whole.
        guest.drain()
        for number in range(300):
            guest.send(guest.packet_to(guest.gateway, ping_payload(number)))
        time.sleep(0.3)
        queued = 0
        while guest.receive(0.2) is not None:
            queued += 1
        assert sent >= 1 << 20 and queued >= 250, f"{queued} of 300 replies, buffer {sent}"
    vm_end.close()


def ping_payload(number):
    from scapy.layers.inet import ICMP
    from scapy.packet import Raw
    return ICMP(id=7, seq=number) / Raw(bytes(1400))


def test_client_socket_in_blocking_mode_stays_so(plug):
    """The flags are of the open file, which the client's other end does not share."""
    guest = plug()
    assert os.get_blocking(guest.socket.fileno())


def test_never_an_empty_datagram(plug):
    """QEMU stops reading for good on one."""
    guest = plug()
    guest.dhcp()
    guest.send(b"")
    guest.send(b"x")
    guest.ping(guest.gateway)
    guest.ping(INTERNET.web)
    while (frame := guest.receive(0.3)) is not None:
        assert len(frame) >= 14


@pytest.mark.parametrize("size", [0, 1, 4, 13, 14, 59, 60, 1514, 1515, 1600, 9000, 65535, 65550,
                                  65551, 70000])
def test_any_size_of_frame(plug, size):
    """Counted, never fatal; nothing over the maximum goes on."""
    guest = plug()
    guest.dhcp()
    data = (bytes.fromhex(guest.gateway_mac.replace(":", "") + guest.mac.replace(":", "")) +
            b"\x88\xb5" + bytes(70000))[:size]
    for _ in range(3):
        guest.send(data)
    guest.ping(guest.gateway)


def test_seqpacket_survives_an_empty_record(plug):
    """An empty record reads as 0 bytes, as the end does: it is not the end."""
    guest = plug(socket_kind=socket.SOCK_SEQPACKET)
    guest.dhcp()
    guest.send(b"")
    guest.ping(guest.gateway)


def test_passed_descriptors_do_not_pile_up(plug):
    guest = plug()
    guest.dhcp()
    worker = guest.helper.worker()
    before = len(os.listdir(f"/proc/{worker}/fd"))
    with open("/dev/null") as null:
        for _ in range(100):
            socket.send_fds(guest.socket, [bytes(60)], [null.fileno()])
    guest.ping(guest.gateway)
    assert len(os.listdir(f"/proc/{worker}/fd")) == before


def test_stalled_vm_stops_nothing_else(plug):
    """A VM that does not read: frames from it still pass, other VMs work, it recovers at once."""
    stalled, other = plug(), plug()
    stalled.dhcp()
    other.dhcp()
    for number in range(3000):
        other.send(other.packet_to(stalled.ip, ping_payload(number), stalled.mac))
    other.ping(INTERNET.web)
    assert select.select([], [stalled.socket], [], 1)[1], "the VM cannot send"
    stalled.drain()
    stalled.ping(stalled.gateway, timeout=1)
    assert stalled.helper.process.poll() is None


def test_wrong_owner_of_the_descriptor_does_not_matter(host):
    """The fd is the capability: alice's helper serves a socketpair made by root."""
    way = next(way for way in WAYS if way.name == "setuid")
    with Helper(host, way=way) as helper:
        Guest(helper.vm, "02:00:00:00:00:01").dhcp()
        helper.send(signal.SIGTERM)
        assert helper.wait() == 0


def test_fd_number_of_a_shell(host):
    helper_end, vm_end = cable(host)
    fd = helper_end.fileno()
    process = subprocess.Popen([*host.prefix(), "bash", "-c", f'exec {ROOT.helper()} -f 3 3<&{fd}'],
                               pass_fds=(fd,), stdout=subprocess.PIPE)
    helper_end.close()
    assert process.stdout.readline().startswith(b"{")
    Guest(vm_end, "02:00:00:00:00:01").dhcp()
    process.terminate()
    assert process.wait(10) == 0
    process.stdout.close()
    vm_end.close()
