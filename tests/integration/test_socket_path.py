"""--socket: files and their rights, greeting, clients that come and go."""

import os
import pathlib
import socket
import stat
import subprocess
import sys
import time

import pytest

from support.checks import assert_refused
from support.guest import Guest
from support.helper import Helper, helper_processes, run_to_end, wait_for_no_helper
from support.installation import CAPABLE_COPY, ROOT, SETUID_COPY, SUDO
from support.lab import INTERNET, PYTHON, as_user, end, run
from support.snapshot import wait_until

ALICE = 47001


class Client:
    """A VM that binds a path of its own and connects, as vfkit, QEMU and Go clients do."""

    def __init__(self, path, number=0, greeting=b"VFKT"):
        self.own = pathlib.Path(f"{path}.client{number}")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.socket.bind(str(self.own))
        self.own.chmod(0o777)
        # Until the helper has seen that the last client went, the kernel refuses the next.
        deadline = time.monotonic() + 3
        while True:
            try:
                self.socket.connect(str(path))
                break
            except PermissionError:
                if time.monotonic() > deadline:
                    self.close()
                    raise
                time.sleep(0.02)
        if greeting:
            self.socket.send(greeting)

    def close(self):
        self.socket.close()
        self.own.unlink(missing_ok=True)


@pytest.fixture
def client():
    """client(path, number): a Guest on a new client's socket."""
    made = []

    def connect(path, mac="02:00:00:00:00:01", **arguments):
        one = Client(path, len(made), **arguments)
        made.append(one)
        guest = Guest(one.socket, mac)
        guest.client = one
        return guest

    yield connect
    for one in made:
        one.close()


@pytest.fixture
def path(folder):
    return folder / "vm.sock"


@pytest.mark.parametrize("way", [ROOT, SUDO, SETUID_COPY, CAPABLE_COPY], ids=lambda way: way.name)
def test_files(start, path, way):
    """Both exist when the line is read, are the user's, and are gone at the end."""
    helper = start(path=path, way=way)
    lock = pathlib.Path(f"{path}.lock")
    owner = ALICE if way.user == "alice" else 0
    status = path.lstat()
    assert stat.S_ISSOCK(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_uid == owner and lock.lstat().st_uid == owner
    helper.stop()
    assert not path.exists() and not lock.exists()


@pytest.mark.parametrize("greeting", [b"VFKT", b"", b"x", b"thirteen byte", None])
def test_greeting(start, client, path, greeting):
    start(path=path)
    guest = client(path, greeting=greeting)
    guest.dhcp()
    guest.ping(INTERNET.web)


def test_first_frame_is_not_lost(start, client, path):
    """Without a greeting the first datagram is a real frame: it is answered, not only counted."""
    helper = start(path=path)
    guest = client(path, greeting=None)
    guest.ip = helper.json["ip_address"]
    guest.arp(helper.json["vmnet_start_address"], timeout=1)


def test_connect_right_after_the_line(host, client, path):
    for _ in range(5):
        with Helper(host, path=path) as helper:
            guest = client(path)
            guest.dhcp()
            guest.client.close()
            helper.stop()


def test_other_clients_are_refused_while_one_lives(start, client, path):
    start(path=path)
    first = client(path)
    first.dhcp()
    with pytest.raises(PermissionError):
        client(path, mac="02:00:00:00:00:02")
    first.ping(INTERNET.web)


def test_next_client_is_served(start, client, path):
    start(path=path)
    for number in range(5):
        guest = client(path, mac=f"02:00:00:00:00:{number:02x}")
        deadline = time.monotonic() + 3
        while True:
            try:
                guest.dhcp_exchange("discover", timeout=0.2)
                break
            except (AssertionError, OSError):
                assert time.monotonic() < deadline, "the next client is not served within 3 s"
        guest.dhcp()
        guest.client.close()
        time.sleep(0.3 if number % 2 else 2.2)


@pytest.mark.slow
def test_hundred_restarts_of_the_vm(start, client, path):
    """Traffic within a second of each restart, the second client sending until it is heard."""
    helper = start(path=path)
    for number in range(100):
        guest = client(path, mac=f"02:00:00:00:01:{number:02x}")
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            try:
                guest.dhcp_exchange("discover", timeout=0.1)
                break
            except (AssertionError, OSError):
                time.sleep(0.02)
        else:
            raise AssertionError(f"client {number} was not served")
        guest.client.close()
    assert helper.process.poll() is None


def test_same_client_path_reconnects(start, path):
    """A restarted VM binds the same path again."""
    start(path=path)
    for _ in range(3):
        one = Client(path)
        guest = Guest(one.socket, "02:00:00:00:00:01")
        deadline = time.monotonic() + 3
        while True:
            try:
                guest.dhcp_exchange("discover", timeout=0.2)
                break
            except (AssertionError, OSError):
                assert time.monotonic() < deadline
        one.close()


def test_helper_outlives_its_client(start, client, path):
    helper = start(path=path)
    guest = client(path)
    guest.dhcp()
    guest.client.close()
    time.sleep(2.5)
    assert helper.process.poll() is None
    helper.stop()


def test_relative_path(start, client, folder):
    helper = start(path="here.sock", cwd=folder)
    assert (folder / "here.sock").exists()
    guest = client(folder / "here.sock")
    guest.dhcp()
    guest.client.close()
    helper.stop()
    assert not list(folder.iterdir())


def test_users_private_folder(start, client, alice_folder):
    helper = start(path=alice_folder / "vm.sock", way=SETUID_COPY)
    guest = client(alice_folder / "vm.sock")
    guest.dhcp()
    guest.client.close()
    helper.stop()
    assert not list(alice_folder.iterdir())


def test_client_with_a_relative_path(start, folder):
    """The helper answers a client bound to a relative path of the folder it was started in."""
    start(path=folder / "vm.sock", cwd=folder)
    code = ("import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM);"
            "s.bind('client.sock'); s.connect('vm.sock'); s.settimeout(3);"
            "s.send(bytes.fromhex('ffffffffffff020000000001080600010800060400010200000000010a000001"
            "000000000000c0a84001')); print(len(s.recv(2000)))")
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True,
                          text=True, timeout=20)
    assert done.returncode == 0, done.stderr


