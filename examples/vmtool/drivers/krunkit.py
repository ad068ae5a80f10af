"""krunkit: libkrun on the command line (macOS, Apple silicon)."""

from __future__ import annotations

from ..machine import Machine
from ..network import Nic
from . import rest
from .base import Driver, check_folder, size_line


class Krunkit(Driver):
    name = "krunkit"
    program = "krunkit"
    install = ("macOS: brew tap slp/krun && brew install krunkit; Linux has no krunkit, take "
               "--driver qemu")

    def require(self, machine: Machine, connection: str) -> None:
        super().require(machine, connection)
        check_folder(machine.folder, self.program)

    def prepare(self, machine: Machine) -> str:
        return size_line("Starting krunkit", machine)

    def network(self, nic: Nic) -> str:
        where = f"path={nic.path}" if nic.kind == "socket" else f"fd={nic.fd}"
        offload = "on" if nic.offload else "off"
        return f"virtio-net,type=unixgram,{where},mac={nic.mac},offloading={offload}"

    def command(self, machine: Machine, nic: Nic) -> list[str]:
        folder, settings = machine.folder, machine.settings
        return [self.program, "--cpus", str(settings["cpus"]), "--memory", str(settings["memory"]),
                "--device", f"virtio-blk,path={machine.disk()}",
                "--device", f"virtio-blk,path={folder}/seed.iso",
                "--device", self.network(nic),
                "--device", f"virtio-serial,logFilePath={folder}/console.log",
                "--device", "virtio-rng",
                "--restful-uri", f"unix://{folder}/control.sock",
                "--krun-log-level", "1"]

    def ask_to_stop(self, machine: Machine) -> bool:
        return rest.ask_to_stop(machine.path("control.sock"))
