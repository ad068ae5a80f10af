"""What is measured, each a function that takes a started contestant and returns a round's metrics."""

import json
import os
import pathlib
import subprocess
import time

from contestants import TOOLS, CannotRun, Guest, in_namespace
from support.helper import status
from support.lab import CommandFailed, end
from support.measure import Start
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


def tcp_with_gro(contestant, seconds):
    """TCP to a guest that joins segments."""
    if not isinstance(contestant.guest, Guest):
        raise CannotRun("not the stand-in VM's device")
    contestant.guest.join_segments(True)
    try:
        return tcp(contestant, False, seconds)
    finally:
        contestant.guest.join_segments(False)


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
    return {"frames_per_s": received["rate"], "sent_per_s": sent["rate"]}, received["frames"]


def small_frames(cable, way, seconds):
    """The rate of 64-byte frames through a RawCable: no stand-in VM between, so that the contestant
    is the limit. `way`: vm, from the VM; flows, from it as many flows; device, to it, straight from the device's queue; flood or
    flood-segments, to it, from a UDP program."""
    fd = cable.vm.fileno()
    pipes = {"stdout": subprocess.PIPE, "stdin": subprocess.DEVNULL, "text": True}

    def in_host(*words):
        return cable.host.start(TOOLS / "small-frames", *words, **pipes)

    def as_vm(*words):
        return subprocess.Popen([str(word) for word in (TOOLS / "small-frames", *words)],
                                pass_fds=(fd,), **pipes)

    before = cpu_seconds(cable.pids)
    to_host = {"vm": "flood-socket", "flows": "flood-flows"}.get(way)
    receiver = in_host("sink", seconds) if to_host else as_vm("sink-socket", fd, seconds)
    time.sleep(0.1)
    length = seconds + 0.2
    if to_host:
        sender = as_vm(to_host, fd, length, cable.host_mac, cable.mac, cable.host4,
                       cable.guest4)
    elif way == "device":
        sender = in_host("flood-device", cable.device, length, cable.mac, cable.host_mac,
                         cable.guest4, cable.host4)
    else:
        sender = in_host(way, cable.guest4, length)
    metrics, frames = run_pair(receiver, sender, seconds)
    used = cpu_seconds(cable.pids) - before
    return {**metrics, "helper_cpu_us_per_frame": used * 1e6 / max(frames, 1)}


def vm_to_vm(contestant, seconds):
    """TCP from the contestant's guest to another on the same host."""
    guest, address, pids = contestant.another()
    try:
        serve(guest.namespace)
        account = Account(contestant, [*contestant.helper_pids(), *pids])
        answer = iperf3(contestant.guest.namespace, address, seconds)
        return transfer_metrics(answer, account)
    finally:
        contestant.close_others()


def start_helper(namespace):
    """A measured start (measure.Start) in the network namespace."""
    start = in_namespace(namespace, Start)
    if start.json is None:
        raise CannotRun("a helper did not start")
    return start


def start_alone(contestant):
    """A start beside the contestant's own VM."""
    start = start_helper(contestant.host)
    metrics = {"start_ms": start.milliseconds, "memory_mib": resident_mib(start.pids())}
    start.stop()
    return metrics


def many_clients(guests, target, seconds):
    """Aggregate metrics of a TCP stream from each guest to a server of its own."""
    clients = [guest.start("iperf3", "--json", "-c", target, "-p", PORT + 1 + number, "-t", seconds,
                           stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
               for number, guest in enumerate(guests)]
    answers = [json.loads(client.communicate(timeout=seconds + 60)[0]) for client in clients]
    ends = [answer["end"] for answer in answers if "error" not in answer]
    if len(ends) < len(guests):
        raise CommandFailed(f"{len(guests) - len(ends)} of {len(guests)} clients failed")
    return {"sum_received": {"bits_per_second": sum(e["sum_received"]["bits_per_second"]
                                                    for e in ends),
                             "bytes": sum(e["sum_received"]["bytes"] for e in ends)},
            "sum_sent": {"retransmits": sum(e["sum_sent"].get("retransmits", 0) for e in ends)}}
