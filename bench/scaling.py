"""1 to 64 VMs on one host: what all of them carry together, and what a start costs beside them."""

import statistics
import subprocess
import time

import measurements
from contestants import TOOLS, Guest, Loop, Ours, make_host
from measurements import many_clients, resident_mib, serve, start_helper
from results import BESIDE, BESIDE_NAME

TITLE = "scaling, {} VMs, tcp vm→host"
BESIDE_SIZES = (0, 7, 31, 63)


class Group:
    """A host to which VMs are added; the host serves each of them on a port of its own."""

    def __init__(self, key):
        self.host = make_host(key)
        self.guests = []
        self.pids = []

    def add(self, guest, pids):
        self.guests.append(guest)
        self.pids += pids
        serve(self.host, measurements.PORT + len(self.guests))

    def transfer(self, target, seconds):
        helper, machine = measurements.cpu_seconds(self.pids), measurements.machine_seconds()
        sums = many_clients([guest.namespace for guest in self.guests], target, seconds)
        gigabytes = sums["sum_received"]["bytes"] / 1e9
        return {"gbps": sums["sum_received"]["bits_per_second"] / 1e9,
                "retransmits": sums["sum_sent"]["retransmits"],
                "helper_cpu_s_per_gb": (measurements.cpu_seconds(self.pids) - helper) / gigabytes,
                "total_cpu_s_per_gb": (measurements.machine_seconds() - machine) / gigabytes}

    def close(self):
        for guest in self.guests:
            guest.close()
        self.host.close()


class OurGroup(Group):
    """A helper a VM."""

    def __init__(self):
        super().__init__("manyours")
        self.starts = []

    def grow(self, size):
        """Adds VMs until there are `size`; the metrics of their starts."""
        new = [start_helper(self.host) for _ in range(size - len(self.starts))]
        if not new:  # a further round
            return {}
        self.starts += new
        for start in new:
            guest = Guest(f"manyours{len(self.guests)}", ["--fd", start.vm.fileno()],
                          mac=start.json["vmnet_mac_address"], fds=(start.vm.fileno(),))
            guest.use(f"{start.json['ip_address']}/24")
            self.add(guest, start.pids())
        return {"start_ms": statistics.median(start.milliseconds for start in new),
                "memory_mib": resident_mib(self.pids) / len(self.starts)}

    def target(self):
        return self.starts[0].json["vmnet_start_address"]

    def close(self):
        for start in self.starts:
            start.stop()
        super().close()


class LoopGroup(Group):
    """A one-frame loop a VM."""

    def __init__(self):
        super().__init__("manyloop")
        self.loop = Loop("one-frame loop", "manyloop", "one-frame-loop")
        self.loop.host = self.host
        self.loop.make_bridge()

    def grow(self, size):
        while len(self.guests) < size:
            guest, _, pids = self.loop.another()
            self.add(guest, pids)
        return {"memory_mib": resident_mib(self.pids) / len(self.guests)}

    def target(self):
        return self.loop.host4

    def close(self):
        self.loop.close_others()
        self.host.close()


class Beside:
    """One VM at a time beside others of its network, which are there and do nothing."""

    def __init__(self):
        self.ours = Ours("ours", "beside")
        self.ours.host = make_host("beside")
        self.ours.host.start(TOOLS / "round-trip", "echo", stdout=subprocess.DEVNULL,
                             stdin=subprocess.DEVNULL)
        self.others = []

    def grow(self, size):
        while len(self.others) < size:
            self.others.append(start_helper(self.ours.host))

    def sample(self, seconds):
        """What one VM's frame, round trip, start and end cost."""
        start = start_helper(self.ours.host)
        self.ours.host4 = start.json["vmnet_start_address"]
        begin = time.monotonic()
        start.stop()
        metrics = {"start_ms": start.milliseconds, "end_ms": (time.monotonic() - begin) * 1000}
        try:
            self.ours.guest = self.ours.another()[0]
            metrics |= measurements.round_trip(self.ours, seconds / 2)
            self.ours.close_others()
            cable = self.ours.raw_cable()
            time.sleep(0.3)  # until the others have seen who went
            metrics |= measurements.small_frames(cable, "flows", seconds / 2)
            cable.forget()
            return metrics
        finally:
            self.ours.close_others()

    def close(self):
        for start in self.others:
            start.stop()
        self.ours.host.close()


def run_beside_phase(run, sizes):
    if not run.wants(BESIDE):
        return
    run.say(f"== {BESIDE}")
    beside = Beside()
    try:
        for size in sizes:
            beside.grow(size)
            for _ in range(run.rounds):
                run.take(BESIDE, BESIDE_NAME.format(size), lambda: beside.sample(run.seconds))
    finally:
        beside.close()


def run_phase(run, sizes):
    if not any(run.wants(TITLE.format(size)) for size in sizes):
        return
    groups = {"ours": OurGroup(), "one-frame loop": LoopGroup()}
    try:
        for size in sizes:
            title = TITLE.format(size)
            run.say(f"== {title}")
            for _ in range(max(1, run.rounds // 2)):
                for name, group in groups.items():
                    run.take(title, name, lambda one=group, many=size: {
                        **one.grow(many), **one.transfer(one.target(), run.seconds)})
    finally:
        for group in groups.values():
            group.close()
