"""Splitting and merging against the kernel's own (hardening.md, row 20).

A bridge with the helper's TAP has two more ports: one to inject large segments, one without offload,
for which the kernel itself cuts them. Both must come to the same frames; and what the helper merged,
cut by the kernel, must be the frames that the VM sent.
"""

import os
import random
import signal
import struct

import pytest

from support import frames as wire
from support.frames import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG
from support.taps import (GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, Tap, frames_until, sentinel,
                          virtio_header)

FAR = "02:fa:00:00:00:01"  # nobody's MAC: the bridge sends it to every port
NEAR = "02:fa:00:00:00:02"
SENT = bytes.fromhex((FAR + NEAR).replace(":", ""))
MAX_SEGMENTS = 128


@pytest.fixture
def ports(host, plug):
    """A VM without offload, an injecting port and one that the kernel segments for."""
    guest = plug()
    guest.socket.setblocking(False)
    host.sysctl(**{"net__bridge__bridge-nf-call-iptables": 0,
                   "net__bridge__bridge-nf-call-ip6tables": 0})
    with Tap(host, "inject0", "vmnet-shared0", virtio=True) as inject, \
            Tap(host, "plain0", "vmnet-shared0") as plain:
        yield guest, inject, plain


def from_socket(vm_socket):
    def read():
        try:
            return vm_socket.recv(70_000)
        except BlockingIOError:
            return None
    return read


def ours(frame):
    return frame[:12] == SENT


def random_options(source):
    """TCP options as hosts send them: none, timestamps, SACK blocks, padding."""
    kind = source.randrange(4)
    if kind == 0:
        return b""
    stamps = b"\1\1\x08\x0a" + source.randbytes(8)
    if kind == 1:
        return stamps
    blocks = source.randrange(1, 4)
    sack = b"\1\1\5" + bytes([2 + 8 * blocks]) + source.randbytes(8 * blocks)
    return stamps + sack if kind == 2 and blocks < 4 else sack


