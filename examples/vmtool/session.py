"""One run of a VM, in the foreground: the helper, the seed, the VM, its address, and the end of all of
it, in order, whatever ends it."""

from __future__ import annotations

import os
import pathlib
import shlex
import time

from . import address, network, seed, silence, ssh
from .create import change, create
from .interrupts import INTERRUPTS, Interrupted
from .machine import Machine
from .process import Running
from .report import TOOL, Failure, step

ANSWER_SECONDS = {True: 300, False: 1800}  # by whether the processor runs the VM itself
OTHER_SECONDS = 60  # after which a VM that is there is taken for one without ssh
SHUTDOWN_SECONDS = 90  # for a guest that was running
EARLY_SECONDS = 10  # for one that was still booting and may not listen
POLL = 0.25


def boot_id() -> str:
    """Of this machine's last boot, which may change what KVM can do; empty where there is no such thing."""
    try:
        return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def describe(interface: dict) -> str:
    parts = [interface[key] for key in ("vmnet_start_address", "net_ipv4_subnet", "host_interface")
             if key in interface]
    return ", ".join([interface["vmnet_mac_address"], *parts])


class Session:
    def __init__(self, machine: Machine, arguments):
        self.machine = machine
        self.arguments = arguments
        self.driver = None
        self.connection: network.Connection | None = None
        self.vm: Running | None = None
        self.static: address.StaticAddress | None = None
        self.answered = False
        self.taken = False

    def run(self) -> int:
        """Returns the exit status: 0 where the VM or the user ended a run that worked."""
        INTERRUPTS.watch()
        try:
            with INTERRUPTS.held():
                self.taken = self.machine.take(make=True)
            if not self.taken:
                raise Failure(f"{self.machine.name} is running: '{TOOL} ssh {self.machine.name}', "
                              f"'{TOOL} stop {self.machine.name}'")
            if self.machine.clean_after_crash():
                step("Ended what a killed run had left")
            self.machine.note_run(run=os.getpid())
            self.start()
            self.wait_for_address()
            return self.wait_for_end()
        except Interrupted as interrupted:
            return 0 if self.answered else 128 + interrupted.number
        finally:
            self.stop()

    def start(self) -> None:
        if self.machine.exists():
            self.driver = change(self.machine, self.arguments)
        else:
            self.driver = create(self.machine, self.arguments)
        for name in ("helper.log", "driver.log", "console.log"):
            self.machine.path(name).unlink(missing_ok=True)
        self.start_helper()
        self.start_vm()

    def start_helper(self) -> None:
        options = self.arguments.helper_options(self.machine)
        self.connection = network.connection(self.arguments.connection, self.machine, options)
        self.machine.note_run(run=os.getpid(), connection=self.arguments.connection)
        interface = self.connection.start()
        step(f"Started vmnet-helper: {describe(interface)}")

    def start_vm(self) -> None:
        interface = self.connection.interface
        mac = interface["vmnet_mac_address"]
        if static := self.arguments.static_address():
            self.static = address.static_address(static, interface, self.arguments.dns)
        seed.write(self.machine, mac, self.static, self.arguments.seed_dns())
        if self.machine.settings.get("silent_on_kvm") == boot_id():
            self.driver.give_up_kvm()
        step(self.driver.prepare(self.machine))
        command = self.driver.command(self.machine, self.connection.nic(mac))
        self.machine.path(f"{self.driver.name}.command").write_text(shlex.join(command) + "\n")
        with INTERRUPTS.held():
            self.vm = self.connection.start_vm(command)

    def check_alive(self) -> None:
        if self.vm.ended():
            raise Failure(f"the VM ended, {self.vm.why()}")
        if self.connection.helper_ended():
            raise Failure(f"vmnet-helper ended: {network.reason_in(self.connection.helper.log)}")

    def out_of_reach(self) -> bool:
        """A macvtap keeps the host itself from its VM."""
        return self.connection.interface.get("host_interface", "").startswith("vmnet-mvt")

    def wait_for_address(self) -> None:
        step("Waiting for the VM (Control+C stops it)")
        seconds, deadline = self.time_to_answer()
        watch = silence.SilenceWatch(self.machine.path("console.log"))
        first_sign, found = None, None
        while True:
            self.check_alive()
            if self.on_kvm_by_itself() and not first_sign and watch.is_long():
                self.start_emulated()
                seconds, deadline = self.time_to_answer()
            interface = self.connection.interface
            found = self.static.address if self.static else address.look_up(
                interface, self.machine.name, interface["vmnet_mac_address"],
                self.machine.path("console.log"))
            said = address.probe(found) if found and not self.out_of_reach() else ""
            if said == "ssh" or (found and self.out_of_reach()):
                break
            if said and first_sign is None:
                first_sign = time.monotonic()
            if first_sign and time.monotonic() > first_sign + OTHER_SECONDS:
                step("Note: the VM is there, but no ssh server answers")
                break
            if time.monotonic() > deadline:
                raise Failure(f"the VM did not answer {'at ' + found if found else 'with an address'}"
                              f" within {seconds} s; its console: {TOOL} logs {self.machine.name}")
            time.sleep(POLL)
        with INTERRUPTS.held():
            self.answered = True
            self.machine.note_run(address=found)
            ssh.write_config(self.machine, found)
            step(f"Virtual machine IP address: {found}")

    def time_to_answer(self) -> tuple[int, float]:
        """How long the VM has to answer, and until when."""
        seconds = self.arguments.timeout or ANSWER_SECONDS[self.driver.accelerator != "tcg"]
        return seconds, time.monotonic() + seconds

    # KVM that begins and then hangs

    def on_kvm_by_itself(self) -> bool:
        return self.driver.accelerator == "kvm" and self.arguments.accel == "auto"

    def start_emulated(self) -> None:
        """Ends a VM that hangs on KVM, and its helper, and starts both again."""
        step(f"The VM said nothing on KVM for {silence.SECONDS} s: starting it again by emulation, slow "
             "(--accel kvm: stays with KVM)")
        self.machine.settings["silent_on_kvm"] = boot_id()
        self.machine.save()
        self.vm.stop()
        self.connection.stop()
        for name in ("console.log", "driver.sock", "control.sock"):
            self.machine.path(name).unlink(missing_ok=True)
        self.start_helper()
        self.start_vm()

    def wait_for_end(self) -> int:
        while not self.vm.ended():
            self.check_helper()
            time.sleep(POLL)
        if self.vm.process.returncode != 0:
            raise Failure(f"the VM ended, {self.vm.why()}")
        step("The VM has shut down")
        return 0

    def check_helper(self) -> None:
        """The VM's end is the helper's too, so that is looked at first."""
        if self.connection.helper_ended() and not self.vm.wait(1):
            self.check_alive()

    # The end

    def stop(self) -> None:
        INTERRUPTS.hold_for_good()
        if not self.taken:
            return
        if self.vm and not self.vm.ended():
            step("Stopping the VM")
            if self.driver.ask_to_stop(self.machine):
                self.wait_for_shutdown(SHUTDOWN_SECONDS if self.answered else EARLY_SECONDS)
            self.vm.stop()
        if self.connection:
            self.connection.stop()
        if self.machine.path("vm.json").exists():
            self.machine.forget_run()
        else:
            self.machine.delete()
        self.machine.release()

    def wait_for_shutdown(self, seconds: float) -> None:
        """Gives the guest its time, unless the user does not."""
        deadline = time.monotonic() + seconds
        while not self.vm.ended() and time.monotonic() < deadline:
            if INTERRUPTS.haste():
                return
            time.sleep(0.1)
