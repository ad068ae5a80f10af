"""What a driver is."""

from __future__ import annotations

import os
import pathlib
from abc import ABC, abstractmethod

from .. import process
from ..machine import Machine
from ..network import Nic
from ..report import Failure


class Driver(ABC):
    name = ""
    program = ""  # none yet: as the VM's architecture wants it
    install = ""
    disk_format = "raw"
    connections: tuple[str, ...] = ("fd", "socket", "run")
    accelerator = ""  # what runs the VM, where the driver has a choice
    accel = "auto"  # what the user wants of it

    def give_up_kvm(self) -> None:
        """This VM hangs on it, as far as was seen."""

    def take_accelerator(self, wanted: str) -> None:
        """Before require(). Fails where the driver has no choice."""
        if wanted != "auto":
            raise Failure(f"--accel {wanted}: QEMU's; {self.name} has the processor's own alone")

    def require(self, machine: Machine, connection: str) -> None:
        """Fails where this driver cannot run the VM here; before anything is made."""
        if connection not in self.connections:
            raise Failure(f"--connection {connection}: {self.name} takes "
                          f"{', '.join(self.connections)}")
        process.require(self.program, self.install)

    @abstractmethod
    def prepare(self, machine: Machine) -> str:
        """Makes what a start needs; returns what the user is told of it."""

    @abstractmethod
    def command(self, machine: Machine, nic: Nic) -> list[str]:
        """The VM's command line; it runs in the VM's folder."""

    @abstractmethod
    def ask_to_stop(self, machine: Machine) -> bool:
        """Asks the guest to shut down; false where it cannot be asked."""


def size_line(title: str, machine: Machine) -> str:
    settings = machine.settings
    cpus = "1 CPU" if settings["cpus"] == 1 else f"{settings['cpus']} CPUs"
    return f"{title}: {cpus}, {settings['memory']} MB"


def check_folder(folder: pathlib.Path, program: str) -> None:
    """A driver that wants whole paths: in a list of values a comma would end them, and the names of
    sockets are short (sun_path: 104 bytes on macOS)."""
    if "," in str(folder):
        raise Failure(f"{program} takes no comma in a path: {folder}; set VMNET_HOME")
    if len(os.fsencode(folder / "control.sock")) >= 104:
        raise Failure(f"{folder} is too long for a socket in it; set VMNET_HOME")
