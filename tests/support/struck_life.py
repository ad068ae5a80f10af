"""One life of a helper with one of its system calls struck: see at_call.cc."""

import re
import signal
import subprocess

import pytest

from support.installation import BUILD, ROOT
from support.lab import TIMEOUT

AT_CALL = BUILD / "src" / "at_call"
PROCESSES = ("worker", "keeper")


class Life:
    """One life with the call `number` of `process` struck by `action`."""

    def __init__(self, host, path, process, number, action):
        self.name = f"{action} at call {number} of the {PROCESSES[process]}"
        command = [*host.prefix(), AT_CALL, process, number, action, ROOT.helper(), "--socket", path]
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.line = self.process.stdout.readline()
        if self.line:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.err = self.process.communicate(timeout=TIMEOUT)[1].decode()
        except subprocess.TimeoutExpired:
            self.process.kill()
            pytest.fail(f"{self.name}: it hangs")
        self.status = self.process.returncode
        told = re.search(r"^at_call: (\d+|-) (\d+) (\d+)$", self.err, re.MULTILINE)
        self.call, self.counts = told[1], (int(told[2]), int(told[3]))
        self.name += f" (system call {self.call})"

    @property
    def struck(self):
        return self.call != "-"
