"""Stream sockets, by --fd and by --socket: framing, clients that come and go, what others may do."""

import array
import json
import os
import socket
import subprocess
import threading

import pytest

from scapy.layers.inet import ICMP
from scapy.packet import Raw

from support.checks import assert_refused
from support.guest import Guest
from support.helper import cable, run_to_end, wait_for_no_helper
from support.installation import CAPABLE_COPY, ROOT, SETUID_COPY, SUDO, WAYS
from support.lab import INTERNET, as_user
from support.snapshot import wait_until
from support.stream import Stream, framed

MAC = "02:00:00:00:00:01"
STREAM = ("--socket-type", "stream")


@pytest.fixture
def plug_stream(start):
    """As `plug`, by a connected stream."""

    def make(*options, **arguments):
        helper = start(*options, socket_kind=socket.SOCK_STREAM, **arguments)
        guest = Guest(Stream(helper.vm), helper.json["vmnet_mac_address"])
        guest.helper = helper
        return guest

    return make


@pytest.fixture
def path(folder):
    return folder / "vm.sock"


@pytest.fixture
def client(path):
    """client(): a Guest on a new connection to the helper's socket."""
    made = []

    def connect(mac=MAC):
        made.append(Stream.to(path))
        return Guest(made[-1], mac)

    yield connect
    for one in made:
        one.close()


def ping(guest, number=1, size=40):
    return guest.packet_to(guest.gateway, ICMP(id=7, seq=number) / Raw(bytes(size)))


def drops(helper, direction):
    lines = [line for line in helper.log_lines("INFO") if "[stats]" in line]
    return json.loads(lines[-1].partition("[stats] ")[2])[direction]["drops"] if lines else 0


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_connected_stream(plug_stream, way):
    guest = plug_stream(way=way)
    guest.dhcp()
    guest.ping(INTERNET.web)
    guest.socket.close()
    assert guest.helper.wait() == 0
    assert wait_for_no_helper()


@pytest.mark.parametrize("way", [ROOT, SUDO, SETUID_COPY, CAPABLE_COPY], ids=lambda way: way.name)
def test_listening(start, client, path, way):
    helper = start(*STREAM, path=path, way=way)
    assert path.lstat().st_mode & 0o777 == 0o600
    assert path.lstat().st_uid == (47001 if way.user == "alice" else 0)
    guest = client()
    guest.dhcp()
    guest.ping(INTERNET.web)
    helper.stop()
    assert not list(path.parent.iterdir())


def test_type_of_the_descriptor_decides(host, plug, plug_stream):
    plug_stream("--socket-type=stream").dhcp()
    plug("--socket-type=dgram").dhcp()
    for kind, given in ((socket.SOCK_STREAM, "dgram"), (socket.SOCK_DGRAM, "stream"),
                        (socket.SOCK_SEQPACKET, "stream")):
        helper_end, vm_end = cable(host, kind)
        with helper_end, vm_end:
            fd = helper_end.fileno()
            assert_refused(run_to_end(host, "--fd", fd, "--socket-type", given, bare=True,
                                      pass_fds=(fd,)), ["--socket-type", given, f"--fd {fd}"])


def test_tap_over_a_stream(plug_tap):
    guest = plug_tap(socket_kind=socket.SOCK_STREAM)
    guest.dhcp()
    guest.ping(INTERNET.web)


def test_frames_split_anywhere(plug_stream):
    """A byte at a time, then many frames at once."""
    guest = plug_stream()
    guest.dhcp()
    guest.ping(guest.gateway)
    guest.socket.send_slowly(framed(bytes(ping(guest, 77))))
    guest.expect(lambda p: ICMP in p and p[ICMP].type == 0 and p[ICMP].seq == 77)
    guest.socket.socket.sendall(framed(*(bytes(ping(guest, n, 1000)) for n in range(100, 200))))
    left = set(range(100, 200))
    for packet in guest.packets(20):
        if ICMP in packet and packet[ICMP].type == 0:
            left.discard(packet[ICMP].seq)
        if not left:
            break
    assert not left


def test_tiny_frames_are_skipped(plug_stream):
    guest = plug_stream("--stats-interval=1")
    guest.dhcp()
    before = drops(guest.helper, "vm")
    guest.socket.socket.sendall(framed(b"", b"x", bytes(13), b""))
    guest.ping(guest.gateway)
    assert wait_until(lambda: drops(guest.helper, "vm") == before + 2), "only what is a frame counts"


def test_length_above_the_maximum_ends_a_connected_helper(plug_stream):
    guest = plug_stream()
    guest.dhcp()
    guest.socket.socket.sendall((1 << 30).to_bytes(4, "big") + bytes(100))
    assert guest.helper.wait() == 1
    errors = guest.helper.log_lines("ERROR")
    assert len(errors) == 1 and "1073741824" in errors[0]


@pytest.mark.parametrize("length", [1523, 65551, 0x5EA, 0xFFFFFFFF])
def test_length_above_the_maximum_ends_a_client(start, client, path, length):
    helper = start(*STREAM, path=path)
    guest = client()
    guest.dhcp()
    guest.socket.socket.sendall(length.to_bytes(4, "big") + bytes(length if length < 9999 else 0))
    if length == 0x5EA:  # 1514: the largest that is none too large
        guest.ping(guest.gateway)
        return
    assert guest.socket.at_end()
    assert wait_until(lambda: any(str(length) in line for line in helper.log_lines("WARN")))
    client().dhcp()


