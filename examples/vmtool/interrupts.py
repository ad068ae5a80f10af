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
    """Raises one Interrupted; what comes after it, while all is being stopped, asks for haste."""

    def __init__(self):
        self.came: list[int] = []
        self.raised = False
        self.holds = 0

    def watch(self) -> None:
        for number in NUMBERS:
            signal.signal(number, self.handle)

    def handle(self, number: int, _frame) -> None:
        self.came.append(number)
        self.raise_one()

    def raise_one(self) -> None:
        if self.came and self.holds == 0 and not self.raised:
            self.raised = True
            raise Interrupted(self.came[0])

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """What comes meanwhile is raised at the end."""
        self.holds += 1
        try:
            yield
        finally:
            self.holds -= 1
        self.raise_one()

    def hold_for_good(self) -> None:
        """From now on they ask for haste alone."""
        self.holds += 1

    def haste(self) -> bool:
        return len(self.came) > (1 if self.raised else 0)


# One for the process, as its signals are.
INTERRUPTS = Interrupts()
