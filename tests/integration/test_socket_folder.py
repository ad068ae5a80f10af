"""--socket: the folder that it is made in, and whose it is."""

import os
import pathlib
import shutil
import subprocess

import pytest

from support.checks import assert_refused
from support.helper import Helper, run_to_end
from support.installation import CAPABLE_COPY, SETUID_COPY, SUDO
from support.lab import as_user, end, run
from support.snapshot import wait_until


@pytest.fixture
def fuse_folder(alice_folder):
    """A file system that serves alice alone, not even root: sshfs, bindfs, rclone are such."""
    if not shutil.which("bindfs") or not pathlib.Path("/dev/fuse").exists():
        pytest.skip("needs bindfs and /dev/fuse")
    behind, folder = alice_folder / "behind", alice_folder / "mounted"
    for made in (behind, folder):
        made.mkdir()
        shutil.chown(made, "alice", "alice")
    run("mount", "--bind", "/run/lab/fuse", "/dev/fuse")  # open to every user, as udev makes it
    server = subprocess.Popen([*as_user("alice"), "bindfs", "--no-allow-other", "-f", behind, folder])
    try:
        assert wait_until(lambda: is_mounted(folder))
        yield folder
    finally:
        run("umount", "--lazy", folder, check=False)
        end(server)
        run("umount", "/dev/fuse")


def is_mounted(folder):
    return any(line.split()[1] == str(folder)
               for line in pathlib.Path("/proc/self/mounts").read_text().splitlines())


@pytest.mark.parametrize("way", [SUDO, SETUID_COPY, CAPABLE_COPY], ids=lambda way: way.name)
def test_folder_that_serves_its_user_alone(start, fuse_folder, way):
    path = fuse_folder / "vm.sock"
    helper = start(way=way, path=path)
    behind = fuse_folder.parent / "behind"
    assert {file.name for file in behind.iterdir()} == {"vm.sock", "vm.sock.lock"}
    helper.stop()
    assert not list(behind.iterdir())


@pytest.mark.parametrize("way", [SUDO, SETUID_COPY, CAPABLE_COPY], ids=lambda way: way.name)
def test_folder_that_is_not_readable(start, alice_folder, way):
    alice_folder.chmod(0o300)
    start(way=way, path=alice_folder / "vm.sock").stop()
    alice_folder.chmod(0o700)
    assert not list(alice_folder.iterdir())


def test_root_in_a_users_private_folder(host, alice_folder):
    """Root without capabilities cannot look into it: refused, or nothing left."""
    helper = Helper(host, path=alice_folder / "vm.sock")
    if helper.read_line(10):
        helper.stop()
    helper.__exit__()
    assert not list(alice_folder.iterdir())


def test_folder_of_another_user(host, alice_folder):
    """A setuid helper makes no file where its user could not."""
    alice_folder.chmod(0o700)
    os.chown(alice_folder, 47002, 47002)
    assert_refused(run_to_end(host, path=alice_folder / "x.sock", way=SETUID_COPY))
    assert not list(alice_folder.iterdir())


def test_folder_that_does_not_exist(host, alice_folder):
    assert_refused(run_to_end(host, path=alice_folder / "no" / "x.sock"), ["x.sock"])
