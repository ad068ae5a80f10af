"""vfkit: Apple's Virtualization framework on the command line."""

from __future__ import annotations

from ..machine import Machine
from ..network import Nic
from ..report import step
from . import rest
from .base import Driver, check_folder, size_line


class Vfkit(Driver):
    name = "vfkit"
    program = "vfkit"
    install = "macOS: brew install vfkit; Linux has no vfkit, take --driver qemu"

    def require(self, machine: Machine, connection: str) -> None:
        super().require(machine, connection)
        check_folder(machine.folder, self.program)

    def prepare(self, machine: Machine) -> str:
        return size_line("Starting vfkit", machine)

    def network(self, nic: Nic) -> str:
        where = f"unixSocketPath={nic.path}" if nic.kind == "socket" else f"fd={nic.fd}"
        return f"virtio-net,{where},mac={nic.mac}"

    def command(self, machine: Machine, nic: Nic) -> list[str]:
        if nic.offload:
            step("Note: vfkit tells the guest of no offload; --enable-tso helps krunkit alone")
        folder, settings = machine.folder, machine.settings
        return [self.program, "--cpus", str(settings["cpus"]), "--memory", str(settings["memory"]),
                "--bootloader", f"efi,variable-store={folder}/efi-variables,create",
                "--device", f"virtio-blk,path={machine.disk()}",
                "--device", f"virtio-blk,path={folder}/seed.iso",
                "--device", self.network(nic),
                "--device", f"virtio-serial,logFilePath={folder}/console.log",
                "--device", "virtio-rng",
                "--restful-uri", f"unix://{folder}/control.sock"]

    def ask_to_stop(self, machine: Machine) -> bool:
        return rest.ask_to_stop(machine.path("control.sock"))