def test_next_client_is_served(start, client, path):
    """One after the other, each at once; what the last one left half said is forgotten."""
    helper = start(*STREAM, path=path)
    for number in range(30):
        guest = client(f"02:00:00:00:01:{number:02x}")
        guest.dhcp()
        guest.socket.socket.sendall(framed(bytes(ping(guest)))[:number + 1])
        guest.socket.close()
    assert helper.process.poll() is None


def test_second_client_is_refused(start, client, path):
    helper = start(*STREAM, path=path)
    first = client()
    first.dhcp()
    for _ in range(5):
        assert Stream.to(path).at_end()
        first.ping(first.gateway)
    assert wait_until(lambda: any("refused" in line for line in helper.log_lines("WARN")))


def test_client_that_was_killed(start, client, path):
    """With frames on the way and unread ones; the next one connects at once."""
    start(*STREAM, path=path)
    code = ("import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
            "print('up', flush=True)\n"
            "while True: s.sendall(b'\\0\\0\\0\\x3c' + b'\\xff' * 60)")
    for _ in range(5):
        one = subprocess.Popen(["/usr/bin/python3", "-c", code, str(path)], stdout=subprocess.PIPE)
        assert one.stdout.readline() == b"up\n"
        one.kill()
        one.wait()
        one.stdout.close()
        guest = client()
        guest.dhcp()
        guest.socket.close()


def test_other_users_are_refused(start, client, path):
    """The folder is open to all, and the mode was widened by its owner: still only she is served."""
    helper = start(*STREAM, path=path, way=SETUID_COPY)
    path.chmod(0o777)
    code = ("import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
            "s.settimeout(5)\n"
            "try: print(len(s.recv(2000)))\n"
            "except ConnectionResetError: print(0)")
    done = subprocess.run([*as_user("mallory"), "/usr/bin/python3", "-c", code, str(path)],
                          capture_output=True, text=True, timeout=20)
    assert done.stdout == "0\n", done.stdout + done.stderr
    client().dhcp()
    helper.stop()


def test_second_helper_and_stale_socket(host, start, client, path):
    first = start(*STREAM, path=path, way=SETUID_COPY)
    guest = client()
    guest.dhcp()
    for options in (STREAM, ()):
        assert_refused(run_to_end(host, *options, path=path, way=SETUID_COPY), [str(path)])
    guest.ping(guest.gateway)
    first.kill(first.keeper(), first.pid)
    assert wait_for_no_helper() and path.exists()
    start(*STREAM, path=path, way=SETUID_COPY)
    client().dhcp()


def test_living_stream_of_another_program_is_left_alone(host, path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(str(path))
        other.listen()
        os.chown(path, 47001, 47001)
        for options in (STREAM, ()):
            assert_refused(run_to_end(host, *options, path=path, way=SETUID_COPY), [str(path)])
        other.settimeout(0.1)
        with pytest.raises(TimeoutError):
            other.accept()
    path.unlink()


def test_descriptors_sent_along_are_closed(plug_stream):
    guest = plug_stream()
    guest.dhcp()
    reader, writer = os.pipe()
    data = framed(bytes(ping(guest)))
    guest.socket.socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                          array.array("i", [writer]))])
    os.close(writer)
    guest.ping(guest.gateway)
    assert os.read(reader, 1) == b"", "somebody holds the other end"
    os.close(reader)


def test_half_closed_client_has_gone(start, client, path):
    start(*STREAM, path=path)
    guest = client()
    guest.dhcp()
    guest.socket.socket.shutdown(socket.SHUT_WR)
    assert guest.socket.at_end()
    client().dhcp()


def test_vmnet_run(host):
    code = ("import socket; s = socket.socket(fileno=4); print(s.type == socket.SOCK_STREAM)")
    done = subprocess.run([*host.prefix(), ROOT.runner(), *STREAM, "--", "/usr/bin/python3", "-c",
                           code], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and done.stdout.splitlines()[1] == "True", done.stderr


def test_both_directions_at_once(plug_stream):
    """Each frame comes out as it went in while both directions are busy."""
    guest = plug_stream()
    guest.dhcp()
    guest.ping(guest.gateway)
    payloads = {number: os.urandom(1 + number * 37 % 1400) for number in range(300)}

    def send():
        for number, payload in payloads.items():
            guest.send(bytes(guest.packet_to(guest.gateway, ICMP(id=9, seq=number) / Raw(payload))))

    sender = threading.Thread(target=send)
    sender.start()
    left = set(payloads)
    for packet in guest.packets(60):
        if ICMP in packet and packet[ICMP].type == 0 and packet[ICMP].id == 9:
            assert bytes(packet[ICMP].payload)[:len(payloads[packet[ICMP].seq])] == \
                payloads[packet[ICMP].seq]
            left.discard(packet[ICMP].seq)
        if not left:
            break
    sender.join()
    assert not left
