"""Frames built and checked with Python's own arithmetic, sharing nothing with src/wire.

A ones' complement sum is a number modulo 65,535, so one division by a big integer sums a frame.
"""

import struct

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
EXTENSIONS = (0, 60)  # hop-by-hop and destination options
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))
PROTOCOLS = {TCP: ("TCP", 16), UDP: ("UDP", 6), ICMP: ("ICMP", 2), ICMPV6: ("ICMPv6", 2)}


def ones_sum(data):
    """0 where the sum of `data`, checksum included, is right."""
    return int.from_bytes(data if len(data) % 2 == 0 else data + b"\0", "big") % 0xFFFF


def checksum(data):
    return -ones_sum(data) % 0xFFFF


def transport_of(packet, version):
    """(protocol, transport bytes, pseudo-header) of an IP packet; None where there is none to
    check: a fragment, something cut short."""
    if version == 4:
        header = (packet[0] & 15) * 4
        total = struct.unpack_from("!H", packet, 2)[0]
        if struct.unpack_from("!H", packet, 6)[0] & 0x3FFF or not header <= total <= len(packet):
            return None
        protocol, start = packet[9], header
        addresses = packet[12:20]
    else:
        protocol, start = packet[6], 40
        total = 40 + struct.unpack_from("!H", packet, 4)[0]
        while protocol in EXTENSIONS:
            protocol, start = packet[start], start + (packet[start + 1] + 1) * 8
        addresses = packet[8:40]
    body = packet[start:total]
    return protocol, body, addresses + struct.pack("!II", len(body), protocol)


def ip_of(frame):
    """(IP version or 0, the packet) of a frame, behind its VLAN tags."""
    kind, start = frame[12:14], 14
    while kind in (b"\x81\0", b"\x88\xa8"):
        kind, start = frame[start + 2:start + 4], start + 4
    return {b"\x08\0": 4, b"\x86\xdd": 6}.get(kind, 0), frame[start:]


def bad_checksum(frame):
    """Which checksum of the frame is wrong ("IPv4", "TCP" ...), or None."""
    version, packet = ip_of(frame)
    if not version:
        return None
    if version == 4 and ones_sum(packet[:(packet[0] & 15) * 4]):
        return "IPv4"
    found = transport_of(packet, version)
    if not found or found[0] not in PROTOCOLS:
        return None
    protocol, body, pseudo = found
    name, field = PROTOCOLS[protocol]
    stored = body[field:field + 2]
    if protocol == UDP and stored == b"\0\0":
        return None if version == 4 else name  # IPv6 has no datagram without one
    return name if ones_sum((b"" if protocol == ICMP else pseudo) + body) else None


def ethernet(target, source, kind):
    return bytes.fromhex((target + source).replace(":", "")) + struct.pack("!H", kind)


def with_checksum(protocol, body, addresses):
    """`body`, whose checksum field is zero, with its checksum."""
    field = PROTOCOLS[protocol][1]
    value = checksum(addresses + struct.pack("!II", len(body), protocol) + body)
    if value == 0 and protocol == UDP:
        value = 0xFFFF
    return body[:field] + struct.pack("!H", value) + body[field + 2:]


def tcp(sport, dport, sequence, acknowledgement, flags, window, options=b"", payload=b"", urgent=0):
    """A segment without its checksum; `options` are a multiple of four bytes."""
    offset = (20 + len(options)) // 4 << 4
    return struct.pack("!HHIIBBHHH", sport, dport, sequence & 0xFFFFFFFF,
                       acknowledgement & 0xFFFFFFFF, offset, flags, window, 0, urgent) + \
        options + payload


def udp(sport, dport, payload=b""):
    return struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload


def ipv4(source, target, protocol, body, identity=0, fragment=0x4000, ttl=64, tos=0, options=b"",
         finish=True):
    """`source` and `target` are four bytes each. `finish`: complete the transport's checksum."""
    if finish:
        body = with_checksum(protocol, body, source + target)
    head = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, tos, 20 + len(options) + len(body),
                       identity & 0xFFFF, fragment, ttl, protocol, 0) + source + target + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def ipv6(source, target, protocol, body, label=0, traffic=0, hops=64, finish=True):
    if finish:
        body = with_checksum(protocol, body, source + target)
    return struct.pack("!IHBB", 6 << 28 | traffic << 20 | label, len(body), protocol, hops) + \
        source + target + body
