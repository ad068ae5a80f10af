#!/usr/bin/python3
"""vfkit and krunkit stand-in: reads their command line, whichever name it is started by, and runs the
VM in QEMU. What QEMU cannot show is whether theirs is right; tests/example_tool/test_drivers.py holds it
to their manuals."""

import os
import sys


def devices(words):
    for name, value in zip(words, words[1:]):
        if name == "--device":
            kind, *options = value.split(",")
            yield kind, dict(option.partition("=")[::2] for option in options)


def network(options):
    path = options.get("unixSocketPath", options.get("path"))
    if path is None:
        return f"dgram,id=n,local.type=fd,local.str={options['fd']}"
    own = f"{os.path.dirname(path)}/driver.sock"
    return f"dgram,id=n,local.type=unix,local.path={own},remote.type=unix,remote.path={path}"


def main():
    words = sys.argv[1:]
    qemu = ["qemu-system-x86_64", "-accel", "tcg", "-nodefaults", "-display", "none",
            "-m", words[words.index("--memory") + 1], "-smp", words[words.index("--cpus") + 1]]
    for kind, options in devices(words):
        if kind == "virtio-blk":
            qemu += ["-drive", f"file={options['path']},format=raw,if=virtio"]
        elif kind == "virtio-net":
            qemu += ["-netdev", network(options),
                     "-device", f"virtio-net-pci,netdev=n,romfile=,mac={options['mac']}"]
        elif kind == "virtio-serial":
            qemu += ["-serial", f"file:{options['logFilePath']}"]
    os.execvp(qemu[0], qemu)


if __name__ == "__main__":
    main()
