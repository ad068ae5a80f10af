"""The transfers of bench/vms: pairs of VMs, iperf3 between them and the host, round by round."""

import shlex
import time

from . import folders, machines
from .files import label
from .machines import ExampleVm, Failure, Meter, PeersVm
from .results import OWN_NETWORK, Row, Sample, parse_iperf3


def measure_own(plan):
    """Rows of VMs of the example tool, pair by pair."""
    for mode in plan.modes:
        for driver in plan.drivers:
            for connection in plan.connections:
                yield measure_pair(plan, driver, connection, mode)


def measure_pair(plan, driver, connection, mode):
    rows = [Row(OWN_NETWORK, label(driver, connection), mode, direction) for direction in plan.directions]
    print(f"{rows[0].driver}, {mode}", flush=True)
    try:
        vms = start_pair(plan, driver, connection, mode)
    except Failure as failure:
        print(f"  {failure}", flush=True)
        for row in rows:
            row.note = note_of(failure)
        return rows
    try:
        measure(plan, rows, vms, [])
    finally:
        close(vms)
    return rows


def measure_peer(plan, network, words, processes):
    """Rows of two VMs of another tool, that run already."""
    vms = [PeersVm(*vm) for vm in words]
    for vm in vms:
        machines.prepare(vm)
    rows = [Row(network, label(plan.drivers[0], "fd"), plan.modes[0], direction)
            for direction in plan.directions]
    print(f"{network} {rows[0].driver}, {rows[0].mode}", flush=True)
    measure(plan, rows, vms, processes)
    return rows


def example_options(plan, driver, connection, mode):
    """The example tool's options for one VM."""
    options = ["--driver", driver.name, "--connection", connection, "--operation-mode", mode]
    if mode == "bridged":
        options += ["--shared-interface", plan.shared_interface]
    if plan.image or plan.distro:
        options += ["--image", plan.image] if plan.image else ["--distro", plan.distro]
    if driver.command:
        options += ["--driver-command", driver.command]
    if driver.offloading:
        options += ["--enable-tso", "--enable-checksum-offload"]
    return options


def start_pair(plan, driver, connection, mode):
    options = example_options(plan, driver, connection, mode)
    vms = []
    try:
        # A VM of each driver, since the formats of their disks differ.
        for name in machines.NAMES:
            vms.append(ExampleVm(f"{name}-{driver.name}", options))
            if len(vms) == 1:
                vms[0].ready()  # the first downloads what the second finds in the cache
        vms[1].ready()
        for vm in vms:
            machines.prepare(vm)
    except BaseException:
        close(vms)
        raise
    return vms


def close(vms):
    for vm in vms:
        vm.close()


def measure(plan, rows, vms, processes):
    """Fills in the rows of one pair of VMs."""
    groups = machines.processes_of(vms, processes)
    for row in rows:
        folders.forget(plan.output, row)
    for number in range(1, plan.rounds + 1):
        for row in rows:
            try:
                sample, answer = try_twice(plan, row.direction, vms, groups)
                row.samples.append(sample)
                folders.keep(plan.output, row, len(row.samples), answer)
                said = f"{sample.bits_per_second / 1e9:.2f} Gbit/s"
            except (Failure, ValueError) as failure:
                row.note = said = note_of(failure)
            print(f"  {number}/{plan.rounds} {row.direction}: {said}", flush=True)


def try_twice(plan, direction, vms, groups):
    """A sample and iperf3's answer. A server of iperf3 may need a moment after the client before."""
    def once():
        meter = Meter(groups)
        answer = transfer(plan, direction, vms)
        processors = meter.end()
        return Sample(*parse_iperf3(answer), processors), answer

    try:
        return once()
    except (Failure, ValueError):
        time.sleep(2)
        return once()


def transfer(plan, direction, vms):
    """iperf3's JSON of one transfer. The server is always the first VM's, or the second's."""
    options = ["--json", "--time", str(plan.seconds)]
    if plan.length:
        options += ["--length", plan.length]
    one, two = vms
    patience = plan.seconds + 120
    if direction == "vm-to-vm":
        return one.shell(shlex.join(["iperf3", "--client", two.address, *options]), patience)
    back = ["--reverse"] if direction == "vm-to-host" else []
    return machines.run(["iperf3", "--client", one.address, *options, *back], patience)


def note_of(failure):
    """A failure as it fits into a table."""
    return f"failed: {' '.join(str(failure).replace('|', '/').split())[:120]}"