def test_second_helper_on_the_path_is_refused(host, start, client, path):
    start(path=path)
    assert_refused(run_to_end(host, path=path), [str(path)])
    client(path).dhcp()


def test_parallel_starts_have_one_winner(host, path):
    for _ in range(5):
        helpers = [Helper(host, path=path, way=SETUID_COPY) for _ in range(6)]
        lines = [helper.read_line(20) for helper in helpers]
        winners = [helper for helper, line in zip(helpers, lines) if line]
        for helper in helpers:
            if helper not in winners:
                assert helper.wait() == 1
        assert len(winners) == 1, [helper.stderr() for helper in helpers]
        winners[0].stop()
        for helper in helpers:
            helper.__exit__()
        assert not list(path.parent.iterdir())


@pytest.mark.parametrize("way", [ROOT, SETUID_COPY], ids=lambda way: way.name)
def test_own_stale_socket_is_replaced(host, start, client, path, way):
    """After a kill of everything the next helper takes the path over."""
    helper = start(path=path, way=way)
    helper.kill(*helper_processes())
    helper.process.wait(10)
    assert wait_for_no_helper()  # the lock goes with the last of them
    assert path.exists()
    start(path=path, way=way)
    client(path).dhcp()


def test_what_is_not_a_stale_socket_is_left_alone(host, path):
    makers = {
        "file": lambda: path.write_text("precious"),
        "folder": path.mkdir,
        "symlink": lambda: path.symlink_to("/run/lab/target"),
        "dangling symlink": lambda: path.symlink_to("nowhere"),
        "fifo": lambda: os.mkfifo(path),
    }
    for name, make in makers.items():
        make()
        before = path.lstat()
        assert_refused(run_to_end(host, path=path, way=SETUID_COPY), [str(path)])
        assert path.lstat() == before, name
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def test_living_socket_of_another_program_is_left_alone(host, path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        os.chown(path, ALICE, ALICE)
        assert_refused(run_to_end(host, path=path, way=SETUID_COPY), [str(path)])
        assert path.exists()
    path.unlink()


def test_lock_file_of_another_user(host, alice_folder):
    """A lock that the user cannot open is an error, not a way around."""
    alice_folder.chmod(0o1777)
    lock = alice_folder / "vm.sock.lock"
    lock.touch(0o600)
    assert_refused(run_to_end(host, path=alice_folder / "vm.sock", way=SETUID_COPY))
    assert lock.exists()


def test_unreachable_client_is_named(start, folder):
    """Its relative path starts elsewhere: the helper cannot answer, and says whom and why."""
    (folder / "elsewhere").mkdir()
    helper = start(path=folder / "vm.sock", cwd=folder)
    code = (f"import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM);"
            f"s.bind('own.sock'); s.connect('{folder}/vm.sock'); s.send(b'VFKT')")
    run(PYTHON, "-c", code, cwd=folder / "elsewhere")
    assert wait_until(lambda: helper.log_lines("WARN"))
    assert "cannot connect back to client 'own.sock': No such file" in helper.stderr()


def test_other_users_datagrams_are_dropped(start, folder, client):
    """The folder is open to all, and the mode was widened by its owner: still only she is served."""
    path = folder / "vm.sock"
    helper = start(path=path, way=SETUID_COPY)
    path.chmod(0o777)
    code = ("import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM);"
            "s.bind('/tmp/mallory.sock'); s.connect(sys.argv[1]); s.settimeout(1)\n"
            "for _ in range(3): s.send(bytes.fromhex(sys.argv[2]))\n"
            "try: print(len(s.recv(2000)))\n"
            "except TimeoutError: print('nothing')")
    who_has = ("ffffffffffff020000000001080600010800060400010200000000010a000001000000000000"
               "c0a84001")
    done = subprocess.run([*as_user("mallory"), "/usr/bin/python3", "-c", code, str(path), who_has],
                          capture_output=True, text=True, timeout=20)
    os.unlink("/tmp/mallory.sock")
    assert done.stdout == "nothing\n", done.stderr
    guest = client(path)
    guest.dhcp()
    helper.stop()


@pytest.mark.slow
def test_mode_and_owner_from_birth(host, path):
    """A watcher that looks all the time never sees another mode or owner."""
    watcher = subprocess.Popen([sys.executable, "-c",
                                "import os, sys\n"
                                "seen = set()\n"
                                "print('ready', flush=True)\n"
                                "while not os.path.exists(sys.argv[1] + '.stop'):\n"
                                "    try: s = os.lstat(sys.argv[1]); seen.add((s.st_mode & 0o777,"
                                " s.st_uid))\n"
                                "    except OSError: pass\n"
                                "print(sorted(seen))", str(path)], stdout=subprocess.PIPE,
                               text=True)
    watcher.stdout.readline()
    for _ in range(50):
        with Helper(host, path=path, way=SETUID_COPY) as helper:
            helper.stop()
    pathlib.Path(f"{path}.stop").touch()
    assert watcher.communicate(timeout=10)[0] == f"[({0o600}, {ALICE})]\n"


def test_path_with_odd_characters(start, client, folder):
    path = folder / 'q"uote \n\x1b[31m.sock'
    helper = start("--verbose", path=path)
    client(path).dhcp()
    helper.stop()
    assert "\x1b" not in helper.stderr()
    for line in helper.stderr().splitlines():
        assert line.split(" ")[0] in ("DEBUG", "INFO", "WARN", "ERROR"), line


def test_longest_path(start, client, folder):
    room = 107 - len(str(folder)) - 1 - len(".lock")
    path = folder / ("x" * room)
    helper = start(path=path)
    assert path.exists()
    helper.stop()
    assert wait_until(lambda: not list(folder.iterdir()))
