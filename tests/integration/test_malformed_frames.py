"""Frames that no honest VM or host sends (hardening.md, rows 17 to 19): they pass as they are or are
dropped, and the helper lives. A port of the bridge and another VM see what came through."""

import random

import pytest

from support import frames as wire
from support.frames import ACK, PSH
from support.taps import (GSO_TCPV4, GSO_TCPV6, GSO_UDP, GSO_UDP_L4, Tap, frames_until, sentinel,
                          virtio_header)

FAR = "02:fa:00:00:00:01"  # nobody's MAC: the bridge sends it to every port
NEAR = "02:fa:00:00:00:02"
SENT = bytes.fromhex((FAR + NEAR).replace(":", ""))
OFFLOAD = ("--enable-tso", "--enable-checksum-offload")
SOURCE4, TARGET4 = bytes((10, 1, 2, 3)), bytes((10, 3, 2, 1))
SOURCE6, TARGET6 = bytes.fromhex("fd01" + "00" * 13 + "01"), bytes.fromhex("fd02" + "00" * 13 + "02")


@pytest.fixture
def bridge_alone(host):
    """The bridge passes packets without asking the IP stack, which would drop most of them."""
    host.sysctl(**{"net__bridge__bridge-nf-call-iptables": 0,
                   "net__bridge__bridge-nf-call-ip6tables": 0})


def packet(version, protocol, body, **fields):
    if version == 4:
        return SENT + b"\x08\0" + wire.ipv4(SOURCE4, TARGET4, protocol, body, **fields)
    return SENT + b"\x86\xdd" + wire.ipv6(SOURCE6, TARGET6, protocol, body)


