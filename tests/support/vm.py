"""A real virtual machine: QEMU started through vmnet-run by an unprivileged user.

It boots what scripts/lib/vm_image.sh made and takes commands over its serial console, which is
QEMU's standard input and output; vmnet-run's JSON line comes first on the same output.
"""

import json
import queue
import re
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass

from support.lab import REPOSITORY, TIMEOUT, WORK

IMAGE = REPOSITORY / "build" / "vm"
BOOT_SECONDS = 60  # an emulated processor on a loaded machine
ANSWER = re.compile(r"@@ (\d+) (\d+) ([\d.]+) ([\d.]+)$")


class VmFailed(AssertionError):
    """The VM or its helper did not come up, or did not answer."""


@dataclass
class Answer:
    """What a command in the VM did; seconds are the VM's own."""

    status: int
    output: str
    seconds: float

    def __bool__(self):
        return self.status == 0


def accelerator():
    return (IMAGE / "accelerator").read_text().split()[0]


def qemu_command(mac, memory=256, extra=()):
    """QEMU with its network on fd 4, as vmnet-run gives it."""
    return ["qemu-system-x86_64", "-accel", accelerator(), "-cpu", "max", "-m", str(memory),
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
            "-kernel", str(WORK / "vm" / "kernel"), "-initrd", str(WORK / "vm" / "initramfs"),
            "-append", "console=ttyS0 quiet panic=-1",
            "-netdev", "dgram,id=n0,local.type=fd,local.str=4",
            "-device", f"virtio-net-pci,netdev=n0,mac={mac},romfile=", *extra]


def share_image():
    """Puts the image where an unprivileged user of the lab can read it."""
    target = WORK / "vm"
    if not target.exists():
        target.mkdir(mode=0o755)
        for name in ("kernel", "initramfs"):
            copy = target / name
            copy.write_bytes((IMAGE / name).read_bytes())
            copy.chmod(0o644)
    return target


class VirtualMachine:
    """A booted VM in the namespace `host`; a context manager that powers it off.

    `way` says which installed vmnet-run starts it (support.installation) and so how the helper gets
    its privilege; the user is `way.user`, never root.
    """

    def __init__(self, host, way, mac, *options):
        share_image()
        self.way = way
        self.log = tempfile.TemporaryFile(dir=WORK)
        command = [*host.prefix(way.user), way.runner(), *options, "--", *qemu_command(mac)]
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.log)
        self.lines = queue.Queue()
        self.console = []
        self.commands = 0
        threading.Thread(target=self.read_console, daemon=True).start()
        self.json = None

    def read_console(self):
        for line in self.process.stdout:
            self.lines.put(line.decode(errors="replace").rstrip())
        self.lines.put(None)

    def next_line(self, deadline, what):
        try:
            line = self.lines.get(timeout=max(0.001, deadline - time.monotonic()))
        except queue.Empty:
            raise VmFailed(f"{what}: no answer in time\n{self.report()}") from None
        if line is None:
            raise VmFailed(f"{what}: the VM ended\n{self.report()}")
        self.console.append(line)
        return line

    def report(self):
        """The console's last lines and the log of helper, vmnet-run and QEMU."""
        self.log.seek(0)
        return "\n".join(self.console[-30:]) + "\n" + self.log.read().decode(errors="replace")

    def interface(self):
        """Waits for the helper's JSON line."""
        if self.json is None:
            self.json = json.loads(self.next_line(time.monotonic() + TIMEOUT, "helper"))
        return self.json

    def booted(self):
        """Waits until the VM takes commands."""
        self.interface()
        deadline = time.monotonic() + BOOT_SECONDS
        while "@@ ready" not in self.next_line(deadline, "boot"):
            pass
        return self

    def run(self, command, timeout=TIMEOUT):
        """Runs a shell command in the VM."""
        self.commands += 1
        number, lines = self.commands, []
        self.process.stdin.write(f"{number} {command}\n".encode())
        self.process.stdin.flush()
        deadline = time.monotonic() + timeout
        while True:
            line = self.next_line(deadline, command)
            found = ANSWER.search(line)
            if found and int(found[1]) == number:
                return Answer(int(found[2]), "\n".join(lines), float(found[4]) - float(found[3]))
            lines.append(line)

    def poweroff(self):
        """Shuts the VM down and returns vmnet-run's exit status."""
        self.process.stdin.close()
        return self.process.wait(TIMEOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(TIMEOUT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            try:
                stream.close()
            except BrokenPipeError:
                pass
