"""What a VM is, and what of it is on disk.

    ~/.vmnet-helper/               VMNET_HOME names another place
        cache/                     downloaded images
        vms/NAME/                  locked (flock) by the run of the VM
            vm.json                the settings, written last when the VM is created
            disk.qcow2 or disk.raw
            id_ed25519, host_key, known_hosts, seed.iso, efi-*
            run.json               while it runs: who runs it, its address
            console.log, helper.log, driver.log
"""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import re
import shutil
import uuid

from . import process
from .report import TOOL, Failure

SETTINGS = {"interface_id", "driver", "cpus", "memory", "user", "source", "distribution", "arch", "firmware",
            "disk_format"}
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


def home() -> pathlib.Path:
    given = os.environ.get("VMNET_HOME")
    try:
        return pathlib.Path(given).absolute() if given else pathlib.Path.home() / ".vmnet-helper"
    except RuntimeError:
        raise Failure("no home folder is known: set HOME, or VMNET_HOME to where VMs are to be") from None


def check_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise Failure(f"name '{name}': a VM's name is a host name: letters, digits and '-', at most 63")
    return name


def write_json(path: pathlib.Path, content: dict) -> None:
    """Whole or not at all."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(content, indent=2) + "\n")
    fresh.replace(path)


def read_json(path: pathlib.Path) -> dict:
    """Empty where there is none, or none that can be read: a machine that lost its power cuts files."""
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


class Machine:
    """A VM of a name. `settings` are empty until it has been created; a folder without them is of one
    that is being created, or whose creation was killed."""

    def __init__(self, name: str):
        self.name = check_name(name)
        self.folder = home() / "vms" / name
        self.lock = -1
        self.load()

    def load(self) -> None:
        path = self.path("vm.json")
        self.settings = read_json(path)
        self.damaged = path.exists() and not SETTINGS <= self.settings.keys()
        if self.damaged:
            self.settings = {}

    def exists(self) -> bool:
        return bool(self.settings)

    def whole(self) -> Machine:
        if self.damaged:
            raise Failure(f"{self.path('vm.json')} is damaged; '{TOOL} delete {self.name}' removes "
                          "the VM")
        return self

    def require(self) -> Machine:
        if not self.folder.is_dir():
            raise Failure(f"there is no VM '{self.name}'; '{TOOL} list' shows those there are")
        return self

    def path(self, name: str) -> pathlib.Path:
        return self.folder / name

    def disk(self) -> pathlib.Path:
        return self.path(f"disk.{self.settings['disk_format']}")

    def interface_id(self) -> str:
        return self.settings["interface_id"]

    def new_settings(self, **settings) -> None:
        """Settings of a VM that is being created; save() makes it exist."""
        self.settings = {"interface_id": str(uuid.uuid4()), **settings}

    def save(self) -> None:
        write_json(self.path("vm.json"), self.settings)

    # The lock: one run a VM

    def take(self, make: bool = False) -> bool:
        """Locks the folder until this process ends; false where another run has it."""
        if make:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self.lock = os.open(self.folder, os.O_RDONLY)
        except FileNotFoundError:
            return True  # there is nothing to hold
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            return False
        # Another run may have created, changed or deleted it before the lock was ours.
        if make and not self.is_still_here():
            self.release()
            return self.take(make)
        self.load()
        if make:
            self.whole()
        return True

    def is_still_here(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self.lock), os.stat(self.folder))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1

    def is_running(self) -> bool:
        running = not self.take()
        self.release()
        return running

    # The run

    def run_state(self) -> dict:
        return read_json(self.path("run.json"))

    def note_run(self, **facts) -> None:
        """Adds to what others may know of this run."""
        write_json(self.path("run.json"), {**self.run_state(), **facts})

    def note_process(self, name: str, pid: int) -> None:
        programs = self.run_state().get("programs", {})
        self.note_run(programs={**programs, name: [pid, process.start_time(pid)]})

    def forget_run(self) -> None:
        for pattern in ("run.json", "run.new", "seed.iso", "vm.sock*", "driver.sock", "control.sock"):
            for path in self.folder.glob(pattern):
                path.unlink(missing_ok=True)

    def left_running(self) -> list[tuple[str, int, str]]:
        """Programs (name, pid, start time) of a run that was killed; with nobody holding the lock."""
        programs = self.run_state().get("programs", {})
        return [(name, pid, start) for name, (pid, start) in programs.items()
                if start and process.start_time(pid) == start]

    def clean_after_crash(self) -> bool:
        """Ends what a run that was killed left; with the lock held. The VM first, then its helper."""
        left = self.left_running()
        for _, pid, start in sorted(left, key=lambda program: program[0] == "helper"):
            process.end_stray(pid, start)
        self.forget_run()
        return bool(left)

    def delete(self, wholly: bool = False) -> None:
        """`wholly`: fails, with the system's reason, where something cannot be removed."""
        shutil.rmtree(self.folder, ignore_errors=not wholly)


def all_machines() -> list[Machine]:
    return [Machine(folder.name) for folder in sorted((home() / "vms").glob("*"))
            if folder.is_dir() and NAME.fullmatch(folder.name)]
