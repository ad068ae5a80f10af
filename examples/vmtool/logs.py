"""What the console, the helper and the driver have written."""

from __future__ import annotations

import pathlib
import time

from .machine import Machine
from .report import answer

NAMES = ("helper", "driver", "console")


def readable(data: bytes) -> str:
    """Without control characters: a guest writes the console, and a terminal obeys them."""
    text = data.decode(errors="replace").replace("\r\n", "\n")
    return "".join(c if c.isprintable() or c in "\n\t" else "" for c in text)


class Tail:
    """A file that grows; one that starts anew is read from its beginning."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        self.at = 0

    def more(self) -> bytes:
        try:
            with open(self.path, "rb") as file:
                if file.seek(0, 2) < self.at:
                    self.at = 0
                file.seek(self.at)
                data = file.read()
        except OSError:
            return b""
        self.at += len(data)
        return data


def show_logs(machine: Machine, which: str | None, follow: bool) -> int:
    names = [which] if which else NAMES
    tails = [Tail(machine.path(f"{name}.log")) for name in names]
    last = None
    while True:
        for tail in tails:
            data = tail.more()
            if not data:
                continue
            if len(tails) > 1 and tail is not last:
                answer(f"==> {tail.path.name} <==\n")
            last = tail
            answer(readable(data))
        if not follow:
            return 0
        time.sleep(0.3)
