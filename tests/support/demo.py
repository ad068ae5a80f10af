"""The demo: two real VMs on one shared network, started by an unprivileged user.

Run inside enter_lab by scripts/demo. Prints a line for each step as it happens, then a table of
what worked with times; the exit status is 1 if anything did not.
"""

import json
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from support import installation, snapshot  # noqa: E402
from support.helper import helper_processes, status  # noqa: E402
from support.lab import INTERNET, UPLINK_ADDRESS, UPLINK_ADDRESS6, Lab, run  # noqa: E402
from support.vm import VirtualMachine, accelerator  # noqa: E402

IPERF_SECONDS = 2
MACS = {"vm1": "0e:76:6d:00:00:01", "vm2": "0e:76:6d:00:00:02"}


class Journal:
    """Prints progress and remembers it for the table."""

    def __init__(self):
        self.begin = time.monotonic()
        self.rows = {}  # step -> {vm: cell}
        self.failed = 0

    def step(self, vm, name, action):
        """Runs one step; `action` returns what to show and raises AssertionError on failure."""
        start = time.monotonic()
        try:
            shown, worked = action(), True
        except (AssertionError, subprocess.TimeoutExpired) as error:
            shown, worked = str(error), False
            self.failed += 1
        took = time.monotonic() - start
        print(f"{time.monotonic() - self.begin:6.1f} s  {'ok  ' if worked else 'FAIL'}  {vm:4} "
              f"{name}: {shown}", flush=True)
        self.rows.setdefault(name, {})[vm] = f"{took:.2f} s" if worked else "FAILED"
        return worked

    def table(self):
        columns = [*MACS, "host"]
        print(f"\n{'step':34}" + "".join(f"{column:>12}" for column in columns))
        for name, cells in self.rows.items():
            print(f"{name:34}" + "".join(f"{cells.get(column, ''):>12}" for column in columns))
        verdict = f"{self.failed} steps failed" if self.failed else "all steps worked"
        print(f"\n{verdict}, {time.monotonic() - self.begin:.0f} s, "
              f"VMs on {'KVM' if accelerator() == 'kvm' else 'an emulated processor (no KVM)'}")


def need(answer):
    """The output of a command in the VM; it must have worked."""
    assert answer, f"status {answer.status}: {answer.output}"
    return answer.output.strip()


def check_unprivileged(vm):
    """QEMU and the helper that serves it belong to the user and hold no capability."""
    user = int(run("id", "-u", vm.way.user).stdout)
    tree = snapshot.processes()
    helpers = helper_processes()
    # A keeper is a worker's child.
    workers = [pid for pid in helpers if int(status(pid)["PPid"]) not in helpers]
    workers = [pid for pid in workers if status(pid)["Uid"].split()[0] == str(user)]
    machines = [pid for pid, command in tree.items() if command.startswith("qemu-system")]
    assert workers and machines, "no process of the user found"
    for pid in workers + machines:
        held = status(pid)
        assert held["Uid"].split() == [str(user)] * 4, f"{tree[pid]}: uids {held['Uid']}"
        assert int(held["CapEff"], 16) == int(held["CapPrm"], 16) == 0, f"{tree[pid]}: capabilities"
    return f"QEMU and helper run as {vm.way.user}, without capabilities"


def take_lease(vm):
    need(vm.run("ip link set eth0 up"))
    told = need(vm.run("udhcpc -i eth0 -s /udhcpc -n -q -f -t 10 -T 1"))
    lease = next(line for line in told.splitlines() if line.startswith("lease "))
    address = vm.interface()["ip_address"]
    assert lease.startswith(f"lease {address}/"), f"{lease}, but the helper promised {address}"
    return lease.removeprefix("lease ")


def take_ipv6_address(vm):
    """The VM's kernel makes it from the router advertisement that answers its solicitation."""
    need(vm.run("tries=100; until ip -6 route | grep -q ^default; do"
                " tries=$((tries - 1)); [ $tries -gt 0 ] || exit 1; usleep 100000; done"))
    told = need(vm.run("ip -6 addr show dev eth0 scope global"))
    address = next(word for word in told.split() if "/" in word)
    assert address.startswith(vm.interface()["vmnet_nat66_prefix"].removesuffix(":")), told
    return address