class LargeSegments:
    """Random frames with their virtio headers, as a host's stack makes them."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def next(self):
        r = self.random
        protocol = r.choice((wire.TCP, wire.TCP, wire.UDP))
        version = r.choice((4, 6))
        options = random_options(r) if protocol == wire.TCP else b""
        room = 1500 - (40 if version == 6 else 20) - (20 + len(options) if protocol == wire.TCP
                                                      else 8)
        ip_options = b"\1" * 4 * r.randrange(1, 10) if version == 4 and r.random() < 0.1 else b""
        size = r.choice((room - len(ip_options), 536, r.randrange(8, room - len(ip_options) + 1)))
        segments = r.randrange(1, min(MAX_SEGMENTS, 60_000 // size, 1 + r.randrange(1, 60)) + 1)
        payload = r.randbytes(max(1, size * segments - r.choice((0, 1, r.randrange(size)))))
        if protocol == wire.TCP:
            flags = ACK | r.choice((0, PSH, PSH | FIN, FIN, ECE, CWR, URG, CWR | PSH))
            body = wire.tcp(r.randrange(1 << 16), 80, r.getrandbits(32), r.getrandbits(32), flags,
                            r.randrange(1 << 16), options, payload, r.randrange(3))
        else:
            body = wire.udp(r.randrange(1 << 16), 53, payload)
        return self.framed(version, protocol, body, ip_options, size, len(payload) > size)

    def framed(self, version, protocol, body, ip_options, size, large):
        r = self.random
        if version == 4:
            addresses = r.randbytes(8)
            tag = b"\x08\0"
        else:
            addresses = b"\x20\x01" + r.randbytes(14) + b"\x20\x01" + r.randbytes(14)
            tag = b"\x86\xdd"
        half = len(addresses) // 2
        _, field = wire.PROTOCOLS[protocol]
        partial = wire.ones_sum(addresses + struct.pack("!II", len(body), protocol)) or 0xFFFF
        body = body[:field] + struct.pack("!H", partial) + body[field + 2:]
        if version == 4:
            packet = wire.ipv4(addresses[:half], addresses[half:], protocol, body,
                               r.randrange(1 << 16), r.choice((0, 0x4000)), r.randrange(1, 256),
                               r.randrange(256), ip_options, finish=False)
        else:
            packet = wire.ipv6(addresses[:half], addresses[half:], protocol, body,
                               r.getrandbits(20), r.randrange(256), r.randrange(1, 256),
                               finish=False)
        start = 14 + len(packet) - len(body)
        gso = GSO_NONE
        if large:
            gso = GSO_UDP_L4 if protocol == wire.UDP else GSO_TCPV4 if version == 4 else GSO_TCPV6
        transport = 8 if protocol == wire.UDP else (body[12] >> 4) * 4
        header = virtio_header(gso, size if large else 0, start + transport, start, field)
        return header, SENT + tag + packet


def compare_splits(ports, seed, rounds):
    """Number of frames that went in and of those that came out, equal at both ports."""
    guest, inject, plain = ports
    source = LargeSegments(seed)
    sent = came = 0
    for number in range(rounds):
        injected = [source.next() for _ in range(8)]
        for header, frame in injected:
            assert inject.write(header, frame), (header.hex(), frame[:80].hex())
        inject.write(bytes(12), sentinel(number, FAR, NEAR))
        kernels = frames_until(plain.read, plain.fd, number, ours)
        own = frames_until(from_socket(guest.socket), guest.socket, number, ours)
        for mine, theirs in zip(own, kernels):
            if mine != theirs:
                pytest.fail(difference([theirs], [mine]), pytrace=False)
        assert len(own) == len(kernels) >= len(injected)
        assert not any(map(wire.bad_checksum, own))
        sent, came = sent + len(injected), came + len(own)
    return sent, came


def test_split_as_the_kernel_does(ports):
    sent, came = compare_splits(ports, 1, 250)
    assert came > 5 * sent


@pytest.mark.slow
def test_split_as_the_kernel_does_at_length(ports):
    sent, came = compare_splits(ports, 2, 12_500)
    print(f"{sent} large segments, {came} frames, the same from the helper and the kernel")


class Flows:
    """Random flows of a VM: most go on in order, some have what must not be merged."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.count = 0

    def flow(self):
        """The frames of a new flow."""
        r = self.random
        self.count += 1
        self.version = r.choice((4, 6))
        ports = struct.unpack("!HH", self.count.to_bytes(4, "big"))
        if self.version == 4:
            self.source, self.target = b"\x0a" + r.randbytes(3), b"\x0b" + r.randbytes(3)
        else:
            self.source, self.target = b"\xfd\x01" + r.randbytes(14), b"\xfd\x02" + r.randbytes(14)
        self.state = {"sequence": r.getrandbits(32), "ack": r.getrandbits(32), "flags": ACK,
                      "window": r.randrange(1 << 16), "options": random_options(r), "ttl": 64,
                      "tos": r.choice((0, 0, 1, 2, 0xB8)), "id": r.randrange(1 << 16),
                      "step": r.choice((0, 1, 1)), "fragment": r.choice((0x4000, 0x4000, 0)),
                      "label": r.getrandbits(20), "urgent": 0}
        size = r.choice((1448, 536, 100, r.randrange(1, 1400)))
        size = min(size, 1500 - 60 - max(4, len(self.state["options"])))
        found = [self.segment(ports, size, index) for index in range(r.choice((1, 2, 3, 4, 8)))]
        if r.random() < 0.5:
            found[-1] = self.ended(found[-1])
        if len(found) > 2 and r.random() < 0.03:
            found[1], found[2] = found[2], found[1]
        return found

    def segment(self, ports, size, index):
        r, state = self.random, dict(self.state)
        odd = r.random()
        if odd < 0.12:
            state.update(r.choice((
                {"flags": ACK | ECE}, {"flags": ACK | CWR}, {"flags": ACK | URG, "urgent": 1},
                {"flags": RST}, {"flags": SYN}, {"flags": ACK | PSH}, {"flags": 0},
                {"ttl": r.randrange(256)}, {"tos": 3}, {"window": 5}, {"ack": state["ack"] + 1},
                {"options": b"\1\1\1\1"}, {"id": r.randrange(1 << 16)}, {"fragment": 0xC000},
                {"fragment": 0x2000}, {"label": 7}, {"urgent": 9},
                {"sequence": state["sequence"] + 1})))
        length = r.choice((0, 1, size, r.randrange(size + 1))) if r.random() < 0.1 else size
        body = wire.tcp(*ports, state["sequence"], state["ack"], state["flags"], state["window"],
                        state["options"], r.randbytes(length), state["urgent"])
        self.state["sequence"] += length
        self.state["id"] += state["step"]
        if self.version == 4:
            packet = wire.ipv4(self.source, self.target, wire.TCP, body, state["id"],
                               state["fragment"], state["ttl"], state["tos"])
        else:
            packet = wire.ipv6(self.source, self.target, wire.TCP, body, state["label"],
                               state["tos"], state["ttl"])
        frame = SENT + (b"\x08\0" if self.version == 4 else b"\x86\xdd") + packet
        if odd > 0.99:  # damaged on the way
            at = r.randrange(34, len(frame))
            frame = frame[:at] + bytes([frame[at] ^ 1 << r.randrange(8)]) + frame[at + 1:]
        elif odd > 0.98 and len(frame) <= 1510:  # a tag
            frame = frame[:12] + b"\x81\0\0\x07" + frame[12:]
        return frame

    def ended(self, frame):
        """The same with PSH or FIN, its checksum mended."""
        at = 14 + (20 if self.version == 4 else 40)
        if frame[12:14] == b"\x81\0" or wire.bad_checksum(frame):
            return frame
        flag = self.random.choice((PSH, FIN, PSH | FIN))
        if frame[at + 13] & flag:
            return frame
        old = struct.unpack_from("!H", frame, at + 16)[0]
        new = -(-old % 0xFFFF + flag) % 0xFFFF
        return frame[:at + 13] + bytes([frame[at + 13] | flag]) + frame[at + 14:at + 16] + \
            struct.pack("!H", new) + frame[at + 18:]


