"""examples/go: its own tests, its format."""

import os
import pathlib
import shutil
import subprocess

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[2] / "examples/go"
GO = shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin:/usr/lib/go/bin")

pytestmark = pytest.mark.skipif(not GO, reason="no Go here: apt-get install golang-go")


def test_its_own_tests(tmp_path):
    """With what `go test` vets. The workflow does the same on a Mac."""
    done = subprocess.run([GO, "test", "./..."], cwd=PACKAGE, text=True, capture_output=True, check=False,
                          env=os.environ | {"GOTOOLCHAIN": "local", "GOFLAGS": "", "GO111MODULE": "on",
                                            "GOCACHE": str(tmp_path / "cache")})
    assert done.returncode == 0, done.stdout + done.stderr


def test_format():
    gofmt = pathlib.Path(GO).resolve().parent / "gofmt"
    done = subprocess.run([gofmt, "-l", PACKAGE], text=True, capture_output=True, check=True)
    assert not done.stdout
