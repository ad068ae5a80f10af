"""The VM's network: vmnet-helper by one of four connections.

    fd       a socketpair: one end for the helper, one for the VM
    socket   a socket of a name, made by the helper, which the VM connects to
    run      vmnet-run starts the helper, then the VM
    tap      the same with the TAP itself in the VM's hands instead of a socket (Linux)

All do the same: start() returns the helper's JSON, `nic` tells a driver what to connect to, start_vm()
starts the VM, stop() ends what is left.
"""

from __future__ import annotations

import json
import os
import pathlib
import platform
import selectors
import shutil
import socket
import stat
import subprocess
import sys
import time
from dataclasses import dataclass

from .interrupts import INTERRUPTS
from .machine import Machine
from .process import Running
from .report import INSTALLED, ROOT, Failure

# In the order of docs/integration.md: Homebrew's prefix on Apple silicon, on Intel, then the releases'.
PLACES = ["/opt/homebrew/opt/vmnet-helper/libexec", "/usr/local/opt/vmnet-helper/libexec",
          "/opt/vmnet-helper/bin"]
if INSTALLED:
    PLACES.append(str(ROOT.parents[1] / "bin"))
READY_SECONDS = 60
CONNECTIONS = ("fd", "socket", "run", "tap")
VM_FD = 4  # where vmnet-run's command finds its socket or TAP
SEND_BUFFER, RECEIVE_BUFFER = 1 << 20, 8 << 20


@dataclass(frozen=True)
class Nic:
    """The host's end of the VM's network card. `kind` is fd, socket or tap."""

    kind: str
    mac: str
    fd: int = -1
    path: pathlib.Path | None = None  # the helper's socket
    own_path: pathlib.Path | None = None  # the VM's
    offload: bool = False


def find_program(name: str) -> str:
    """VMNET_HELPER or VMNET_RUN, or where they are installed."""
    variable = name.upper().replace("-", "_")
    given = os.environ.get(variable)
    if given:
        if not os.access(given, os.X_OK):
            raise Failure(f"{variable}={given}: no such program")
        return str(pathlib.Path(given).absolute())
    found = next((f"{place}/{name}" for place in PLACES if os.access(f"{place}/{name}", os.X_OK)),
                 shutil.which(name))
    if not found:
        raise Failure(f"{name} is not installed: see docs/install.md, or set {variable}")
    return found


def require(kind: str) -> None:
    """Fails where the connection cannot be made here."""
    if kind == "tap" and not sys.platform.startswith("linux"):
        raise Failure("--connection tap: Linux only, macOS has no TAP; take fd, socket or run")
    find_program("vmnet-run" if kind in ("run", "tap") else "vmnet-helper")


def needs_sudo(helper: str) -> bool:
    """Whether the helper cannot get its privilege by itself."""
    if os.geteuid() == 0 or os.stat(helper).st_mode & stat.S_ISUID:
        return False
    if sys.platform == "darwin":
        return int(platform.mac_ver()[0].split(".")[0] or 0) < 26
    try:
        return not os.getxattr(helper, "security.capability")
    except OSError:
        return True


def read_line(running: Running, seconds: float) -> str:
    """The first line of a program's output, byte by byte: what follows is not ours to take."""
    output = running.process.stdout.fileno()
    line, deadline = b"", time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise Failure(f"{running.name} did not answer within {seconds:.0f} s")
            byte = os.read(output, 1)
            if not byte:
                return ""
            line += byte
    return line.decode()


def reason_in(log: pathlib.Path) -> str:
    """The helper's error in its log: the first ERROR line, or the last line of another program."""
    try:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines[-1:] or [""])[0]


def interface_of(running: Running) -> dict:
    line = read_line(running, READY_SECONDS)
    if not line:
        running.wait(5)
        reason = reason_in(running.log)
        # Who may use sudo in general, but has no rule for this, is refused --close-from (-C).
        if "sudo:" in reason and ("password" in reason or "-C option" in reason):
            reason += "; the sudoers rule is missing or you are not in its group, see docs/install.md"
        raise Failure(f"{running.name} failed: {reason or running.why()}")
    try:
        return json.loads(line)
    except ValueError:
        raise Failure(f"{running.name} printed '{line.strip()}', no JSON") from None