def key_of(frame):
    """What tells flows apart: the addresses and ports, damaged or not."""
    version, packet = wire.ip_of(frame)
    return packet[12:24] if version == 4 else packet[8:44]


def comparable(frame):
    """Without the id of IPv4 packets that must not be fragmented (RFC 6864)."""
    if frame[12:14] == b"\x08\0" and frame[20] & 0x40 and not wire.ones_sum(frame[14:34]):
        return frame[:18] + frame[20:24] + frame[26:]
    return frame


def by_flow(found):
    flows = {}
    for frame in found:
        flows.setdefault(key_of(frame), []).append(comparable(frame))
    return flows


def difference(flow, came):
    """Both lists of frames, their headers only."""
    return "\n".join([f"- {frame[:90].hex()} {len(frame)}" for frame in flow] +
                     [f"+ {frame[:90].hex()} {len(frame)}" for frame in came])


def interleaved(r, flows):
    """Their frames, each flow's in order."""
    order = [index for index, flow in enumerate(flows) for _ in flow]
    if r.random() < 0.8:
        r.shuffle(order)
    rest = [iter(flow) for flow in flows]
    return [next(rest[index]) for index in order]


def compare_merges(ports, seed, total):
    """Sends `total` flows; returns (frames sent, writes to the TAP that they took)."""
    guest, _, plain = ports
    r, source = random.Random(seed), Flows(seed)
    worker = guest.helper.worker()
    sent = number = 0
    before = received_packets(plain)
    while source.count < total:
        batch = interleaved(r, [source.flow() for _ in range(r.randrange(1, 120))])
        # Stopped while they are sent, so that one read finds many.
        os.kill(worker, signal.SIGSTOP)
        for frame in batch[:300]:
            assert guest.send(frame)
        os.kill(worker, signal.SIGCONT)
        for frame in batch[300:]:
            while not guest.send(frame):
                pass
        while not guest.send(sentinel(number, FAR, NEAR)):
            pass
        came = frames_until(plain.read, plain.fd, number, ours)
        expected, got = by_flow(batch), by_flow(came)
        for key, flow in expected.items():
            if got.get(key) != flow:
                pytest.fail(difference(flow, got.get(key, [])), pytrace=False)
        assert len(came) == len(batch)
        sent, number = sent + len(batch), number + 1
        guest.drain()
    return sent, received_packets(plain) - before


def received_packets(plain):
    """What the helper's TAP got from the helper."""
    path = "/sys/class/net/vmnet-tap0/statistics/rx_packets"
    return int(plain.namespace.run("cat", path).stdout)


def test_kernel_takes_merged_frames_apart_again(ports):
    sent, written = compare_merges(ports, 3, 12_000)
    assert written < 0.85 * sent, "nearly nothing was merged"


@pytest.mark.slow
def test_million_flows(ports):
    sent, written = compare_merges(ports, 4, 1_000_000)
    print(f"1,000,000 flows, {sent} frames in {written} writes, all as they were sent")
