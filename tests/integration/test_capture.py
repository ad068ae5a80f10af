"""--capture: the VM's frames in a file or a FIFO, as other programs read them."""

import json
import os
import shutil
import socket
import stat
import struct
import subprocess
import time

import pytest

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import PcapNgReader

from support import docs, snapshot
from support.checks import assert_refused, explicit
from support.guest import Guest
from support.helper import Helper, run_to_end
from support.installation import CAPABLE_COPY, ROOT, ROOT_FOR_ALICE, SETUID_COPY, SUDO, WAYS
from support.lab import INTERNET, run
from support.snapshot import wait_until
from support.stream import Stream

ALICE = 47001
INBOUND, OUTBOUND = 1, 2
ENHANCED_PACKET, STATISTICS = 6, 5


def blocks(data):
    """(type, body) of each whole block of a pcapng file of this machine's byte order."""
    while len(data) >= 12:
        kind, size = struct.unpack("II", data[:8])
        if size > len(data):
            break
        assert size >= 12 and size % 4 == 0 and struct.unpack("I", data[size - 4:size])[0] == size
        yield kind, data[8:size - 4]
        data = data[size:]
    assert not data, f"{len(data)} bytes are no block"


def frames(data):
    """(direction, nanoseconds, frame) of each."""
    found = []
    for kind, body in blocks(data):
        if kind != ENHANCED_PACKET:
            continue
        _, high, low, size, original = struct.unpack("IIIII", body[:20])
        assert size == original
        options = body[20 + (size + 3) // 4 * 4:]
        code, length, flags = struct.unpack("HHI", options[:8])
        assert (code, length) == (2, 4)
        found.append((flags & 3, high << 32 | low, body[20:20 + size]))
    return found


@pytest.fixture
def file(alice_folder):
    return alice_folder / "vm.pcapng"


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_file(plug, file, way):
    """Both directions, the helper's own answers too, in order; the file is the user's alone."""
    begin = time.time_ns()
    guest = plug(f"--capture={file}", way=way)
    guest.dhcp()
    guest.ping(INTERNET.web)
    guest.helper.stop()
    assert "[capture]" in guest.helper.log_lines()[-2] and "ended: " in guest.helper.log_lines()[-1]
    status = file.lstat()
    owner = 0 if way is ROOT else ALICE
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (owner, 0o600)
    seen = frames(file.read_bytes())
    times = [when for _, when, _ in seen]
    assert times == sorted(times) and begin <= times[0] and times[-1] <= time.time_ns()
    packets = [(direction, Ether(frame)) for direction, _, frame in seen]

    def find(direction, wanted):
        return next(i for i, (way_of, p) in enumerate(packets) if way_of == direction and wanted(p))

    asked = find(OUTBOUND, lambda p: UDP in p and p[UDP].dport == 67)
    answered = find(INBOUND, lambda p: UDP in p and p[UDP].dport == 68)
    request = find(OUTBOUND, lambda p: ICMP in p and p[ICMP].type == 8 and p[IP].dst == INTERNET.web)
    reply = find(INBOUND, lambda p: ICMP in p and p[ICMP].type == 0 and p[IP].src == INTERNET.web)
    assert asked < answered < request < reply
    assert find(INBOUND, lambda p: "ICMPv6ND_RA" in p) >= 0  # sent without being asked
    assert all(frame[6:12] == bytes.fromhex(guest.mac.replace(":", ""))
               for direction, _, frame in seen if direction == OUTBOUND)
    assert [kind for kind, _ in blocks(file.read_bytes())][-1] == STATISTICS


def test_other_programs_read_it(plug, file):
    guest = plug("--capture", file)
    guest.dhcp()
    guest.helper.stop()
    ours = frames(file.read_bytes())
    with PcapNgReader(str(file)) as reader:
        packets = list(reader)
    assert [bytes(packet) for packet in packets] == [frame for _, _, frame in ours]
    assert [int(packet.time * 1000000) for packet in packets] == [when // 1000 for _, when, _ in ours]
    if shutil.which("tcpdump"):
        lines = run("tcpdump", "-n", "-r", file).stdout.splitlines()
        assert len(lines) == len(ours)
        assert any("BOOTP/DHCP, Request" in line for line in lines)
    if shutil.which("tshark"):
        columns = run("tshark", "-r", file, "-T", "fields", "-e", "frame.packet_flags_direction")
        assert [int(word, 0) for word in columns.stdout.split()] == [direction for direction, _, _ in ours]


def test_stream_socket(start, file):
    helper = start("--capture", file, socket_kind=socket.SOCK_STREAM)
    guest = Guest(Stream(helper.vm), helper.json["vmnet_mac_address"])
    guest.dhcp()
    guest.ping(INTERNET.web)
    helper.stop()
    directions = {direction for direction, _, _ in frames(file.read_bytes())}
    assert directions == {INBOUND, OUTBOUND}


def test_large_frames_as_the_vm_has_them(plug, file):
    """With offload a frame may be larger than the MTU."""
    guest = plug("--capture", file, "--enable-tso", "--enable-checksum-offload")
    guest.dhcp()
    large = bytes.fromhex("ffffffffffff") + bytes.fromhex(guest.mac.replace(":", "")) + b"\x88\xb5"
    guest.socket.send(large + bytes(65000))
    assert wait_until(lambda: file.stat().st_size > 65000)
    guest.helper.stop()
    assert max(len(frame) for _, _, frame in frames(file.read_bytes())) == 65014


def test_relative_path_starts_where_the_helper_does(start, alice_folder):
    start("--capture=here", cwd=alice_folder, way=SETUID_COPY).stop()
    assert (alice_folder / "here").stat().st_size > 0


def test_empty_file_is_taken(start, file):
    file.touch()
    os.chown(file, ALICE, ALICE)
    start("--capture", file, way=SETUID_COPY).stop()
    assert list(blocks(file.read_bytes()))


def fill(path):
    path.write_bytes(b"precious")


def make_link(path):
    (path.parent / "target").touch()
    path.symlink_to("target")


@pytest.mark.parametrize("make", [fill, make_link, lambda path: path.mkdir(),
                                  lambda path: path.symlink_to("nowhere"),
                                  lambda path: os.mkfifo(path)],
                         ids=["not empty", "symlink", "folder", "dangling", "fifo without reader"])
@pytest.mark.parametrize("way", [ROOT, SETUID_COPY], ids=lambda way: way.name)
def test_what_is_in_the_way_is_left_alone(host, file, make, way):
    make(file)
    before = file.lstat()
    for name in os.listdir(file.parent):
        os.lchown(file.parent / name, ALICE, ALICE)
    assert_refused(run_to_end(host, "--capture", file, way=way), ["--capture", str(file)])
    after = file.lstat()
    assert (after.st_ino, after.st_mode, after.st_size) == (before.st_ino, before.st_mode, before.st_size)
    assert not (file.parent / "nowhere").exists()
    assert not (file.parent / "target").exists() or not (file.parent / "target").stat().st_size


@pytest.mark.parametrize("way", [ROOT_FOR_ALICE, SUDO, SETUID_COPY, CAPABLE_COPY],
                         ids=lambda way: way.name)
def test_a_file_that_the_user_may_not_make(host, alice_folder, way):
    alice_folder.chmod(0o755)
    os.chown(alice_folder, 0, 0)
    assert_refused(run_to_end(host, "--capture", alice_folder / "x", way=way), ["--capture"])
    assert not list(alice_folder.iterdir())


@pytest.mark.parametrize("way", [ROOT, SETUID_COPY], ids=lambda way: way.name)
def test_a_start_that_fails_leaves_no_file(host, file, way):
    host.ip("address add 10.99.0.9/24 dev lo")
    assert_refused(run_to_end(host, "--capture", file, *explicit("10.99.0.1", "10.99.0.100"), way=way))
    host.ip("address del 10.99.0.9/24 dev lo")
    assert not file.exists()


class Reader:
    """Of a FIFO, as Wireshark is one; reads when it is asked to."""

    def __init__(self, path):
        os.mkfifo(path)
        os.chown(path, ALICE, ALICE)
        self.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.data = b""

    def read(self):
        """What there is."""
        try:
            while chunk := os.read(self.fd, 1 << 16):
                self.data += chunk
        except BlockingIOError:
            return False
        return True  # the end

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


@pytest.fixture
def reader(file):
    one = Reader(file)
    yield one
    one.close()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_live(plug, file, reader, way):
    """A reader sees a frame soon, and the end of the helper as the end of the file."""
    guest = plug("--capture", file, way=way)
    guest.dhcp()

    def has_seen_dhcp():
        reader.read()
        return any(UDP in Ether(frame) and Ether(frame)[UDP].dport == 68
                   for _, _, frame in frames(reader.data))

    assert wait_until(has_seen_dhcp)
    guest.helper.stop()
    assert wait_until(reader.read)


def flood(guest, count, size=1000):
    frame = bytes(Ether(dst="ff:ff:ff:ff:ff:ff", src=guest.mac, type=0x88b5) / bytes(size))
    for _ in range(count):
        guest.socket.send(frame)


def stats(helper):
    lines = [line for line in helper.log_lines("INFO") if "[stats]" in line]
    return json.loads(lines[-1].partition("[stats] ")[2]) if lines else None


def test_reader_that_does_not_read(plug, file, reader):
    """It costs captured frames, which are counted, and not the network's."""
    guest = plug("--capture", file, "--stats-interval=1")
    guest.dhcp()
    flood(guest, 30000)
    guest.ping(INTERNET.web)
    assert wait_until(lambda: (stats(guest.helper) or {"vm": {"packets": 0}})["vm"]["packets"] > 30000)
    counts = stats(guest.helper)
    assert counts["capture"]["drops"] > 0 and counts["vm"]["drops"] == 0
    assert guest.helper.process.poll() is None
    guest.helper.stop()
    assert guest.helper.log_lines("WARN")


def test_reader_that_goes_away(plug, file, reader):
    guest = plug("--capture", file)
    guest.dhcp()
    reader.close()
    assert wait_until(lambda: guest.helper.log_lines("WARN"))
    assert "[capture]" in guest.helper.stderr() and "reader has gone" in guest.helper.stderr()
    flood(guest, 100)
    guest.ping(INTERNET.web)
    guest.helper.stop()
    assert len(guest.helper.log_lines("WARN")) == 1


def test_size(plug, file):
    guest = plug("--capture", file, "--capture-size=1")
    guest.dhcp()
    flood(guest, 1500)
    assert wait_until(lambda: "--capture-size" in guest.helper.stderr())
    guest.ping(INTERNET.web)
    guest.helper.stop()
    assert 990_000 < file.stat().st_size <= 1_000_000
    assert len(frames(file.read_bytes())) > 900


def test_full_disk(plug, alice_folder):
    """The capture ends, the network does not."""
    run("mount", "-t", "tmpfs", "-o", "size=256k,mode=0777", "tmpfs", alice_folder)
    try:
        guest = plug("--capture", alice_folder / "x")
        guest.dhcp()
        flood(guest, 500)
        assert wait_until(lambda: "No space left" in guest.helper.stderr())
        guest.ping(INTERNET.web)
        guest.helper.stop()
    finally:
        run("umount", alice_folder)


@pytest.mark.parametrize("options", [("--capture=x", "--tap"), ("--capture-size=5",), ("--capture=",),
                                     ("--capture=x", "--capture-size=0"),
                                     ("--capture=x", "--capture-size=1k")])
def test_usage_errors(host, options, alice_folder):
    assert_refused(run_to_end(host, *options, cwd=alice_folder), ["--capture"])
    assert not list(alice_folder.iterdir())


def test_vmnet_run_passes_it_on(host, alice_folder):
    command = [*host.prefix(), *SETUID_COPY.command(SETUID_COPY.runner()), "--capture=run.pcapng", "--",
               "/usr/bin/python3", "-c",
               "import socket; s = socket.socket(fileno=4); s.send(b'\\xff' * 60)"]
    done = subprocess.run(command, cwd=alice_folder, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    seen = frames((alice_folder / "run.pcapng").read_bytes())
    assert (OUTBOUND, b"\xff" * 60) in [(direction, frame) for direction, _, frame in seen]


def test_killed(host, file):
    """What was written until then can be read: at most the last block is torn."""
    before = snapshot.host_state(host)
    with Helper(host, "--capture", file) as helper:
        guest = Guest(helper.ready().vm, helper.json["vmnet_mac_address"])
        guest.dhcp()
        assert wait_until(lambda: file.stat().st_size > 1000)
        helper.kill()
    assert frames(file.read_bytes())
    assert wait_until(lambda: not snapshot.difference(before, snapshot.host_state(host)))


@pytest.mark.skipif(not shutil.which("tcpdump"), reason="no tcpdump here")
def test_as_the_docs_say(host, alice_folder):
    start_vm = alice_folder / "start-vm"
    start_vm.write_text("#!/usr/bin/python3\nimport socket\n"
                        "socket.socket(fileno=4).send(bytes.fromhex('ffffffffffff02000000000108060001"
                        "080006040001020000000001c0a84002000000000000c0a84001'))\n")
    start_vm.chmod(0o755)
    done = run(*host.prefix(), "bash", "-euc", docs.block("integration.md", "capture"), cwd=alice_folder)
    assert "who-has 192.168.64.1 tell 192.168.64.2" in done.stdout
