"""Signals: one exception, never where it would lose a program, then haste."""

import os
import signal
import subprocess
import types

import pytest
from conftest import REPOSITORY
from vmtool import session
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


def test_while_the_folder_is_taken(interrupts, tmp_path, monkeypatch):
    """It was raised where nothing waited for it, and left a folder that the list calls incomplete."""
    monkeypatch.setenv("VMNET_HOME", str(tmp_path))
    monkeypatch.setattr(session, "INTERRUPTS", interrupts)
    machine = session.Machine("vm")
    take = machine.take

    def interrupted(**options):
        os.kill(os.getpid(), signal.SIGINT)
        return take(**options)

    machine.take = interrupted
    assert session.Session(machine, types.SimpleNamespace()).run() == 130
    assert not machine.folder.exists()


def test_another_runs_folder_is_left_alone(interrupts, tmp_path, monkeypatch):
    monkeypatch.setenv("VMNET_HOME", str(tmp_path))
    monkeypatch.setattr(session, "INTERRUPTS", interrupts)
    other, machine = session.Machine("vm"), session.Machine("vm")
    assert other.take(make=True)
    with pytest.raises(session.Failure, match="is running"):
        session.Session(machine, types.SimpleNamespace()).run()
    assert machine.folder.exists()
    other.release()


def test_control_c_while_the_parts_are_read(tmp_path):
    """A tenth of a second in which it gave a traceback; a module of the library's that waits, here."""
    (tmp_path / "argparse.py").write_text("print('reading', flush=True)\nimport time\ntime.sleep(60)\n")
    with subprocess.Popen(["/usr/bin/python3", REPOSITORY / "example", "list"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env={"PYTHONPATH": str(tmp_path)}) as tool:
        assert tool.stdout.readline() == "reading\n"
        tool.send_signal(signal.SIGINT)
        assert tool.communicate() == ("", "") and tool.returncode == -signal.SIGINT
