"""A stand-in VM with a kernel of its own: carries frames between a TAP and the helper's socket.

Run inside the guest's namespace: tap_guest.py --fd N NAME MAC, or --socket PATH NAME MAC. What the
kernel behind the TAP sends (ping, TCP, iperf3) crosses the socket as a VM's frames would. Prints
"ready" once the TAP is up and ends when the helper's socket does.

--offload: a VM with TSO and checksum offload whose monitor speaks bare frames, as libkrun's does:
the virtio header is stripped on the way out, and one of zeros put before what comes in.
--check: every frame that comes in must be of the VM's size and have right checksums. A line on
standard input then asks for the result: a line of JSON, {"frames": N, "largest": N, "bad": [...]}.
"""

import argparse
import fcntl
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from support.frames import bad_checksum  # noqa: E402

TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D8
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6 = 1, 2, 4
BUFFER = 4 << 20
LARGEST = 70_000
NO_OFFLOAD = bytes(12)  # struct virtio_net_hdr_v1


def open_tap(name, mac, offload):
    tap = os.open("/dev/net/tun", os.O_RDWR)
    flags = IFF_TAP | IFF_NO_PI | (IFF_VNET_HDR if offload else 0)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    if offload:
        fcntl.ioctl(tap, TUNSETVNETHDRSZ, struct.pack("i", len(NO_OFFLOAD)))
        fcntl.ioctl(tap, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)
    subprocess.run(["ip", "link", "set", name, "address", mac, "up"], check=True)
    return tap


def connect(path):
    own = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    own.bind(f"{path}.vm{os.getpid()}")
    own.connect(path)
    own.send(b"VFKT")
    return own


class Checker:
    """What came in."""

    def __init__(self):
        self.frames = 0
        self.largest = 0
        self.bad = []

    def look(self, frame):
        self.frames += 1
        self.largest = max(self.largest, len(frame))
        wrong = bad_checksum(frame)
        if wrong and len(self.bad) < 10:
            self.bad.append(f"{wrong} checksum, {len(frame)} bytes: {frame[:128].hex()}")

    def answer(self):
        for _ in sys.stdin:
            print(json.dumps(vars(self)), flush=True)


def to_helper(tap, vm, offload):
    start = len(NO_OFFLOAD) if offload else 0
    while True:
        frame = os.read(tap, LARGEST)
        try:
            vm.send(memoryview(frame)[start:])
        except OSError:
            os._exit(0)


def to_tap(tap, vm, offload, checker):
    while True:
        frame = vm.recv(LARGEST)
        if not frame:
            os._exit(0)
        if checker:
            checker.look(frame)
        try:
            os.writev(tap, [NO_OFFLOAD, frame] if offload else [frame])
        except OSError:
            pass  # a frame that a VM's device would drop too


def main():
    parser = argparse.ArgumentParser()
    end = parser.add_mutually_exclusive_group(required=True)
    end.add_argument("--fd", type=int)
    end.add_argument("--socket")
    parser.add_argument("--offload", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("name")
    parser.add_argument("mac")
    options = parser.parse_args()
    vm = connect(options.socket) if options.socket else socket.socket(fileno=options.fd)
    vm.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    tap = open_tap(options.name, options.mac, options.offload)
    checker = Checker() if options.check else None
    print("ready", flush=True)
    if checker:
        threading.Thread(target=checker.answer, daemon=True).start()
    threading.Thread(target=to_helper, args=(tap, vm, options.offload), daemon=True).start()
    to_tap(tap, vm, options.offload, checker)


if __name__ == "__main__":
    main()
