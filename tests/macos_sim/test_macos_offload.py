"""Segments of TCP on the simulated system: merged on their way out, cut on their way in."""

import signal
import socket
import struct

import pytest
from sim_helper import STATION, VM, Helper

HEADER = ""
NO_HEADER = "missing=vmnet_enable_virtio_header_key"


def checksum(data):
    words = struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2))
    total = sum(words)
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def segment(sequence, payload, finished=True):
    """A frame to the station; with checksum offload, its TCP checksum is the pseudo header's."""
    source, target = socket.inet_aton("192.168.64.9"), socket.inet_aton("192.168.64.2")
    tcp = struct.pack("!HHIIBBHHH", 4000, 5000, sequence, 1, 5 << 4, 0x10, 500, 0, 0)
    pseudo = source + target + struct.pack("!BBH", 0, 6, len(tcp) + len(payload))
    total = checksum(pseudo + tcp + payload) if finished else ~checksum(pseudo) & 0xffff
    tcp = tcp[:16] + struct.pack("!H", total) + tcp[18:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp) + len(payload), sequence // 1400, 0x4000,
                     64, 6, 0, source, target)
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return STATION + VM + b"\x08\x00" + ip + tcp + payload


def payload_of(got):
    size = struct.unpack_from("!H", got, 16)[0]
    return got[54:14 + size]


def is_finished(got):
    tcp = got[34:14 + struct.unpack_from("!H", got, 16)[0]]
    return checksum(got[26:34] + struct.pack("!BBH", 0, 6, len(tcp)) + tcp) == 0


def send_at_once(helper, frames):
    """The helper finds all of them in one read."""
    helper.process.send_signal(signal.SIGSTOP)
    helper.vm.setblocking(False)  # a wait for room begins at a quarter of it
    for one in frames:
        helper.vm.send(one)
    helper.vm.settimeout(10)
    helper.process.send_signal(signal.SIGCONT)


def test_segments_are_merged_and_cut_again():
    helper = Helper(sim="expect=merged")
    helper.ready()
    payloads = [bytes([index]) * 1400 for index in range(40)]
    send_at_once(helper, [segment(1 + 1400 * i, p) for i, p in enumerate(payloads)])
    got = [helper.vm.recv(70000) for _ in payloads]
    assert [payload_of(one) for one in got] == payloads
    assert all(is_finished(one) for one in got)
    assert [struct.unpack_from("!I", one, 38)[0] for one in got] == [
        1 + 1400 * i for i in range(len(payloads))]
    status, errors = helper.stop()
    assert status == 0, errors


@pytest.mark.parametrize("sim", [HEADER, NO_HEADER], ids=["header", "no header"])
def test_large_segments_of_a_vm_with_offload(sim):
    helper = Helper("--enable-tso", "--enable-checksum-offload", sim=sim)
    helper.ready()
    sent = bytes(range(256)) * 250
    helper.vm.send(segment(1, sent, finished=False))
    got = b""
    while len(got) < len(sent):
        got += payload_of(helper.vm.recv(70000))
    assert got == sent
    status, errors = helper.stop()
    assert status == 0, errors


def test_writes_that_take_a_part_of_the_batch_lose_nothing():
    for sim in ("write.partial=1:4 expect=batch", f"write.partial=1:4 expect=batch {NO_HEADER}"):
        helper = Helper(sim=sim)
        helper.ready()
        frames = [STATION + VM + b"\x88\xb6" + bytes([index]) * 1000 for index in range(60)]
        send_at_once(helper, frames)
        assert [helper.vm.recv(70000)[14:] for _ in frames] == [one[14:] for one in frames]
        status, errors = helper.stop()
        assert status == 0, errors
