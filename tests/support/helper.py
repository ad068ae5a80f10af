"""Starts vmnet-helper the way a client does and watches it: JSON line, log, processes, end."""

import ctypes
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time

from support.installation import ROOT
from support.lab import TIMEOUT, WORK
from support.snapshot import wait_until

CLIENT_BUFFER = 1 << 20
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None)


class HelperFailed(AssertionError):
    """The helper did not do what the test asked of it; the text holds its log."""


def cable(namespace=None, kind=socket.SOCK_DGRAM, buffer=CLIENT_BUFFER):
    """A socketpair: the helper's end and the VM's. Made in the helper's network namespace, as a
    client beside it does: a socket keeps its namespace, and another one costs a capability more."""
    made = []

    def make():
        if namespace and LIBC.setns(namespace.descriptor(), CLONE_NEWNET) != 0:
            return
        made.extend(socket.socketpair(socket.AF_UNIX, kind))

    # A thread has a network namespace of its own; it ends with the thread.
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    helper_end, vm_end = made
    vm_end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    return helper_end, vm_end


def helper_processes():
    """Pids of all vmnet-helper processes of the lab, oldest first, zombies left out."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if (entry / "comm").read_text() == "vmnet-helper\n":
                if status(int(entry.name))["State"][0] != "Z":
                    found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError, NotADirectoryError):
            continue
    return sorted(found)


def status(pid, task=None):
    """/proc/PID/status (or one thread's) as a dict of strings."""
    where = f"/proc/{pid}/task/{task}/status" if task else f"/proc/{pid}/status"
    lines = pathlib.Path(where).read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def descendants(pid):
    """The pids below `pid`, nearest first."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    try:
        below = [int(word) for word in children.read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return below + [lower for child in below for lower in descendants(child)]


class Helper:
    """One vmnet-helper in a namespace; a context manager that always ends it.

    With neither `path` nor a --fd among the options a socketpair is made: `vm` is the VM's end.
    """

    def __init__(self, namespace, *options, way=ROOT, path=None, socket_kind=socket.SOCK_DGRAM,
                 environment=None, cwd=None, stdout=subprocess.PIPE, stderr=None, program=None,
                 bare=False, pass_fds=()):
        self.namespace = namespace
        self.way = way
        self.vm = None
        self.json = None
        self.log = tempfile.TemporaryFile(dir=WORK)
        words, fds = [str(option) for option in options], tuple(pass_fds)
        if path is not None:
            words += ["--socket", str(path)]
        elif not bare:
            helper_end, self.vm = cable(namespace, socket_kind)
            self.own_inode = os.fstat(helper_end.fileno()).st_ino
            fds += (helper_end.fileno(),)
            words += ["--fd", str(helper_end.fileno())]
        command = way.command(program or way.helper(), max(fds, default=2))
        self.command = [*namespace.prefix(), *command, *words]
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=stdout,
            stderr=self.log if stderr is None else stderr, pass_fds=fds, cwd=cwd,
            env={"PATH": os.environ["PATH"], **way.environment, **(environment or {})})
        if self.vm:
            helper_end.close()

    @property
    def pid(self):
        """The process a client knows: it was started, it takes the signals."""
        return self.process.pid

    def ready(self, timeout=TIMEOUT):
        """Waits for the JSON line and returns self; fails with the log where none comes."""
        if self.json:
            return self
        line = self.read_line(timeout)
        if not line:
            self.process.wait(TIMEOUT)
            raise HelperFailed(f"{' '.join(self.command)}\nended with status "
                               f"{self.process.returncode} without a line:\n{self.stderr()}")
        self.json = json.loads(line)
        return self

    def read_line(self, timeout):
        """The next line of standard output, or what came of it before its end."""
        deadline, line = time.monotonic() + timeout, b""
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise HelperFailed(f"no line within {timeout} s:\n{self.stderr()}")
            byte = os.read(self.process.stdout.fileno(), 1)
            if not byte:
                break
            line += byte
        return line.decode()

    def rest_of_stdout(self):
        """What standard output holds after its end."""
        return self.process.stdout.read().decode()

    def stderr(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def log_lines(self, *levels):
        """The log's lines, of the given levels where any is named."""
        return [line for line in self.stderr().splitlines()
                if not levels or line.split(" ", 1)[0] in levels]

    def worker(self):
        """The process that forwards: the started one, or below it where sudo started it."""
        if not self.way.sudo:
            return self.pid
        own = set(helper_processes())
        return next(pid for pid in descendants(self.pid) if pid in own)

    def keeper(self):
        """The process that cleans up: the worker's child."""
        own = set(helper_processes())
        return next(pid for pid in descendants(self.worker()) if pid in own)

    def send(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=TIMEOUT):
        """Waits for the end, keeper included, and returns the exit status."""
        result = self.process.wait(timeout)
        self.close_streams()
        return result

    def stop(self, number=signal.SIGTERM):
        """Ends the helper as a client does; anything but a clean end fails."""
        self.send(number)
        result = self.wait()
        if result != 0:
            raise HelperFailed(f"ended with status {result} on {number!r}:\n{self.stderr()}")
        return self

    def kill(self, *pids):
        """SIGKILL to the given processes (default: the started one), and waits for the latter."""
        for pid in pids or (self.pid,):
            os.kill(pid, signal.SIGKILL)
        if self.pid in (pids or (self.pid,)):
            self.process.wait(TIMEOUT)

    def close_streams(self):
        if self.vm:
            self.vm.close()

    def __enter__(self):
        return self.ready()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(TIMEOUT)
        self.close_streams()
        if self.process.stdout:
            self.process.stdout.close()


def run_to_end(namespace, *options, **arguments):
    """Runs a helper that is expected to end by itself: (status, stdout, stderr)."""
    helper = Helper(namespace, *options, **arguments)
    try:
        out = helper.process.communicate(timeout=TIMEOUT)[0]
        return helper.process.returncode, (out or b"").decode(), helper.stderr()
    finally:
        helper.__exit__()


def wait_for_no_helper(seconds=5.0):
    """Waits until no helper process is left (a keeper ends a moment after its worker)."""
    return wait_until(lambda: not helper_processes(), seconds)
