"""Programs that the tool runs: to their end, or beside it until they are stopped.

Everything is started from a list of arguments, never through a shell, and in a session of its own, so
that Control+C at the terminal reaches the tool alone and it decides the order of the end.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import subprocess
import time

from .report import Failure


def require(program: str, packages: str) -> str:
    """The program's path; a failure that says how to install it where there is none."""
    found = shutil.which(program)
    if not found:
        raise Failure(f"{program} is not installed ({packages})")
    return found


def run(arguments: list[str], doing: str, cwd: pathlib.Path | None = None) -> str:
    """Runs a program to its end and returns what it printed."""
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, errors="replace", cwd=cwd,
                          start_new_session=True, check=False)
    if done.returncode != 0:
        raise Failure(f"{doing}: {last_line(done.stderr) or f'status {done.returncode}'}")
    return done.stdout


def last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def last_line_of(path: pathlib.Path) -> str:
    try:
        return last_line(path.read_text(errors="replace"))
    except OSError:
        return ""


def start_time(pid: int) -> str:
    """When the process was started, in ps' words: with the pid it names one process for good. Empty
    for one that has ended."""
    done = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout.strip()


def children(pid: int) -> list[int]:
    done = subprocess.run(["pgrep", "-P", str(pid)], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=False)
    return [int(word) for word in done.stdout.split()]


def send(pid: int, number: int) -> None:
    """Signals the process. Behind sudo it is root's and out of reach: then its child, the user's."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        for child in children(pid):
            try:
                os.kill(child, number)
            except (ProcessLookupError, PermissionError):
                pass


class Running:
    """A program beside the tool, its output in a log file."""

    def __init__(self, name: str, arguments: list[str], log: pathlib.Path, **options):
        self.name = name
        self.log = log
        with open(log, "ab") as output:
            options.setdefault("stdout", output)
            options.setdefault("stdin", subprocess.DEVNULL)
            try:
                self.process = subprocess.Popen(arguments, stderr=output, start_new_session=True,
                                                **options)
            except OSError as error:
                raise Failure(f"{arguments[0]}: {error.strerror}") from None
        self.pid = self.process.pid

    def ended(self) -> bool:
        return self.process.poll() is not None

    def why(self) -> str:
        """How it ended, in words for the user."""
        status = self.process.returncode
        how = f"signal {-status}" if status < 0 else f"status {status}"
        said = last_line_of(self.log)
        return f"{how}: {said}" if said else how

    def wait(self, seconds: float) -> bool:
        try:
            self.process.wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            return False

    def stop(self, grace: float = 10.0) -> None:
        """SIGTERM, and SIGKILL where that does not help."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.ended():
                break
            send(self.pid, number)
            self.wait(grace)
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                try:
                    stream.close()
                except OSError:
                    pass


def end_stray(pid: int, started: str, grace: float = 10.0) -> None:
    """Ends a program that a killed run of the tool left behind, if it is still that program."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if start_time(pid) != started:
            return
        send(pid, number)
        deadline = time.monotonic() + grace
        while start_time(pid) == started and time.monotonic() < deadline:
            time.sleep(0.1)
