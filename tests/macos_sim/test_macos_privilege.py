"""Who may start what on the simulated system, and what is left of privilege then. As root."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

import pytest
from sim_helper import HELPER, Helper, refused, works

NOBODY = 65534
RUN = HELPER.parent / "vmnet-run"
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
TALK = """
import os, socket, sys
vm = socket.socket(fileno=4)
vm.settimeout(10)
vm.send(bytes.fromhex("0e0000000002" "020000000042" "88b6") + b"hello" * 10)
sys.exit(7 if vm.recv(2000).endswith(b"hello" * 10) else 1)
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def open_folder():
    """A folder that every user can reach, unlike pytest's own."""
    folder = tempfile.mkdtemp(prefix="macos-sim-")
    os.chmod(folder, 0o755)
    yield folder
    shutil.rmtree(folder)


def run(command, sim, **options):
    return subprocess.run(command, text=True, capture_output=True, timeout=30,
                          env={**os.environ, "MACOS_SIM": sim}, **options)


def test_before_macos_26_only_root_may():
    if os.geteuid() == 0:
        works(Helper(sim="version=15.4"))
    else:
        assert "sudo" in refused(sim="version=15.4")


@pytest.mark.parametrize("version", ["none", "Sonoma", "26."])
def test_a_version_that_is_none(version):
    assert "the system's version" in refused(sim=f"version={version}")


@as_root
def test_a_user_needs_nothing_from_macos_26_on(open_folder):
    for version, status in (("26.0", 0), ("16.0", 0), ("15.7", 1)):
        done = run([*AS_NOBODY, RUN, "--", "true"], f"version={version}", cwd=open_folder)
        assert done.returncode == status, done.stderr
    assert "sudo" in done.stderr


@as_root
def test_a_setuid_helper_becomes_the_user(open_folder):
    helper = os.path.join(open_folder, "vmnet-helper")
    shutil.copy(HELPER, helper)
    os.chmod(helper, 0o4755)
    path = os.path.join(open_folder, "s")
    os.chmod(open_folder, 0o777)
    # The search for leaks needs ptrace, which a setuid program is not open to.
    process = subprocess.Popen([*AS_NOBODY, helper, f"--socket={path}"], text=True, cwd=open_folder,
                               stdout=subprocess.PIPE,
                               env={**os.environ, "MACOS_SIM": "version=15.4",
                                    "ASAN_OPTIONS": "detect_leaks=0"})
    assert json.loads(process.stdout.readline())
    with open(f"/proc/{process.pid}/status", encoding="utf-8") as file:
        status = dict(line.strip().split(":\t", 1) for line in file if ":\t" in line)
    assert status["Uid"].split() == [str(NOBODY)] * 4
    assert status["Gid"].split() == [str(NOBODY)] * 4
    assert set(status["Groups"].split()) <= {str(NOBODY)}
    made = os.stat(path)
    assert made.st_uid == NOBODY and made.st_mode & 0o777 == 0o600
    process.terminate()
    assert process.wait(timeout=10) == 0
    process.stdout.close()
    assert os.listdir(open_folder) == ["vmnet-helper"]


def test_vmnet_run_gives_its_command_the_network():
    done = run([RUN, "--", sys.executable, "-c", TALK], "version=26.1")
    assert done.returncode == 7, done.stderr
    assert json.loads(done.stdout)["vmnet_mtu"] == 1500


def test_vmnet_run_starts_nothing_without_a_network():
    done = run([RUN, "--", "echo", "started"], "start.status=1009")
    assert done.returncode == 1 and "started" not in done.stdout
    assert "Internet Sharing" in done.stderr


def test_the_vm_cannot_have_the_device():
    assert "--tap" in refused("--tap")