class Connection:
    """What the four have in common."""

    def __init__(self, machine: Machine, options: list[str], offload: bool):
        self.machine = machine
        self.options = options
        self.offload = offload
        self.helper: Running | None = None
        self.interface: dict = {}

    def launch(self, name: str, arguments: list[str], **options) -> dict:
        with INTERRUPTS.held():
            self.helper = Running(name, arguments, self.machine.path("helper.log"),
                                  stdout=subprocess.PIPE, cwd=self.machine.folder, **options)
            self.machine.note_process("helper", self.helper.pid)
        self.interface = interface_of(self.helper)
        return self.interface

    def helper_ended(self) -> bool:
        return self.helper is not None and self.helper.ended()

    def stop(self) -> None:
        if self.helper:
            self.helper.stop()


class HelperConnection(Connection):
    """The helper is the tool's child, and so is the VM."""

    def start_helper(self, where: list[str], highest_fd: int, pass_fds=()) -> dict:
        program = find_program("vmnet-helper")
        words = [program, *where, *self.options]
        if needs_sudo(program):
            if not shutil.which("sudo"):
                raise Failure(f"{program} has no privilege and there is no sudo: see docs/install.md")
            words = ["sudo", "--non-interactive", f"--close-from={highest_fd + 1}", *words]
        interface = self.launch("vmnet-helper", words, pass_fds=pass_fds)
        self.helper.process.stdout.close()
        self.helper.process.stdout = None
        return interface

    def start_program(self, arguments: list[str], pass_fds=()) -> Running:
        vm = Running("the VM", arguments, self.machine.path("driver.log"), pass_fds=pass_fds,
                     cwd=self.machine.folder)
        self.machine.note_process("vm", vm.pid)
        return vm


class FdConnection(HelperConnection):
    def start(self) -> dict:
        mine, self.vm_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with mine:
            self.vm_end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            self.vm_end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            fd = mine.fileno()
            return self.start_helper([f"--fd={fd}"], fd, [fd])

    def nic(self, mac: str) -> Nic:
        return Nic("fd", mac, fd=self.vm_end.fileno(), offload=self.offload)

    def start_vm(self, arguments: list[str]) -> Running:
        with self.vm_end:  # the VM's alone from now on
            return self.start_program(arguments, [self.vm_end.fileno()])

    def stop(self) -> None:
        if hasattr(self, "vm_end"):
            self.vm_end.close()
        super().stop()


class SocketConnection(HelperConnection):
    def start(self) -> dict:
        return self.start_helper(["--socket=vm.sock"], 2)

    def nic(self, mac: str) -> Nic:
        return Nic("socket", mac, path=self.machine.path("vm.sock"),
                   own_path=self.machine.path("driver.sock"), offload=self.offload)

    def start_vm(self, arguments: list[str]) -> Running:
        return self.start_program(arguments)


class RunConnection(Connection):
    """vmnet-run is the tool's child, helper and VM are vmnet-run's."""

    kind = "fd"
    extra: list[str] = []

    def start(self) -> dict:
        waiting = [sys.executable, str(pathlib.Path(__file__).with_name("exec_when_told.py")),
                   str(self.machine.path("driver.log"))]
        return self.launch("vmnet-run", [find_program("vmnet-run"), *self.extra, *self.options, "--",
                                         *waiting], stdin=subprocess.PIPE)

    def nic(self, mac: str) -> Nic:
        return Nic(self.kind, mac, fd=VM_FD, offload=self.offload)

    def start_vm(self, arguments: list[str]) -> Running:
        try:
            self.helper.process.stdin.write(json.dumps(arguments).encode() + b"\n")
            self.helper.process.stdin.close()
        except BrokenPipeError:
            raise Failure(f"vmnet-run ended: {reason_in(self.helper.log)}") from None
        return self.helper

    def helper_ended(self) -> bool:
        return False  # vmnet-run ends the VM then, and itself


class TapConnection(RunConnection):
    kind = "tap"
    extra = ["--tap"]


KINDS = {"fd": FdConnection, "socket": SocketConnection, "run": RunConnection, "tap": TapConnection}


def connection(kind: str, machine: Machine, options: list[str]) -> Connection:
    return KINDS[kind](machine, options, "--enable-tso" in options)
