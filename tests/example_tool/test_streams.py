"""The standard streams: closed, full, or of an encoding that lacks a character."""

import json
import os
import pathlib
import subprocess

import pytest
from conftest import REPOSITORY

SETTINGS = {"interface_id": "x", "driver": "qemu", "cpus": 1, "memory": 64, "user": "vm",
            "source": "/images/dürer.qcow2", "distribution": "", "arch": "x86_64",
            "firmware": "bios", "disk_format": "qcow2"}
COMMANDS = ("list", "logs vm", "logs vm console")


@pytest.fixture
def shell(tmp_path):
    """shell(TEXT) runs a shell's line where `example` is the tool, with a VM that has a log."""
    folder = tmp_path / "home" / "vms" / "vm"
    folder.mkdir(parents=True)
    (folder / "vm.json").write_text(json.dumps(SETTINGS))
    (folder / "console.log").write_text("● ssh.service\n")

    def run(text, **environment):
        python = pathlib.Path("/usr/bin/python3")
        return subprocess.run(["sh", "-c", f'example() {{ {python} {REPOSITORY}/example "$@"; }}; {text}'],
                              text=True, capture_output=True, check=False, stdin=subprocess.DEVNULL,
                              env={**os.environ, "VMNET_HOME": str(tmp_path / "home"), **environment})
    return run


@pytest.mark.parametrize("where, reason", [(">/dev/full", "No space left on device"),
                                           (">&-", "Bad file descriptor"),
                                           (">&- <&-", "Bad file descriptor")])
@pytest.mark.parametrize("command", COMMANDS)
def test_answer_that_cannot_be_written(shell, command, where, reason):
    done = shell(f"example {command} {where}")
    assert (done.returncode, done.stdout, done.stderr) == (
        1, "", f"example: cannot write to standard output: {reason}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_all_closed(shell, command):
    assert shell(f"example {command} <&- >&- 2>&-").returncode == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_reader_that_goes(shell, command):
    """Silently, as other programs end then."""
    assert shell(f"(sleep 1; example {command}) | true").stderr == ""


def test_run_with_closed_streams(shell):
    """What the tool opens does not become descriptor 0, 1 or 2, which the programs it starts have of
    their own: the helper's socket was 1."""
    code = ("import os; from vmtool.report import open_standard_streams; open_standard_streams(); "
            "os._exit(os.open('/dev/null', 0))")
    for where, expected in (("<&- >&-", 3), ("<&- >&- 2>&-", 3), ("<&-", 3)):
        done = shell(f"PYTHONPATH={REPOSITORY}/examples exec python3 -c \"{code}\" {where}")
        assert done.returncode == expected, where


@pytest.mark.parametrize("command, shown", [("list", r"/images/d\xfcrer.qcow2"),
                                            ("logs vm", r"\u25cf ssh.service")])
def test_character_that_the_terminal_lacks(shell, command, shown):
    """systemd's dots on the console, where the user's locale is not UTF-8."""
    done = shell(f"example {command}", PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and shown in done.stdout and done.stderr == ""