class Malformed:
    """Mostly damaged frames, some of them mended after the damage so that their checksums hold."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.sequence = 0
        self.fill = self.random.randbytes(4096)

    def honest(self):
        r = self.random
        version = r.choice((4, 6))
        size = r.choice((0, 1, 2, 100, 100, 100, 536, 1400))
        payload = self.fill[:size]
        if r.random() < 0.2:
            return packet(version, wire.UDP, wire.udp(r.choice((0, 53, 4000)), r.choice((0, 7)),
                                                      payload))
        options = r.choice((b"", b"\1\1\x08\x0a12345678"))
        body = wire.tcp(r.choice((0, 80, 81)), 4000, self.sequence, 1, r.choice((ACK, ACK | PSH)),
                        500, options, payload)
        self.sequence += size
        return packet(version, wire.TCP, body)

    def next(self):
        r, frame = self.random, self.honest()
        choice = r.randrange(12)
        if choice == 0:
            return frame
        damaged = bytearray(frame)
        if choice <= 5:  # any of the headers' bytes
            for _ in range(r.randrange(1, 4)):
                damaged[r.randrange(12, min(len(damaged), 80))] = r.randrange(256)
        elif choice == 6:  # IHL or version
            damaged[14] = r.randrange(256)
        elif choice == 7:  # lengths
            at = 16 if damaged[12] == 8 else 18
            damaged[at:at + 2] = r.randrange(1 << r.randrange(1, 17)).to_bytes(2, "big")
        elif choice == 8:  # data offset, flags
            at = 46 if damaged[12] == 8 else 66
            damaged[at:at + 2] = r.randbytes(2)[:max(0, len(damaged) - at)]
        elif choice == 9:  # fragments, or extension headers that lead astray
            at = 20
            damaged[at:at + 2] = r.choice((b"\x20\0", b"\0\x10", b"\x80\0", b"\0\x40", b"\x3c\x40"))
        elif choice == 10:  # tags
            tags = b"".join(r.choice((b"\x81\0", b"\x88\xa8")) + r.randrange(4096).to_bytes(2, "big")
                            for _ in range(r.randrange(1, 4)))
            damaged[12:12] = tags
        else:  # cut short, or with something behind
            damaged = damaged[:r.randrange(14, len(damaged))] if r.random() < 0.5 else \
                damaged + r.randbytes(r.randrange(1, 50))
        if r.random() < 0.3:
            mend(damaged)
        return bytes(damaged[:1514])


def mend(frame):
    """Completes the checksums where there is a packet to complete them of."""
    if len(frame) < 34 or frame[12:14] != b"\x08\0" or not 20 <= (frame[14] & 15) * 4 <= len(frame) - 14:
        return
    head = (frame[14] & 15) * 4
    frame[24:26] = b"\0\0"
    frame[24:26] = wire.checksum(bytes(frame[14:14 + head])).to_bytes(2, "big")
    found = wire.transport_of(bytes(frame[14:]), 4)
    if not found or found[0] not in (wire.TCP, wire.UDP) or len(found[1]) < 20:
        return
    protocol, body, pseudo = found
    at = 14 + head + wire.PROTOCOLS[protocol][1]
    frame[at:at + 2] = b"\0\0"
    body = bytes(frame[14 + head:14 + head + len(body)])
    frame[at:at + 2] = wire.checksum(pseudo + body).to_bytes(2, "big")


def without_id(frame):
    """The id of a packet that must not be fragmented may change where it was merged."""
    if frame[12:14] == b"\x08\0" and len(frame) >= 34 and frame[20] & 0x40 and frame[14] == 0x45:
        return frame[:18] + frame[20:24] + frame[26:]
    return frame


def storm(attacker, witness, plain, seed, total):
    """Sends `total` frames; how many came through to the port of the bridge."""
    source, came = Malformed(seed), 0
    for number in range((total + 399) // 400):
        batch = [source.next() for _ in range(400)]
        for frame in batch:
            attacker.socket.send(frame)
        attacker.socket.send(sentinel(number, FAR, NEAR))
        expected = set(map(without_id, batch))
        at_port = frames_until(plain.read, plain.fd, number, lambda f: f[:12] == SENT)
        at_vm = frames_until(lambda: witness.receive(0), witness.socket, number,
                             lambda f: f[:12] == SENT)
        for frame in at_port:
            if without_id(frame) not in expected:
                pytest.fail(f"nobody sent {frame[:90].hex()}, {len(frame)} bytes", pytrace=False)
        same = at_port == at_vm
        assert same, "the other VM did not get what the port of the bridge got"
        came += len(at_port)
        attacker.drain()
    assert attacker.helper.process.poll() is None and witness.helper.process.poll() is None
    return came


@pytest.fixture
def two_vms(plug, bridge_alone, host):
    attacker, witness = plug(), plug()
    with Tap(host, "plain0", "vmnet-shared0") as plain:
        yield attacker, witness, plain
    for guest in (attacker, witness):
        guest.helper.stop()


def test_malformed_frames(two_vms):
    assert storm(*two_vms, seed=5, total=20_000) > 10_000


@pytest.mark.slow
def test_million_malformed_frames(two_vms):
    came = storm(*two_vms, seed=6, total=1_000_000)
    print(f"1,000,000 malformed frames, {came} passed as they were, the rest was dropped")


@pytest.mark.parametrize("options", [(), OFFLOAD], ids=["plain", "offload"])
def test_every_size(plug, bridge_alone, host, options):
    """0 to 70,000 bytes of what may be large (TCP, UDP) and what may not."""
    guest = plug(*options)
    guest.socket.setblocking(True)
    fill = bytes(70_000)
    with Tap(host, "plain0", "vmnet-shared0") as plain:
        heads = [packet(4, wire.TCP, wire.tcp(1, 2, 0, 0, ACK, 1)),
                 packet(6, wire.UDP, wire.udp(1, 2)), SENT + b"\x88\xb5"]
        sizes = [*range(0, 80), *range(1500, 1530), *range(1530, 65_500, 997),
                 *range(65_530, 65_560), 70_000]
        for number, size in enumerate(sizes):
            for head in heads:
                frame = bytearray((head + fill)[:size])
                if size > 60 and head[12:14] == b"\x08\0":
                    frame[16:18] = min(size - 14, 65_535).to_bytes(2, "big")
                    frame[24:26] = b"\0\0"
                    frame[24:26] = wire.checksum(bytes(frame[14:34])).to_bytes(2, "big")
                elif size > 62 and head[12:14] == b"\x86\xdd":
                    for at in (18, 58):
                        frame[at:at + 2] = min(size - 54, 65_535).to_bytes(2, "big")
                guest.socket.send(bytes(frame))
            guest.socket.send(sentinel(number, FAR, NEAR))
            for frame in frames_until(plain.read, plain.fd, number, lambda f: f[:12] == SENT):
                assert 14 <= len(frame) <= 1514, (size, len(frame))
    guest.dhcp()
    guest.ping(guest.gateway)


def random_header(r):
    gso = r.choice((0, GSO_TCPV4, GSO_TCPV6, GSO_UDP, GSO_UDP_L4, r.randrange(256)))
    return virtio_header(gso, r.choice((0, 1, 2, 8, 100, 1448, r.randrange(1 << 16))),
                         r.choice((0, 54, 66, r.randrange(1 << 16))),
                         r.choice((0, 34, 54, r.randrange(200), r.randrange(1 << 16))),
                         r.choice((6, 16, r.randrange(60), r.randrange(1 << 16))),
                         r.random() < 0.8)


@pytest.mark.parametrize("options", [(), OFFLOAD], ids=["plain", "offload"])
def test_random_virtio_headers(plug, bridge_alone, host, options):
    """From the host's side: whatever it asks for, the VM gets frames of its size."""
    guest = plug(*options)
    source, largest = Malformed(7), 0
    limit = guest.helper.json["vmnet_max_packet_size"]
    with Tap(host, "inject0", "vmnet-shared0", virtio=True) as inject:
        for _ in range(200):
            for _ in range(30):
                frame = source.next() + source.fill * source.random.choice((0, 0, 2, 15))
                inject.write(random_header(source.random), frame)
            # No sentinel: a frame cut into tens of thousands can fill the TAP's queue.
            while (frame := guest.receive(0.01)) is not None:
                largest = max(largest, len(frame))
    assert 1000 < largest <= limit
    guest.dhcp()
    guest.ping(guest.gateway)
