"""Real virtual machines: QEMU with what scripts/lib/make_vm_image made, taking commands over its
serial console, which is QEMU's standard input and output.

VirtualMachine is started through vmnet-run by an unprivileged user; vmnet-run's JSON line comes
first on the same output. KernelMachine has no network but this machine's files: in it Debian's own
kernel runs what runs here.
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
from support.snapshot import wait_until

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


def qemu_command(memory, *devices):
    """QEMU without any device but the console and those named."""
    return ["qemu-system-x86_64", "-accel", accelerator(), "-cpu", "max", "-m", str(memory),
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
            "-kernel", str(WORK / "vm" / "kernel"), "-initrd", str(WORK / "vm" / "initramfs"),
            "-append", "console=ttyS0 quiet panic=-1", *devices]


def network_on_fd_4(mac):
    """The devices of a VM whose network is the socket that vmnet-run hands down."""
    return ["-netdev", "dgram,id=n0,local.type=fd,local.str=4",
            "-device", f"virtio-net-pci,netdev=n0,mac={mac},romfile="]


def tap_on_fd_4(mac):
    """The same with the TAP itself (vmnet-run --tap)."""
    return ["-netdev", "tap,id=n0,fd=4", "-device", f"virtio-net-pci,netdev=n0,mac={mac},romfile="]


def stream_on(mac, netdev):
    """The devices of a VM whose network is a stream: `netdev` says which, in QEMU's words."""
    return ["-netdev", f"{netdev},id=n0", "-device",
            f"virtio-net-pci,netdev=n0,mac={mac},romfile="]


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


class Machine:
    """A VM that boots with the given command; a context manager that ends it."""

    def __init__(self, command):
        share_image()
        self.log = tempfile.TemporaryFile(dir=WORK)
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.log)
        self.lines = queue.Queue()
        self.console = []
        self.commands = 0
        threading.Thread(target=self.read_console, daemon=True).start()

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

    def booted(self):
        """Waits until the VM takes commands."""
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
        """Shuts the VM down and returns the started process's exit status."""
        self.process.stdin.write(b"0 poweroff -f\n")
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


class VirtualMachine(Machine):
    """A VM in the namespace `host`. `way` says which installed vmnet-run starts it
    (support.installation) and so how the helper gets its privilege; `way.user` is never root."""

    def __init__(self, host, way, mac, *options, netdev=None):
        network = tap_on_fd_4(mac) if "--tap" in options else network_on_fd_4(mac)
        network = stream_on(mac, netdev) if netdev else network
        super().__init__([*host.prefix(way.user), way.runner(), *options, "--",
                          *qemu_command(256, *network)])
        self.way = way
        self.json = None

    def interface(self):
        """Waits for the helper's JSON line."""
        if self.json is None:
            self.json = json.loads(self.next_line(time.monotonic() + TIMEOUT, "helper"))
        return self.json

    def booted(self):
        self.interface()
        return super().booted()


class KernelMachine(Machine):
    """Debian's kernel on this machine's files, which it sees through virtiofs under /machine; what
    it writes there stays in its memory."""

    MOUNT = ("for name in fuse virtiofs overlay; do insmod /modules/extra/$name.ko; done;"
             "mkdir /below /above /machine /lib;"
             "mount -t virtiofs -o ro machine /below && mount -t tmpfs above /above &&"
             "mkdir /above/upper /above/work && mount -t overlay -o"
             " lowerdir=/below,upperdir=/above/upper,workdir=/above/work machine /machine &&"
             "mount -t proc proc /machine/proc && mount -t sysfs sysfs /machine/sys &&"
             "mount -t devtmpfs dev /machine/dev && mkdir -p /machine/dev/pts /machine/dev/shm &&"
             "mount -t tmpfs shm /machine/dev/shm && mount -t tmpfs run /machine/run &&"
             f"ln -s /below{REPOSITORY}/build/vm/modules /lib/modules && modprobe tun")

    def __init__(self, memory=1536):
        share_image()
        self.socket = WORK / "virtiofsd.sock"
        self.files = subprocess.Popen(
            ["/usr/lib/qemu/virtiofsd", f"--socket-path={self.socket}", "-o", "source=/", "-o",
             "sandbox=chroot", "-o", "cache=always"], stderr=subprocess.DEVNULL)
        if not wait_until(self.socket.exists):
            raise VmFailed("virtiofsd did not start")
        super().__init__(qemu_command(
            memory, "-object", f"memory-backend-memfd,id=memory,size={memory}M,share=on",
            "-numa", "node,memdev=memory", "-chardev", f"socket,id=files,path={self.socket}",
            "-device", "vhost-user-fs-pci,chardev=files,tag=machine", "-smp", "2"))

    def booted(self):
        super().booted()
        mounted = self.run(self.MOUNT, timeout=60)
        if not mounted:
            raise VmFailed(f"the machine's files: {mounted.output}")
        return self

    def run_here(self, command, timeout):
        """Runs a shell command on this machine's files, in the repository."""
        return self.run(f"chroot /machine /bin/sh -c 'cd {REPOSITORY} && {command}'", timeout)

    def __exit__(self, *_):
        super().__exit__()
        self.files.kill()
        self.files.wait()
        self.socket.unlink(missing_ok=True)
