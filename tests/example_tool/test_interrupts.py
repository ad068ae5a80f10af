"""Signals: one exception, never where it would lose a program, then haste."""

import os
import signal

import pytest
from vmtool.interrupts import NUMBERS, Interrupted, Interrupts


@pytest.fixture
def interrupts():
    before = {number: signal.getsignal(number) for number in NUMBERS}
    made = Interrupts()
    made.watch()
    yield made
    for number, handler in before.items():
        signal.signal(number, handler)


def test_one_exception_then_haste(interrupts):
    with pytest.raises(Interrupted) as raised:
        os.kill(os.getpid(), signal.SIGTERM)
    assert raised.value.number == signal.SIGTERM and not interrupts.haste()
    os.kill(os.getpid(), signal.SIGINT)
    assert interrupts.haste()


def test_held_until_a_program_is_known(interrupts):
    known = []
    with pytest.raises(Interrupted):
        with interrupts.held():
            with interrupts.held():
                os.kill(os.getpid(), signal.SIGINT)
            known.append("program")
    assert known == ["program"]
    with interrupts.held():
        pass  # what was raised is not raised again


def test_haste_where_the_vm_ended_by_itself(interrupts):
    interrupts.hold_for_good()
    assert not interrupts.haste()
    os.kill(os.getpid(), signal.SIGHUP)
    assert interrupts.haste()
