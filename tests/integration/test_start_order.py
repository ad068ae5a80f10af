"""--socket: who waits for its file takes it for a network that works, so the file comes last."""

import ctypes
import os
import select
import socket
import stat
import struct

import pytest

from support import snapshot
from support.checks import assert_refused, explicit
from support.helper import helper_processes, run_to_end, wait_for_no_helper
from support.installation import CAPABLE_COPY, PREFIX, ROOT, SETUID_COPY, SUDO, Way
from support.lab import run
from support.snapshot import wait_until

ALICE = 47001
IN_CREATE, IN_MOVED_TO = 0x100, 0x80
TYPES = [(), ("--socket-type", "stream")]
PRIVILEGED = [ROOT, SUDO, SETUID_COPY, CAPABLE_COPY]
LIBC = ctypes.CDLL(None, use_errno=True)


class Watcher:
    """What is made in a folder, by inotify(7): no file is too short-lived to be seen."""

    def __init__(self, folder):
        self.fd = LIBC.inotify_init()
        assert LIBC.inotify_add_watch(self.fd, os.fsencode(folder), IN_CREATE | IN_MOVED_TO) > 0

    def seen(self):
        """The names since the last look."""
        names = []
        while select.select([self.fd], [], [], 0)[0]:
            events = os.read(self.fd, 1 << 16)
            while events:
                (length,) = struct.unpack("I", events[12:16])
                names.append(os.fsdecode(events[16:16 + length].rstrip(b"\0")))
                events = events[16 + length:]
        return names


@pytest.fixture
def path(alice_folder):
    return alice_folder / "vm.sock"


@pytest.fixture
def watcher(alice_folder):
    one = Watcher(alice_folder)
    yield one
    os.close(one.fd)


def ways(values):
    return pytest.mark.parametrize("way", values, ids=lambda way: way.name)


@pytest.mark.parametrize("options", TYPES, ids=["dgram", "stream"])
@ways(PRIVILEGED)
def test_the_file_comes_after_the_network(start, held_lock, watcher, path, way, options):
    helper = start(*options, path=path, way=way, ready=False)
    assert wait_until(lambda: len(helper_processes()) == 2)
    assert watcher.seen() == ["vm.sock.lock"] and not path.exists()
    held_lock.stdin.close()
    helper.ready()
    assert watcher.seen() == ["vm.sock"]
    status = path.lstat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (ALICE if way.user == "alice" else 0, 0o600)
    helper.stop()
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("kind", TYPES, ids=["dgram", "stream"])
@ways(PRIVILEGED)
def test_a_subnet_that_is_taken_shows_no_file(host, watcher, path, way, kind):
    host.ip("address add 10.99.0.9/24 dev lo")
    assert_refused(run_to_end(host, *explicit("10.99.0.1", "10.99.0.100"), *kind, path=path, way=way))
    host.ip("address del 10.99.0.9/24 dev lo")
    assert watcher.seen() == ["vm.sock.lock"]
    assert not list(path.parent.iterdir())


def test_a_start_without_privilege_shows_no_file(host, watcher, path):
    assert_refused(run_to_end(host, path=path, way=Way("none", PREFIX, "alice", "alice")), ["no privilege"])
    assert watcher.seen() == []


def test_a_usage_error_shows_no_file(host, watcher, path):
    status, _, _ = run_to_end(host, "--start-address=10.0.0.1", path=path, way=SETUID_COPY)
    assert status == 1 and watcher.seen() == []


@ways(PRIVILEGED)
def test_a_host_without_tun_shows_no_file(host, watcher, path, way):
    before = snapshot.host_state(host)
    run("mount", "--bind", "/dev/null", "/dev/net/tun")
    try:
        assert_refused(run_to_end(host, path=path, way=way), ["TAP"])
    finally:
        run("umount", "/dev/net/tun")
    assert watcher.seen() == ["vm.sock.lock"] and not list(path.parent.iterdir())
    assert not snapshot.difference(before, snapshot.host_state(host))


def test_a_path_that_was_taken_meanwhile(held_lock, start, path):
    """By another program of the user's: its socket stays, and nothing else."""
    helper = start(path=path, way=SETUID_COPY, ready=False)
    assert wait_until(lambda: len(helper_processes()) == 2)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        os.chown(path, ALICE, ALICE)
        held_lock.stdin.close()
        assert helper.wait(20) == 1
        assert "cannot bind it" in helper.stderr() and helper.rest_of_stdout() == ""
        assert wait_for_no_helper() and list(path.parent.iterdir()) == [path]
    path.unlink()


def test_root_in_a_folder_of_another_users(start, folder):
    """Which its capabilities open: nobody but their owner may write to it."""
    os.chown(folder, ALICE, ALICE)
    folder.chmod(0o755)
    helper = start(path=folder / "vm.sock")
    assert (folder / "vm.sock").lstat().st_uid == 0
    helper.stop()
    assert not list(folder.iterdir())


class Limited:
    """A namespace where what is started may have that many threads of its user's."""

    def __init__(self, namespace, threads):
        self.namespace, self.threads = namespace, threads

    def __getattr__(self, name):
        return getattr(self.namespace, name)

    def prefix(self):
        return [*self.namespace.prefix(), "prlimit", f"--nproc={self.threads}"]


def test_a_user_without_threads_left_shows_no_file(host, watcher, path):
    """What fails last, when the process has become the user."""
    before = snapshot.host_state(host)
    assert_refused(run_to_end(Limited(host, 1), path=path, way=SETUID_COPY), ["thread"])
    assert watcher.seen() == ["vm.sock.lock"] and not list(path.parent.iterdir())
    assert wait_for_no_helper() and not snapshot.difference(before, snapshot.host_state(host))
