"""The helper's options on the tool's command line, handed down to it as they are."""

from __future__ import annotations

import argparse
import os
import sys

from .helper_options import HELPER_OPTIONS

OWN = ("--tap", "--interface-id")  # decided by the tool, or with a default of its own
HANDED_DOWN = tuple(option for option in HELPER_OPTIONS if option[0] not in OWN)


def add_helper_options(group) -> None:
    for name, value, repeatable, summary in HANDED_DOWN:
        if repeatable:
            group.add_argument(name, metavar=value, action="append", default=[],
                               help=f"{summary}, may be repeated")
        elif value:
            group.add_argument(name, metavar=value, help=summary)
        else:
            group.add_argument(name, action="store_true", help=summary)
    group.add_argument("--interface-id", metavar="UUID", help="default: the VM's own, which stays")


class Separated(argparse.Action):
    """A comma list: each word as if the option had been given again."""

    def __call__(self, parser, namespace, values, option_string=None):
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), *values.split(",")])


class Offloading(argparse.Action):
    """Both kinds of offload."""

    def __call__(self, parser, namespace, values, option_string=None):
        namespace.enable_tso = namespace.enable_checksum_offload = True


def add_synonyms(parser) -> None:
    """What the tool of the original macOS helper calls the same; --help has one word for a thing."""
    parser.add_argument("--dns-servers", dest="dns", action=Separated, help=argparse.SUPPRESS)
    parser.add_argument("--enable-offloading", action=Offloading, nargs=0, help=argparse.SUPPRESS)


class Options(argparse.Namespace):
    """The command line of a start, parsed."""

    def value(self, option: str):
        return getattr(self, option[2:].replace("-", "_"))

    def helper_has_dns(self) -> bool:
        """Where the helper answers DHCP it tells the DNS servers; elsewhere the seed does."""
        return (sys.platform.startswith("linux") and self.operation_mode != "bridged"
                and not (self.network_id and not self.host_ip_address))

    def static_address(self) -> str | None:
        """--address, where no DHCP of the helper's gives it (--ip-address)."""
        return None if self.helper_has_dns() else self.address

    def helper_options(self, machine) -> list[str]:
        words = [f"--interface-id={self.interface_id or machine.interface_id()}"]
        for name, value, repeatable, _ in HANDED_DOWN:
            given = self.value(name)
            if name == "--ip-address" and given is None and self.address and self.helper_has_dns():
                given = self.address.partition("/")[0]
            if name == "--dns" and not self.helper_has_dns():
                continue
            if repeatable:
                words += [f"{name}={word}" for word in given]
            elif value and given is not None:
                # The helper runs in the machine's folder.
                words.append(f"{name}={os.path.abspath(given) if value == 'FILE' else given}")
            elif not value and given:
                words.append(name)
        return words

    def seed_dns(self) -> list[str]:
        return [] if self.helper_has_dns() else self.dns
