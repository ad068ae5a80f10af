"""What udevd does to a device whose MAC address it saw while that was the kernel's random one: it
gives the device another, once, when it comes to it.

    mac_changer DELAY...    (milliseconds after the device's first event, in turn)

Prints the name of each device that it has changed.
"""

import fcntl
import os
import socket
import struct
import sys
import time

RTMGRP_LINK, RTM_NEWLINK, IFLA_IFNAME = 1, 16, 3
SIOCSIFHWADDR, ARPHRD_ETHER = 0x8924, 1


def new_devices(events):
    """Names of the VMs' devices, each once, as the kernel tells of them."""
    seen = set()
    while True:
        message = events.recv(65536)
        kind = struct.unpack_from("H", message, 4)[0]
        index = struct.unpack_from("i", message, 20)[0]
        size, attribute = struct.unpack_from("HH", message, 32)
        name = message[36:32 + size].rstrip(b"\0").decode()
        if kind != RTM_NEWLINK or attribute != IFLA_IFNAME or index in seen:
            continue
        if name.startswith("vmnet-tap"):
            seen.add(index)
            yield name


def main():
    delays = [int(word) / 1000 for word in sys.argv[1:]]
    control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as events:
        events.bind((0, RTMGRP_LINK))
        print("ready", flush=True)
        for number, name in enumerate(new_devices(events)):
            time.sleep(delays[number % len(delays)])
            mac = bytes([0x02]) + os.urandom(5)
            try:
                fcntl.ioctl(control, SIOCSIFHWADDR,
                            struct.pack("16sH6s16x", name.encode(), ARPHRD_ETHER, mac))
                print(name, flush=True)
            except OSError as error:  # gone already
                print(f"{name}: {error}", flush=True)


if __name__ == "__main__":
    main()
