"""Which address a VM has, and whether it answers there.

On Linux the helper says it before the VM boots. macOS' DHCP server writes down what it gave
(/var/db/dhcpd_leases); else the VM may tell its name by mDNS. On a bridged network, where the address
comes from somebody else, the host's ARP table and cloud-init's lines on the console are asked.
"""

from __future__ import annotations

import ipaddress
import pathlib
import re
import socket
import sys
from dataclasses import dataclass, field

from .report import Failure

LEASES = pathlib.Path("/var/db/dhcpd_leases")
ARP = pathlib.Path("/proc/net/arp")
RESOLVERS = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf", "/run/NetworkManager/resolv.conf")


@dataclass(frozen=True)
class StaticAddress:
    address: str
    prefix: int
    gateway: str = ""
    dns: list[str] = field(default_factory=list)


def is_server(text: str) -> bool:
    """An address that a VM can ask: not the host's loopback, nor one of a link of the host's."""
    try:
        return "%" not in text and not ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False


def host_resolvers() -> list[str]:
    """The host's DNS servers but for those that listen on its loopback alone."""
    for name in RESOLVERS:
        try:
            lines = pathlib.Path(name).read_text().splitlines()
        except OSError:
            continue
        found = []
        for line in lines:
            words = line.split()
            if len(words) > 1 and words[0] == "nameserver" and is_server(words[1]):
                found.append(words[1])
        if found:
            return found
    return []


def parse_address(text: str) -> ipaddress.IPv4Interface:
    try:
        return ipaddress.IPv4Interface(text)
    except ValueError:
        raise Failure(f"--address '{text}': not an IPv4 address") from None


def static_address(text: str, interface: dict, dns: list[str]) -> StaticAddress:
    """The user's --address ADDR[/PREFIX] on the helper's network."""
    given = parse_address(text)
    gateway = interface.get("vmnet_start_address") or interface.get("net_ipv4_subnet")
    mask = interface.get("vmnet_subnet_mask") or interface.get("net_ipv4_mask")
    if gateway and mask:
        network = ipaddress.IPv4Network(f"{gateway}/{mask}", strict=False)
        if given.ip not in network or given.ip in (network.network_address,
                                                   network.broadcast_address):
            raise Failure(f"--address {given.ip}: not a host of the network {network}")
        if str(given.ip) == gateway:
            raise Failure(f"--address {given.ip}: the gateway has it")
        dns = dns or ([gateway] if sys.platform == "darwin" else host_resolvers())
        return StaticAddress(str(given.ip), network.prefixlen, gateway, dns)
    if "/" not in text:
        raise Failure(f"--address {text}: nobody here knows this network's size; give {text}/PREFIX")
    return StaticAddress(str(given.ip), given.network.prefixlen, "", dns)


def leased(text: str, mac: str) -> str | None:
    """The newest lease of a MAC address in macOS' file, which writes 0a as a."""
    plain = ":".join(f"{int(part, 16):x}" for part in mac.split(":"))
    best: tuple[int, str] | None = None
    for block in re.findall(r"\{([^}]*)\}", text):
        facts = dict(line.strip().split("=", 1) for line in block.splitlines() if "=" in line)
        if facts.get("hw_address", "").partition(",")[2] == plain and "ip_address" in facts:
            lease = (int(facts.get("lease", "0"), 0), facts["ip_address"])
            best = max(best, lease) if best else lease
    return best[1] if best else None


def in_arp_table(text: str, mac: str) -> str | None:
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) >= 4 and words[3] == mac and words[2] != "0x0":
            return words[0]
    return None


def on_console(text: str, mac: str) -> str | None:
    """From the table that cloud-init prints when the network is up."""
    found = re.findall(rf"ci-info: \|[^|\n]*\| +True +\| +(\d+\.\d+\.\d+\.\d+) +\|[^\n]*{mac}", text)
    return found[-1] if found else None


def by_mdns(name: str) -> str | None:
    try:
        return socket.getaddrinfo(f"{name}.local", 22, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
    except OSError:
        return None


def read(path: pathlib.Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def look_up(interface: dict, name: str, mac: str, console: pathlib.Path) -> str | None:
    """The VM's address as far as it is known now."""
    if interface.get("ip_address"):
        return interface["ip_address"]
    if sys.platform == "darwin":
        return leased(read(LEASES), mac) or on_console(read(console), mac) or by_mdns(name)
    return on_console(read(console), mac) or in_arp_table(read(ARP), mac)


def probe(address: str) -> str:
    """What the VM says at its ssh port: 'ssh', 'other' (it is there, but no ssh), or '' (nothing)."""
    try:
        with socket.create_connection((address, 22), timeout=2) as opened:
            opened.settimeout(5)
            return "ssh" if opened.recv(4) == b"SSH-" else "other"
    except ConnectionRefusedError:
        return "other"
    except OSError:
        return ""
