"""Whether this machine's processor can run the VM itself (KVM, HVF), or QEMU must emulate it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time

from ..report import Failure
from . import host_arch

CHOICES = ("auto", "kvm", "tcg")
PROBE_SECONDS = 1.5  # a tenth of a second does on KVM, and by emulation; broken, it takes four
LAST_WORDS = b"No bootable device"


def bios_runs(program: str) -> bool:
    """Lets the BIOS run under KVM to its end, where it misses a disk (0x402 is its debug port): nested
    virtualisation may open /dev/kvm, begin, and then hang or crawl."""
    with subprocess.Popen([program, "-accel", "kvm", "-cpu", "host", "-m", "32", "-nodefaults",
                           "-no-user-config", "-display", "none", "-chardev", "stdio,id=bios",
                           "-device", "isa-debugcon,iobase=0x402,chardev=bios"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          start_new_session=True) as qemu:
        heard, deadline = b"", time.monotonic() + PROBE_SECONDS
        try:
            while LAST_WORDS not in heard:
                if not select.select([qemu.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
                    return False
                part = os.read(qemu.stdout.fileno(), 4096)
                if not part:
                    return False
                heard += part
            return True
        finally:
            qemu.send_signal(signal.SIGKILL)


def why_no_kvm(arch: str) -> str:
    """What keeps this user from KVM, as far as it shows without a try; empty where nothing does."""
    if arch != host_arch.name():
        return f"this machine is not {arch}"
    if not os.path.exists("/dev/kvm"):
        return "there is no /dev/kvm"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "you may not open /dev/kvm (group kvm)"
    return ""


def check(wanted: str, arch: str) -> None:
    """Fails where what the user wants cannot be."""
    if wanted == "kvm" and (reason := why_no_kvm(arch)):
        raise Failure(f"--accel kvm: {reason}")


def choose(program: str, arch: str, wanted: str = "auto", hangs: bool = False) -> tuple[str, str]:
    """QEMU's accelerator and what the user is told of it. `hangs`: this VM did on KVM."""
    if wanted == "kvm":
        return "kvm", "KVM"
    if wanted == "tcg":
        return "tcg", "emulated, slow: --accel tcg"
    if arch == host_arch.name() and sys.platform == "darwin":
        return "hvf", "HVF"
    if reason := why_no_kvm(arch):
        return "tcg", f"emulated, slow: {reason}"
    if hangs:
        return "tcg", "emulated, slow: on KVM this VM said nothing (--accel kvm: tries again)"
    if arch == "x86_64" and not bios_runs(program):
        return "tcg", "emulated, slow: /dev/kvm is there but nothing runs on it"
    return "kvm", "KVM"
