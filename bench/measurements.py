"""What is measured, each a function that takes a started contestant and returns a round's metrics."""

import json
import os
import pathlib
import statistics
import subprocess
import time

from contestants import CannotRun, TOOLS
from support.helper import status
from support.lab import CommandFailed, end
from support.snapshot import wait_until

TICKS = os.sysconf("SC_CLK_TCK")
PORT = 5201


def cpu_seconds(pids):
    """CPU time of the processes' threads so far, to the nanosecond (schedstat)."""
    total = 0
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def machine_seconds():
    """CPU time that the whole machine has spent so far: everything but idle and waiting."""
    words = pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    user, nice, system, _idle, _wait, irq, softirq, _steal = map(int, words)
    return (user + nice + system + irq + softirq) / TICKS


def resident_mib(pids):
    return sum(int(status(pid)["VmRSS"].split()[0]) for pid in pids) / 1024


def serve(namespace, port=PORT):
    """An iperf3 server that listens."""
    server = namespace.start("iperf3", "-s", "-p", port, stdout=subprocess.DEVNULL,
                             stdin=subprocess.DEVNULL)
    if not wait_until(lambda: f":{port} " in namespace.run("ss", "-ltn").stdout):
        raise CannotRun(f"iperf3 does not listen in {namespace.name}")
    return server


def serve_all(contestant):
    """The host's servers: iperf3, and what answers the round trips."""
    serve(contestant.host)
    contestant.host.start(TOOLS / "round-trip", "echo", stdout=subprocess.DEVNULL,
                          stdin=subprocess.DEVNULL)


def iperf3(namespace, target, seconds, *options):
    """A client's parsed answer."""
    words = ["iperf3", "--json", "--connect-timeout", "3000", "-c", target, "-t", seconds, *options]
    done = namespace.run(*words, timeout=seconds + 20, check=False)
    answer = json.loads(done.stdout or "{}")
    if done.returncode != 0 or "error" in answer:
        raise CommandFailed(f"{namespace.name}: {answer.get('error', done.stderr)}")
    return answer


class Account:
    """What a measurement cost: CPU time of the contestant and of everything, and losses."""

    def __init__(self, contestant, pids=None):
        self.contestant = contestant
        self.pids = contestant.helper_pids() if pids is None else pids
        self.lost = contestant.devices()
        self.helper, self.machine = cpu_seconds(self.pids), machine_seconds()

    def per_gigabyte(self, received):
        """The metrics of a transfer of that many bytes."""
        helper = cpu_seconds(self.pids) - self.helper
        machine = machine_seconds() - self.machine
        gigabytes = max(received, 1) / 1e9
        metrics = {"total_cpu_s_per_gb": machine / gigabytes,
                   "drops": self.contestant.devices() - self.lost}
        if self.pids:
            metrics["helper_cpu_s_per_gb"] = helper / gigabytes
        return metrics


def tcp(contestant, to_host, seconds, ipv6=False, streams=1):
    """TCP between the guest and its host; the guest connects, as all contestants allow that."""
    target = contestant.host6 if ipv6 else contestant.host4
    if target is None:
        raise CannotRun("no IPv6 to the host")
    account = Account(contestant)
    answer = iperf3(contestant.guest.namespace, target, seconds, "-P", streams,
                    *([] if to_host else ["-R"]))
    return transfer_metrics(answer, account)


def transfer_metrics(answer, account):
    received, sent = answer["end"]["sum_received"], answer["end"]["sum_sent"]
    return {"gbps": received["bits_per_second"] / 1e9,
            "retransmits": sent.get("retransmits", 0),
            **account.per_gigabyte(received["bytes"])}


def round_trip(contestant, seconds):
    done = contestant.guest.namespace.run(TOOLS / "round-trip", "ping", contestant.host4, seconds,
                                          timeout=seconds + 20)
    found = json.loads(done.stdout)
    return {"p50_us": found["p50"], "p99_us": found["p99"], "lost": found["lost"]}


def round_trip_under_load(contestant, seconds, to_host):
    """Round trips while a TCP stream fills the cable."""
    load = contestant.guest.namespace.start(
        "iperf3", "-c", contestant.host4, "-t", seconds + 5, *([] if to_host else ["-R"]),
        stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        return round_trip(contestant, seconds)
    finally:
        end(load)
        # The server takes the next client once it has noticed.
        time.sleep(0.3)


def run_pair(receiver, sender, seconds):
    """Both ends' last lines of JSON."""
    lines = [process.communicate(timeout=seconds + 20)[0] for process in (sender, receiver)]
    if not all(lines):
        raise CommandFailed("a generator of frames failed")
    sent, received = (json.loads(line) for line in lines)
    return {"frames_per_s": received["rate"], "sent_per_s": sent["rate"]}


class SmallFrames:
    """The rate of 64-byte frames through a contestant whose socket's end this program holds: no
    stand-in VM between, so that the contestant alone is the limit."""

    def __init__(self, host, vm, pids, host_side, guest_side):
        self.host, self.vm, self.pids = host, vm, pids
        self.host_address, self.host_mac = host_side
        self.guest_address, self.guest_mac = guest_side

    def start(self, namespace, *words, fds=()):
        tool = [TOOLS / "small-frames", *words]
        pipes = {"stdout": subprocess.PIPE, "stdin": subprocess.DEVNULL, "text": True,
                 "pass_fds": fds}
        if namespace is None:
            return subprocess.Popen(list(map(str, tool)), **pipes)
        return namespace.start(*tool, **pipes)

    def to_host(self, seconds):
        fd = self.vm.fileno()
        receiver = self.start(self.host, "sink", seconds)
        time.sleep(0.1)
        sender = self.start(None, "flood-socket", fd, seconds + 0.2, self.host_mac, self.guest_mac,
                            self.host_address, self.guest_address, fds=(fd,))
        return self.account(receiver, sender, seconds)

    def to_vm(self, seconds):
        fd = self.vm.fileno()
        receiver = self.start(None, "sink-socket", fd, seconds, fds=(fd,))
        time.sleep(0.1)
        sender = self.start(self.host, "flood", self.guest_address, seconds + 0.2)
        return self.account(receiver, sender, seconds)

    def account(self, receiver, sender, seconds):
        return run_pair(receiver, sender, seconds)


def start_of_helper(helper_class, *arguments):
    """Milliseconds from the start to the JSON line, and the helper."""
    begin = time.monotonic()
    helper = helper_class(*arguments).ready()
    return (time.monotonic() - begin) * 1000, helper


def median_of(values):
    return statistics.median(values)
