"""The programs that run a VM: what each needs, its command line, how to ask it for a shutdown."""

from __future__ import annotations

import sys

from .accelerator import CHOICES as ACCELERATORS
from .base import Driver
from .krunkit import Krunkit
from .qemu import Qemu
from .vfkit import Vfkit

DRIVERS = {"qemu": Qemu, "vfkit": Vfkit, "krunkit": Krunkit}
ARCHITECTURES = ("x86_64", "aarch64")


def default_driver() -> str:
    return "vfkit" if sys.platform == "darwin" else "qemu"


def driver(name: str, command: str | None = None) -> Driver:
    """The driver of that name; `command`: a program to run in place of its own."""
    chosen = DRIVERS[name]()
    chosen.program = command or chosen.program
    return chosen
