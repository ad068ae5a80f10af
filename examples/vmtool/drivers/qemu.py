"""QEMU on Linux and macOS.

It runs in the VM's folder and names the files there without a path, which keeps socket names short and
leaves no comma of the user's to be taken for an option's end.
"""

from __future__ import annotations

import json
import socket

from .. import process
from ..machine import Machine
from ..network import Nic
from ..report import step
from . import accelerator, firmware
from .base import Driver, size_line

INSTALL = {"x86_64": "apt-get install qemu-system-x86", "aarch64": "apt-get install qemu-system-arm"}
PROCESSORS = {"kvm": "host", "hvf": "host"}


def quoted(path: object) -> str:
    """A path as a value in QEMU's option lists, where a comma is written twice."""
    return str(path).replace(",", ",,")


def network(nic: Nic) -> list[str]:
    if nic.kind == "fd":
        backend = f"dgram,id=net0,local.type=fd,local.str={nic.fd}"
    elif nic.kind == "socket":
        backend = (f"dgram,id=net0,local.type=unix,local.path={nic.own_path.name},"
                   f"remote.type=unix,remote.path={nic.path.name}")
    else:
        backend = f"tap,id=net0,fd={nic.fd}"
    return ["-netdev", backend, "-device", f"virtio-net-pci,netdev=net0,mac={nic.mac},romfile="]


def drive(name: str, file: str, disk_format: str, *options: str) -> list[str]:
    values = ["if=none", f"id={name}", f"file={file}", f"format={disk_format}", *options]
    return ["-drive", ",".join(values), "-device", f"virtio-blk-pci,drive={name}"]


def accepted(stream) -> bool:
    """QEMU's answer to an order, behind events that may come first."""
    for line in stream:
        answer = json.loads(line)
        if "return" in answer or "error" in answer:
            return "return" in answer
    return False


class Qemu(Driver):
    name = "qemu"
    disk_format = "qcow2"
    connections = ("fd", "socket", "run", "tap")

    def __init__(self):
        self.accelerator = "tcg"
        self.kvm_hangs = False
        self.firmware: firmware.Firmware | None = None

    def give_up_kvm(self) -> None:
        self.kvm_hangs = True

    def take_accelerator(self, wanted: str) -> None:
        self.accel = wanted

    def require(self, machine: Machine, connection: str) -> None:
        arch = machine.settings["arch"]
        self.program = self.program or f"qemu-system-{arch}"
        self.install = f"{INSTALL[arch]}; macOS: brew install qemu"
        super().require(machine, connection)
        accelerator.check(self.accel, arch)
        self.program = process.require(self.program, self.install)
        if machine.settings["firmware"] == "uefi":
            firmware.find(self.program, arch)

    def prepare(self, machine: Machine) -> str:
        arch = machine.settings["arch"]
        self.accelerator, words = accelerator.choose(self.program, arch, self.accel, self.kvm_hangs)
        by = ""
        if machine.settings["firmware"] == "uefi":
            self.firmware = firmware.find(self.program, arch)
            firmware.copy_variables(self.firmware, machine.path("efi-variables.fd"))
            by = ", UEFI"
        return f"{size_line('Starting QEMU', machine)}{by}, {words}"

    def processor(self, arch: str) -> str:
        # Pointer authentication as the architecture defines it costs an emulator half its time.
        emulated = "max,pauth-impdef=on" if arch == "aarch64" else "max"
        return PROCESSORS.get(self.accelerator, emulated)

    def command(self, machine: Machine, nic: Nic) -> list[str]:
        if nic.offload and nic.kind != "tap":
            step("Note: QEMU's datagram network has no offload; --enable-tso helps krunkit alone")
        settings = machine.settings
        arch = settings["arch"]
        words = [self.program, "-name", machine.name, "-nodefaults", "-no-user-config",
                 "-machine", "virt" if arch == "aarch64" else "q35",
                 "-accel", self.accelerator, "-cpu", self.processor(arch),
                 "-smp", str(settings["cpus"]), "-m", f"{settings['memory']}M",
                 "-display", "none", "-serial", "file:console.log",
                 "-qmp", "unix:control.sock,server=on,wait=off", "-device", "virtio-rng-pci"]
        if self.firmware:
            words += ["-drive", f"if=pflash,format=raw,readonly=on,file={quoted(self.firmware.code)}",
                      "-drive", "if=pflash,format=raw,file=efi-variables.fd"]
        words += drive("disk", machine.disk().name, settings["disk_format"], "discard=unmap")
        words += drive("seed", "seed.iso", "raw", "readonly=on")
        return words + network(nic)

    def ask_to_stop(self, machine: Machine) -> bool:
        """Presses the guest's power button (QMP)."""
        path = str(machine.path("control.sock"))
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
                control.settimeout(5)
                control.connect(path)
                with control.makefile("rwb") as stream:
                    stream.readline()  # the greeting
                    for order in ("qmp_capabilities", "system_powerdown"):
                        stream.write(json.dumps({"execute": order}).encode() + b"\n")
                        stream.flush()
                        if not accepted(stream):
                            return False
            return True
        except (OSError, ValueError):
            return False
