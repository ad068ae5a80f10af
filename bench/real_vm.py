"""A real VM: QEMU, started by an unprivileged user through vmnet-run, with its dgram netdev."""

import json

import measurements
from contestants import CannotRun, make_host
from results import TO_HOST, TO_VM
from support.demo import take_lease
from support.helper import helper_processes
from support.installation import SETUID_COPY
from support.vm import IMAGE, VirtualMachine, VmFailed, accelerator

MAC = "0e:76:6d:00:be:01"


def name():
    kind = "KVM" if accelerator() == "kvm" else "an emulated processor"
    return f"QEMU VM on {kind}, ours"


def transfer(vm, to_host, seconds):
    """TCP between the VM and its host."""
    pids = helper_processes()
    helper = measurements.cpu_seconds(pids)
    machine = measurements.machine_seconds()
    gateway = vm.interface()["vmnet_start_address"]
    answer = vm.run(f"iperf3 --json -c {gateway} -t {seconds:g} {'' if to_host else '-R'}",
                    seconds + 30)
    found = json.loads(answer.output)
    if "error" in found:
        raise CannotRun(found["error"])
    received = found["end"]["sum_received"]
    gigabytes = received["bytes"] / 1e9
    return {"gbps": received["bits_per_second"] / 1e9,
            "retransmits": found["end"]["sum_sent"].get("retransmits", 0),
            "helper_cpu_s_per_gb": (measurements.cpu_seconds(pids) - helper) / gigabytes,
            "total_cpu_s_per_gb": (measurements.machine_seconds() - machine) / gigabytes}


def run_phase(run):
    """After all others, since a VM takes a processor."""
    titles = {True: f"real VM, {TO_HOST}", False: f"real VM, {TO_VM}"}
    if not any(run.wants(title) for title in titles.values()):
        return
    if not (IMAGE / "initramfs").exists():
        run.results.skipped["QEMU VM"] = "no image to boot (build/vm)"
        return
    host = make_host("qemu")
    try:
        measurements.serve(host)
        with VirtualMachine(host, SETUID_COPY, MAC) as vm:
            vm.booted()
            take_lease(vm)
            for to_host, title in titles.items():
                if not run.wants(title):
                    continue
                run.say(f"== {title}")
                for _ in range(run.rounds):
                    run.take(title, name(),
                             lambda up=to_host: transfer(vm, up, max(2, run.seconds)))
    except (VmFailed, AssertionError) as error:
        run.results.skipped["QEMU VM"] = " ".join(str(error).split())[:300]
    finally:
        host.close()
