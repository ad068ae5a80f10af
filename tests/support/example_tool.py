"""The example tool (./example) as alice of the lab uses it."""

import json
import os
import pathlib
import queue
import re
import signal
import subprocess
import threading
import time

from support.helper import wait_for_no_helper
from support.installation import PREFIX
from support.lab import REPOSITORY, TIMEOUT, run
from support.snapshot import wait_until
from support.vm import accelerator

EXAMPLE = REPOSITORY / "example"
SMALL_IMAGE = REPOSITORY / "build" / "vm" / "disk.img"
START_SECONDS = 100  # an emulated processor on a loaded machine
ADDRESS = re.compile(r"Virtual machine IP address: (\S+)$")


class Run:
    """A started `./example NAME`; its lines are read as they come."""

    def __init__(self, command, env):
        self.process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                                        env=env)
        self.lines = []
        self.fresh = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.fresh.put(line.rstrip("\n"))
        self.fresh.put(None)

    def wait_for(self, pattern, seconds=START_SECONDS):
        """Waits for a line that matches and returns the match."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self.fresh.get(timeout=max(0.001, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {pattern!r} in time:\n{self.text()}") from None
            if line is None:
                raise AssertionError(f"ended without {pattern!r}:\n{self.text()}")
            self.lines.append(line)
            found = re.search(pattern, line)
            if found:
                return found

    def address(self, seconds=START_SECONDS):
        return self.wait_for(ADDRESS, seconds)[1]

    def interrupt(self, number=signal.SIGINT):
        self.process.send_signal(number)

    def wait(self, seconds=START_SECONDS):
        """The exit status, all lines read."""
        status = self.process.wait(seconds)
        while (line := self.fresh.get(timeout=TIMEOUT)) is not None:
            self.lines.append(line)
        self.process.stdout.close()
        return status

    def text(self):
        return "\n".join(self.lines)


class Tool:
    """The tool in the namespace `host`, its VMs in `home`."""

    def __init__(self, host, home, user="alice", **environment):
        self.host = host
        self.home = home
        self.user = user
        self.env = {"HOME": str(home.parent), "PATH": "/usr/bin:/bin:/usr/sbin", "LC_ALL": "C.UTF-8",
                    "PYTHONDONTWRITEBYTECODE": "1", "VMNET_HOME": str(home),
                    "VMNET_HELPER": f"{PREFIX}/bin/vmnet-helper", "VMNET_RUN": f"{PREFIX}/bin/vmnet-run",
                    **environment}
        self.runs = []

    def command(self, *words, environment=None):
        """`environment` counts for the tool alone, not for what leads to it."""
        variables = [f"{name}={value}" for name, value in (environment or {}).items()]
        return [*self.host.prefix(self.user), "/usr/bin/env", *variables, str(EXAMPLE),
                *map(str, words)]

    def run(self, *words, check=True, timeout=START_SECONDS, **environment):
        """Runs a command of the tool to its end."""
        return run(*self.command(*words, environment=environment), check=check, timeout=timeout,
                   env=self.env)

    def fail(self, *words, **options):
        """A command that must fail as all do: status 1, one line, no traceback. Returns the line."""
        done = self.run(*words, check=False, **options)
        assert done.returncode == 1, f"{done.stdout}{done.stderr}"
        lines = done.stderr.splitlines()
        assert len(lines) == 1 and lines[0].startswith("example: "), done.stderr
        return lines[0].removeprefix("example: ")

    def start(self, *words, **environment):
        # What the tool takes by itself may hang and be started again, which is no test's subject here.
        if "--driver" not in words:
            words = (*words, "--accel", accelerator())
        started = Run(self.command(*words, environment=environment), self.env)
        self.runs.append(started)
        return started

    def start_small(self, name, *words, image=SMALL_IMAGE, **environment):
        """Starts a VM of the small disk, created where it is not there."""
        return self.start(name, "--image", image, "--memory", "256M", "--cpus", "1", "--disk-size",
                          "64M", *words, **environment)

    def settings(self, name):
        return json.loads((self.home / "vms" / name / "vm.json").read_text())

    def programs(self, name):
        """name -> pid of what a run has started."""
        state = json.loads((self.home / "vms" / name / "run.json").read_text())
        return {program: pid for program, (pid, _) in state["programs"].items()}

    def files(self, name):
        return {path.name for path in (self.home / "vms" / name).iterdir()}

    def close(self):
        for started in self.runs:
            if started.process.poll() is None:
                started.process.send_signal(signal.SIGTERM)
                time.sleep(0.3)
                started.process.send_signal(signal.SIGTERM)
                started.wait()


def alive(pid):
    return os.path.exists(f"/proc/{pid}")


def nothing_runs(programs=()):
    return wait_until(lambda: not any(map(alive, programs)), 10) and wait_for_no_helper()


def readable_copy(path, folder: pathlib.Path):
    """A file where alice can read it."""
    target = folder / pathlib.Path(path).name
    target.write_bytes(pathlib.Path(path).read_bytes())
    os.chmod(target, 0o644)
    return target