def resolve(vm):
    found = need(vm.run(f"nslookup {INTERNET.name}"))
    assert INTERNET.web in found and INTERNET.web6 in found, found
    return f"{INTERNET.name} is {INTERNET.web} and {INTERNET.web6}"


def fetch(vm, url, source):
    page = need(vm.run(f"timeout 10 wget -q -O - {url}"))
    assert page == f"hello from the internet, {source}", page
    return f"{url} sees us as {source}"


def ping(vm, target):
    need(vm.run(f"ping -c 1 -W 5 {target}"))
    return target


def iperf(lab, vm, *options):
    """Throughput between an iperf3 client on the host and a server in the VM."""
    address = vm.interface()["ip_address"]
    # It is in the background before it listens (port 5201, state 0A).
    need(vm.run("pidof iperf3 || iperf3 -s -D; for i in $(seq 100); do "
                "grep -q ':1451 .* 0A ' /proc/net/tcp /proc/net/tcp6 && exit 0; sleep 0.1; done; exit 1"))
    done = lab.host.run("iperf3", "--json", "-c", address, "-t", IPERF_SECONDS,
                        "--connect-timeout", "3000", *options, timeout=30, check=False)
    told = json.loads(done.stdout or "{}")
    assert "sum_received" in told.get("end", {}), told.get("error", done.stderr)
    return f"{told['end']['sum_received']['bits_per_second'] / 1e6:.0f} Mbit/s"


def vm_steps(lab, vm, other):
    """What a VM must be able to do, in order: (name, action)."""
    gateway = vm.interface()["vmnet_start_address"]
    return [
        ("boot", lambda: vm.booted() and "the VM takes commands"),
        ("VM and helper unprivileged", lambda: check_unprivileged(vm)),
        ("lease by DHCP", lambda: take_lease(vm)),
        ("IPv6 by router advertisement", lambda: take_ipv6_address(vm)),
        ("ping the gateway", lambda: ping(vm, gateway)),
        ("resolve a name", lambda: resolve(vm)),
        ("web page over IPv4", lambda: fetch(vm, f"http://{INTERNET.name}/", UPLINK_ADDRESS)),
        ("web page over IPv6", lambda: fetch(vm, f"http://[{INTERNET.web6}]/", UPLINK_ADDRESS6)),
        ("ping the other VM", lambda: ping(vm, other.interface()["ip_address"])),
        ("iperf3 host to VM", lambda: iperf(lab, vm)),
        ("iperf3 VM to host", lambda: iperf(lab, vm, "-R")),
    ]


def start_helper(vm):
    facts = vm.interface()
    return f"{facts['ip_address']} on {facts['host_interface']}, started by {vm.way.name}"


def run_machines(lab, journal, first, second):
    both = {"vm1": first, "vm2": second}
    if not all([journal.step(name, "helper ready", lambda vm=vm: start_helper(vm))
                for name, vm in both.items()]):
        return
    plans = {name: vm_steps(lab, vm, second if vm is first else first)
             for name, vm in both.items()}
    # Step by step on both, so that each finds the other up.
    for pair in zip(*plans.values()):
        for name, (title, action) in zip(plans, pair):
            if not journal.step(name, title, action) and title == "boot":
                return
    for name, vm in both.items():
        journal.step(name, "power off", lambda vm=vm: f"vmnet-run's status is {vm.poweroff()}")


def host_as_before(lab, before):
    left = snapshot.difference(before, snapshot.host_state(lab.host))
    assert not left, left
    assert not helper_processes(), "a helper still runs"
    return "rules, addresses, routes and forwarding are those of the start"


def main():
    journal = Journal()
    installation.install()
    with Lab() as lab:
        print("        host and internet simulated in private namespaces", flush=True)
        before = snapshot.host_state(lab.host)
        with VirtualMachine(lab.host, installation.SETUID_COPY, MACS["vm1"]) as first, \
                VirtualMachine(lab.host, installation.CAPABLE_COPY, MACS["vm2"]) as second:
            run_machines(lab, journal, first, second)
        journal.step("host", "host as before", lambda: host_as_before(lab, before))
    journal.table()
    return 1 if journal.failed else 0


if __name__ == "__main__":
    sys.exit(main())
