"""Builds that take long say how far they are (scripts/lib/common.sh)."""

import os
import pathlib
import pty
import subprocess

COMMON = pathlib.Path(__file__).resolve().parents[2] / "scripts/lib/common.sh"
BUILD = r"""source "$0"
{ echo "[1/2] Building \\n"; echo "[2/2] Linking"; exit 3; } | show_progress "$1" thing"""


def build(log, **more):
    return subprocess.run(["bash", "-c", BUILD, COMMON, log], check=False, timeout=10, **more)


def test_a_terminal_shows_the_step_in_one_line(tmp_path):
    ours, its = pty.openpty()
    done = build(tmp_path / "log", stdout=its)
    os.close(its)
    said = os.read(ours, 4096).decode()
    os.close(ours)
    assert done.returncode == 3
    assert "\rbuilding thing: 1 of 2\rbuilding thing: 2 of 2\r" in said and "\n" not in said
    assert (tmp_path / "log").read_text() == "[1/2] Building \\n\n[2/2] Linking\n"


def test_a_short_build_says_nothing_to_a_file(tmp_path):
    done = build(tmp_path / "log", capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "")
