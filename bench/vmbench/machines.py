"""The machines of bench/vms: VMs of the example tool, or a peer's that run already; and what processors
they use, by /proc on Linux and ps elsewhere."""

import json
import os
import pathlib
import queue
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = REPOSITORY / "example"
NAMES = ("bench-one", "bench-two")  # of the VMs, before the driver's
INSTALL = ("command -v iperf3 || sudo sh -c 'apt-get update && apt-get install -y iperf3 || "
           "dnf install -y iperf3 || apk add iperf3'")


class Failure(Exception):
    """What ends a measurement, in one line."""


def vms_folder():
    """Where the example tool has its VMs."""
    return pathlib.Path(os.environ.get("VMNET_HOME", pathlib.Path.home() / ".vmnet-helper")) / "vms"


class ExampleVm:
    """A VM of the example tool, from its start to its end."""

    def __init__(self, name, options):
        self.name = name
        self.process = subprocess.Popen([str(EXAMPLE), name, *options], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                                        start_new_session=True)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        self.address = None

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip())
        self.lines.put(None)

    def ready(self):
        """Waits for the address; the tool itself ends a wait that is too long."""
        last = ""
        while (line := self.lines.get()) is not None:
            found = re.match(r"Virtual machine IP address: (\S+)", line)
            if found:
                self.address = found[1]
                return self
            last = line
            print(f"  {self.name}: {line}", flush=True)
        raise Failure(f"{self.name}: {last}")

    def shell(self, command, timeout):
        return run([str(EXAMPLE), "ssh", self.name, command], timeout)

    def pids(self):
        facts = json.loads((vms_folder() / self.name / "run.json").read_text())
        return [pid for pid, _ in facts["programs"].values()]

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(120)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGINT)
                self.process.wait()
        self.process.stdout.close()


class PeersVm:
    """A VM that somebody else started: SHELL runs a command in it, as `ssh user@host` does."""

    def __init__(self, shell, address):
        self.words = shlex.split(shell)
        self.name = address
        self.address = address

    def shell(self, command, timeout):
        return run([*self.words, command], timeout)

    def pids(self):
        return []

    def close(self):
        pass


def run(words, timeout):
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(f"{words[0]}: {error}") from None
    # iperf3 tells its errors in the JSON on standard output.
    if done.returncode != 0 and not done.stdout.startswith("{"):
        raise Failure(f"{' '.join(words[:3])}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def prepare(vm):
    """iperf3 in the VM, as a server in the background; one that is there already keeps the port."""
    vm.shell(f"({INSTALL}) > /dev/null 2>&1; iperf3 --server --daemon > /dev/null 2>&1; "
             "command -v iperf3", 900)


def delete_all():
    """Removes the VMs of earlier runs."""
    for name in sorted(path.name for start in NAMES for path in vms_folder().glob(f"{start}-*")):
        print(run([str(EXAMPLE), "delete", name], 120), end="")


def require_iperf3():
    if not shutil.which("iperf3"):
        raise Failure("iperf3 is not installed (apt-get install iperf3; brew install iperf3)")


# Processors

def process_table():
    """pid -> (parent, program's name)"""
    text = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,comm="], stdout=subprocess.PIPE, text=True,
                          check=True).stdout
    found = {}
    for line in text.splitlines():
        pid, parent, name = line.split(None, 2)
        found[int(pid)] = (int(parent), os.path.basename(name))
    return found


def descendants(pids, table):
    found = set(pids) & set(table)
    while True:
        more = {pid for pid, (parent, _) in table.items() if parent in found} - found
        if not more:
            return found
        found |= more


def processes_of(vms, peers):
    """The pids that count as helper and as VM. `peers` are a peer's programs that run by themselves."""
    table = process_table()
    own = descendants([pid for vm in vms for pid in vm.pids()], table)
    groups = {"helper": set(), "vm": set()}
    for pid in own:
        name = table[pid][1]
        if name.startswith("vmnet-helper"):
            groups["helper"].add(pid)
        elif name.startswith(("qemu", "vfkit", "krunkit")):
            groups["vm"].add(pid)
    groups["helper"] |= {pid for pid, (_, name) in table.items()
                         if any(name.startswith(peer[:15]) for peer in peers)}
    return groups


def cpu_seconds(pid):
    """What a process has used; 0 for one that has ended."""
    if sys.platform.startswith("linux"):
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    text = subprocess.run(["ps", "-o", "time=", "-p", str(pid)], stdout=subprocess.PIPE, text=True,
                          check=False).stdout.strip()
    return parse_time(text)


def parse_time(text):
    """Seconds of ps' [[dd-]hh:]mm:ss.cc."""
    days, _, clock = text.rpartition("-")
    seconds = 0.0
    for part in clock.split(":") if clock else []:
        seconds = seconds * 60 + float(part)
    return seconds + int(days or 0) * 24 * 3600


def machine_seconds():
    """What all processors have done, but for waiting; None where the system does not tell."""
    try:
        fields = pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    except FileNotFoundError:
        return None
    user, nice, system, _, _, irq, softirq = map(int, fields[:7])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


class Meter:
    """Processors in use between begin and end."""

    def __init__(self, groups):
        self.groups = groups
        self.begin = self.read()
        self.since = time.monotonic()

    def read(self):
        used = {name: sum(map(cpu_seconds, pids)) for name, pids in self.groups.items()}
        return {**used, "all": machine_seconds()}

    def end(self):
        seconds = time.monotonic() - self.since
        now = self.read()
        return {name: None if value is None or (name != "all" and not self.groups[name])
                else round((value - self.begin[name]) / seconds, 4) for name, value in now.items()}
