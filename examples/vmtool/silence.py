"""Whether a VM hangs: KVM within a virtual machine may run a BIOS and a boot loader, and then nothing."""

from __future__ import annotations

import os
import pathlib
import time

SECONDS = 20
FIRMWARES_WORDS = 4096  # bytes that firmware and boot loader may have said; a VM that said more is alive


class SilenceWatch:
    """Watches a VM's console from its start."""

    def __init__(self, console: pathlib.Path):
        self.console = console
        self.said = 0
        self.since = time.monotonic()

    def is_long(self) -> bool:
        """Has it said nothing, or nothing more than firmware does, for SECONDS?"""
        try:
            said = os.stat(self.console).st_size
        except FileNotFoundError:
            said = 0
        if said != self.said:
            self.said, self.since = said, time.monotonic()
        return said <= FIRMWARES_WORDS and time.monotonic() - self.since > SECONDS
