"""A stand-in VM with a kernel of its own: carries frames between a TAP and the helper's socket.

Run inside the guest's namespace: tap_guest.py --fd N NAME MAC, or --socket PATH NAME MAC. What the
kernel behind the TAP sends (ping, TCP, iperf3) crosses the socket as a VM's frames would. Prints
"ready" once the TAP is up and ends when the helper's socket does.
"""

import fcntl
import os
import socket
import struct
import subprocess
import sys
import threading

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
BUFFER = 4 << 20


def open_tap(name, mac):
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    subprocess.run(["ip", "link", "set", name, "address", mac, "up"], check=True)
    return tap


def connect(kind, target):
    if kind == "--fd":
        return socket.socket(fileno=int(target))
    own = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    own.bind(f"{target}.vm{os.getpid()}")
    own.connect(target)
    own.send(b"VFKT")
    return own


def to_helper(tap, vm):
    while True:
        frame = os.read(tap, 65536)
        try:
            vm.send(frame)
        except OSError:
            os._exit(0)


def to_tap(tap, vm):
    while True:
        frame = vm.recv(65536)
        if not frame:
            os._exit(0)
        try:
            os.write(tap, frame)
        except OSError:
            pass  # a frame that a VM's device would drop too


def main():
    kind, target, name, mac = sys.argv[1:]
    vm = connect(kind, target)
    vm.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    tap = open_tap(name, mac)
    print("ready", flush=True)
    threading.Thread(target=to_helper, args=(tap, vm), daemon=True).start()
    to_tap(tap, vm)


if __name__ == "__main__":
    main()
