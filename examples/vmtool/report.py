"""What the user reads: a line a step on standard output, a failure as one line."""

from __future__ import annotations

import os
import pathlib
import sys

# A checkout, or where it was installed: PREFIX/share/vmnet-helper.
ROOT = pathlib.Path(__file__).resolve().parents[2]
INSTALLED = not (ROOT / "CMakeLists.txt").exists()
TOOL = str(ROOT / "example") if INSTALLED else "./example"  # what the user types


class Failure(Exception):
    """Something that ends the run. Its text is the one line the user gets: what failed, why, and
    what to do."""


def step(text: str) -> None:
    """Prints a line. A reader that has gone must not keep a run from its orderly end."""
    try:
        print(text, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def answer(text: str) -> None:
    """Prints what a command was asked for: that it cannot be written is a failure."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if isinstance(error, BrokenPipeError):  # the reader has seen enough
            raise
        raise Failure(f"cannot write to standard output: {error.strerror}") from None


def open_standard_streams() -> None:
    """What is closed stays so for writers, but no file of ours becomes descriptor 0, 1 or 2. What a
    terminal's encoding has no character for is shown as a number."""
    for number, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # takes the lowest number that is free
    sys.stdout = sys.stdout or open(1, "w", closefd=False)
    sys.stderr = sys.stderr or open(2, "w", closefd=False)
    sys.stdout.reconfigure(errors="backslashreplace")


def complain(text: str) -> None:
    """One line, whatever the text holds: programs' messages are quoted in it."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    print(f"example: {words}", file=sys.stderr, flush=True)


def megabytes(size: float) -> str:
    return f"{size / 1e6:.0f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"


class Progress:
    """A bar that a terminal shows in place; elsewhere nothing, so that logs stay readable."""

    WIDTH = 30

    def __init__(self, total: int | None):
        self.total = total
        self.on_terminal = sys.stdout.isatty()
        self.shown = ""

    def show(self, done: int, speed: float) -> None:
        if not self.on_terminal:
            return
        if self.total:
            part = min(1.0, done / self.total)
            bar = "#" * int(part * self.WIDTH)
            text = f"  [{bar:.<{self.WIDTH}}] {part:4.0%}  {megabytes(done)} of {megabytes(self.total)}"
        else:
            text = f"  {megabytes(done)}"
        text += f"  {speed / 1e6:.1f} MB/s"
        if text != self.shown:
            print(f"\r{text}\x1b[K", end="", flush=True)
            self.shown = text

    def close(self) -> None:
        if self.shown:
            print("\r\x1b[K", end="", flush=True)
            self.shown = ""
