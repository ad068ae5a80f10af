"""The helper's options on the tool's command line, handed down to it as they are."""

from __future__ import annotations

import argparse
import sys

VALUES = {"--operation-mode": "MODE", "--shared-interface": "NAME", "--start-address": "ADDR",
          "--end-address": "ADDR", "--subnet-mask": "MASK", "--network": "NAME",
          "--network-id": "UUID", "--host-ip-address": "ADDR", "--host-subnet-mask": "MASK",
          "--stats-interval": "SECONDS"}
FLAGS = ("--enable-tso", "--enable-checksum-offload", "--enable-isolation", "--verbose")


def add_helper_options(group) -> None:
    for name, value in VALUES.items():
        group.add_argument(name, metavar=value)
    for name in FLAGS:
        group.add_argument(name, action="store_true")
    group.add_argument("--interface-id", metavar="UUID", help="default: the VM's own, which stays")
    group.add_argument("--dns", metavar="ADDR", action="append", default=[],
                       help="a DNS server for the VM, may be repeated; default: the host's")


class Options(argparse.Namespace):
    """The command line of a start, parsed."""

    def value(self, option: str):
        return getattr(self, option[2:].replace("-", "_"))

    def helper_has_dns(self) -> bool:
        """Where the helper answers DHCP it tells the DNS servers; elsewhere the seed does."""
        return (sys.platform.startswith("linux") and not self.network
                and self.operation_mode != "bridged"
                and not (self.network_id and not self.host_ip_address))

    def helper_options(self, machine) -> list[str]:
        words = [f"--interface-id={self.interface_id or machine.interface_id()}"]
        words += [f"{option}={self.value(option)}" for option in VALUES if self.value(option)
                  is not None]
        words += [option for option in FLAGS if self.value(option)]
        if self.helper_has_dns():
            words += [f"--dns={server}" for server in self.dns]
        return words

    def seed_dns(self) -> list[str]:
        return [] if self.helper_has_dns() else self.dns
