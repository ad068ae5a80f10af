"""Scripts that take minutes say what they do when asked, and when an option is not theirs, instead."""

import pathlib
import subprocess

import pytest

SCRIPTS = pathlib.Path(__file__).resolve().parent.parent.parent / "scripts"


@pytest.mark.parametrize("words, status", [(["--help"], 0), (["-h"], 0), (["--chekc"], 1), (["--check", "x"], 1)])
@pytest.mark.parametrize("name", ["build-macos"])
def test_usage(name, words, status):
    done = subprocess.run([SCRIPTS / name, *words], capture_output=True, text=True, check=False, timeout=10)
    assert done.returncode == status
    assert f"scripts/{name} [--check]" in done.stdout and "building" not in done.stdout
