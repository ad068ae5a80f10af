"""This machine's architecture, by one name whatever the system calls it."""

from __future__ import annotations

import platform

NAMES = {"amd64": "x86_64", "arm64": "aarch64"}


def name() -> str:
    machine = platform.machine()
    return NAMES.get(machine, machine)
