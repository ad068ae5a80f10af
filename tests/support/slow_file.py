"""A file to which a write lasts until this program is ended, whatever poll() says before: one of a FUSE
file system, as every user can make with fusermount.

slow_file.py FOLDER: mounts it there, prints "ready"; the file is FOLDER/log.
"""

import ctypes
import os
import stat
import struct
import sys

# <linux/fuse.h>
LOOKUP, FORGET, GETATTR, OPEN, WRITE, RELEASE, INIT, INTERRUPT, FORGET_MANY = 1, 2, 3, 14, 16, 18, 26, 36, 42
UNANSWERED = (FORGET, INTERRUPT, FORGET_MANY, WRITE)
DIRECT_IO = 1
ENOSYS = 38
ROOT, FILE = 1, 2
REQUEST, ANSWER = struct.Struct("<IIQQIIII"), struct.Struct("<IiQ")
LARGEST_WRITE = 1 << 16


def attributes(node):
    mode = stat.S_IFDIR | 0o755 if node == ROOT else stat.S_IFREG | 0o666
    return struct.pack("<6Q10I", node, 0, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def answer(operation, node):
    """What follows the answer's header, or None: the operation is not there."""
    if operation == INIT:
        return struct.pack("<4I2H2I2H8I", 7, 31, 0, 0, 0, 0, LARGEST_WRITE, 1, 0, 0, *[0] * 8)
    if operation == LOOKUP:
        return struct.pack("<4Q2I", FILE, 0, 60, 60, 0, 0) + attributes(FILE)
    if operation == GETATTR:
        return struct.pack("<Q2I", 60, 0, 0) + attributes(node)
    if operation == OPEN:
        return struct.pack("<QIi", 0, DIRECT_IO, 0)
    return b"" if operation == RELEASE else None


def serve(device):
    while True:
        request = os.read(device, LARGEST_WRITE + 8192)
        _, operation, unique, node, *_ = REQUEST.unpack_from(request)
        if operation in UNANSWERED:
            continue
        body = answer(operation, node)
        size = ANSWER.size + len(body or b"")
        os.write(device, ANSWER.pack(size, 0 if body is not None else -ENOSYS, unique) + (body or b""))


def mount(device, folder):
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    if libc.mount(b"slow_file", os.fsencode(folder), b"fuse", 0, options) != 0:
        sys.exit(f"cannot mount: {os.strerror(ctypes.get_errno())}")


def main():
    try:
        device = os.open("/run/lab/fuse", os.O_RDWR)  # the lab's /dev/fuse
    except OSError as error:
        print(f"the kernel has no FUSE here: {error.strerror}", flush=True)
        return
    mount(device, sys.argv[1])
    print("ready", flush=True)
    serve(device)


if __name__ == "__main__":
    main()
