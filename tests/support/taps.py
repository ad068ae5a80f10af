"""TAPs of a namespace in the hands of this process, to put frames onto a bridge and to take them off.

A TAP without a virtio header makes the kernel finish checksums and cut large segments before they are
read: an independent second opinion on both.
"""

import fcntl
import os
import select
import struct
import threading
import time

from support.helper import CLONE_NEWNET, LIBC
from support.tap_guest import (IFF_NO_PI, IFF_TAP, IFF_VNET_HDR, LARGEST, TUNSETIFF,
                               TUNSETOFFLOAD, TUNSETVNETHDRSZ)

NEEDS_CSUM = 1
GSO_NONE, GSO_TCPV4, GSO_UDP, GSO_TCPV6, GSO_UDP_L4 = 0, 1, 3, 4, 5
GSO_ECN = 0x80
SENTINEL_TYPE = b"\x88\xb6"  # IEEE local experimental


def virtio_header(gso=GSO_NONE, gso_size=0, headers=0, start=0, offset=0, needs_csum=True):
    """struct virtio_net_hdr_v1, 12 bytes."""
    return struct.pack("<BBHHHHH", NEEDS_CSUM if needs_csum else 0, gso, headers, gso_size, start,
                       offset, 0)


def sentinel(number, target, source):
    """A frame that marks a place in a stream of frames."""
    macs = bytes.fromhex((target + source).replace(":", ""))
    return macs + SENTINEL_TYPE + number.to_bytes(8, "big") + bytes(38)


class Tap:
    """A port of `bridge` in a namespace. `virtio`: frames carry a 12-byte virtio header."""

    def __init__(self, namespace, name, bridge, virtio=False):
        self.fd = None
        thread = threading.Thread(target=self.open, args=(namespace, name, virtio))
        thread.start()  # a thread has a network namespace of its own; it ends with the thread
        thread.join()
        namespace.ip(f"link set {name} txqueuelen 20000 addrgenmode none",
                     f"link set {name} master {bridge} up")
        self.namespace, self.name = namespace, name

    def open(self, namespace, name, virtio):
        if LIBC.setns(namespace.descriptor(), CLONE_NEWNET) != 0:
            return
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        flags = IFF_TAP | IFF_NO_PI | (IFF_VNET_HDR if virtio else 0)
        fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
        if virtio:
            fcntl.ioctl(self.fd, TUNSETVNETHDRSZ, struct.pack("i", 12))
            fcntl.ioctl(self.fd, TUNSETOFFLOAD, 0)

    def write(self, *parts):
        """False where the kernel refuses the frame (EINVAL)."""
        try:
            os.writev(self.fd, parts)
        except OSError:
            return False
        return True

    def read(self):
        """The next frame or None."""
        try:
            return os.read(self.fd, LARGEST)
        except BlockingIOError:
            return None

    def close(self):
        os.close(self.fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def frames_until(read, poll, number, keep, timeout=20):
    """Frames that `keep` accepts, as `read()` gives them, until sentinel `number` comes. `poll` is
    what becomes readable."""
    mark = SENTINEL_TYPE + number.to_bytes(8, "big")
    deadline = time.monotonic() + timeout
    found = []
    while True:
        frame = read()
        if frame is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"sentinel {number} did not come; {len(found)} frames did")
            select.select([poll], [], [], left)
            continue
        if frame[12:22] == mark:
            return found
        if keep(frame):
            found.append(frame)
