"""Control+C, SIGTERM and SIGHUP: an exception at any moment, but for those at which it would lose a
program that was just started, and not any more while everything is being stopped."""

from __future__ import annotations

import contextlib
import signal
from typing import Iterator

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """The user wants the end. No Exception: nothing else handles it by mistake."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


class Interrupts:
    def __init__(self):
        self.came: list[int] = []
        self.holds = 0

    def watch(self) -> None:
        for number in NUMBERS:
            signal.signal(number, self.handle)

    def handle(self, number: int, _frame) -> None:
        self.came.append(number)
        if self.holds == 0:
            raise Interrupted(number)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """What comes meanwhile is raised at the end."""
        before = len(self.came)
        self.holds += 1
        try:
            yield
        finally:
            self.holds -= 1
        if self.holds == 0 and len(self.came) > before:
            raise Interrupted(self.came[-1])

    def hold_for_good(self) -> int:
        """From now on they are only counted, in `came`; returns how many came before."""
        self.holds += 1
        return len(self.came)


# One for the process, as its signals are.
INTERRUPTS = Interrupts()
