"""The tool as it is installed, apart from any checkout: PREFIX/share/vmnet-helper/example."""

import os
import shutil
import subprocess

import pytest
from conftest import REPOSITORY


@pytest.fixture
def installed(tmp_path):
    place = tmp_path / "share/vmnet-helper"
    shutil.copytree(REPOSITORY / "examples/vmtool", place / "examples/vmtool")
    shutil.copy(REPOSITORY / "example", place)
    return place / "example"


def call(tool, *words):
    """Without VMNET_HELPER, and with a home of its own."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tool.parent)}
    return subprocess.run([tool, *words], capture_output=True, text=True, env=environment, check=False)


def test_it_names_itself_as_it_is_called(installed):
    assert f"{installed} list" in call(installed, "--help").stdout
    done = call(installed, "ssh", "nobody")
    assert done.returncode == 1 and f"'{installed} list'" in done.stderr
    assert not list(installed.parent.rglob("__pycache__")), "the place may be root's"


def test_it_finds_the_programs_it_was_installed_with(installed):
    sentence = "import vmtool.network as n; print(n.PLACES[-1])"
    told = subprocess.run(["python3", "-Bc", sentence], cwd=installed.parent / "examples",
                          capture_output=True, text=True, check=True).stdout.strip()
    assert told == str(installed.parents[2] / "bin")
