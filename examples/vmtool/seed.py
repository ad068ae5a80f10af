"""What cloud-init (datasource NoCloud) reads when the VM boots: a small ISO 9660 image with the label
"cidata". It makes the user, lets the ssh key in and sets the network up, whatever the interface is
called: it is found by its MAC address.

The files are JSON, which is YAML too: nothing in them can be taken for anything else.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
import shutil
import sys
import tempfile

from . import process, ssh
from .address import StaticAddress
from .machine import Machine
from .report import Failure

MAKERS = ("xorriso", "genisoimage", "mkisofs", "hdiutil")
INSTALL = "apt-get install xorriso; macOS has hdiutil"
# What answers to NAME.local; other guests of these distributions find it by mDNS too.
MDNS_PACKAGES = {"debian": "avahi-daemon", "ubuntu": "avahi-daemon", "fedora": "avahi"}


def find_maker() -> str:
    """The first program that is there and makes an ISO."""
    maker = next((name for name in MAKERS if shutil.which(name)), None)
    if not maker:
        raise Failure(f"no program to make the seed with: {', '.join(MAKERS)} ({INSTALL})")
    return maker


def iso_command(folder: pathlib.Path, target: pathlib.Path) -> list[str]:
    """Makes an ISO of a folder."""
    maker = find_maker()
    program = str(shutil.which(maker))
    if maker == "hdiutil":
        return [program, "makehybrid", "-quiet", "-iso", "-joliet", "-default-volume-name", "cidata",
                "-o", str(target), str(folder)]
    words = [program, "-as", "genisoimage"] if maker == "xorriso" else [program]
    return [*words, "-quiet", "-volid", "cidata", "-joliet", "-rock", "-output", str(target),
            str(folder)]


def user_data(machine: Machine) -> dict:
    user = {"name": machine.settings["user"], "gecos": "",
            "sudo": "ALL=(ALL) NOPASSWD:ALL", "lock_passwd": True,
            "ssh_authorized_keys": [ssh.public_key(machine)]}
    if machine.settings.get("distribution") == "alpine":
        # No bash; and its sshd takes a locked password for a locked account.
        user.update(shell="/bin/sh", lock_passwd=False, passwd="*", doas=["permit nopass :wheel"],
                    groups="wheel")
    else:
        user["shell"] = "/bin/bash"
    private, public = machine.path("host_key"), machine.path("host_key.pub")
    data = {"users": [user],
            "ssh_keys": {"ed25519_private": private.read_text(),
                         "ed25519_public": public.read_text()}}
    mdns = MDNS_PACKAGES.get(machine.settings.get("distribution"))
    if sys.platform == "darwin" and mdns:  # the address is macOS' choice: a name finds the VM
        data.update(packages=[mdns], runcmd=[["systemctl", "enable", "--now", "avahi-daemon"]])
    return data


def network_config(mac: str, static: StaticAddress | None, dns: list[str]) -> dict:
    """Version 2. Renamed to eth0: not every renderer of cloud-init can match by MAC address."""
    interface: dict = {"match": {"macaddress": mac}, "set-name": "eth0"}
    if static is None:
        # The lease goes by the MAC address, not by a number that a copied image would share.
        interface.update({"dhcp4": True, "dhcp-identifier": "mac"})
        if dns:
            interface["dhcp4-overrides"] = {"use-dns": False}
            interface["nameservers"] = {"addresses": dns}
    else:
        interface.update({"dhcp4": False, "addresses": [f"{static.address}/{static.prefix}"]})
        if static.gateway:
            interface["routes"] = [{"to": "0.0.0.0/0", "via": static.gateway}]
        if static.dns:
            interface["nameservers"] = {"addresses": static.dns}
    return {"version": 2, "ethernets": {"eth0": interface}}


def write(machine: Machine, mac: str, static: StaticAddress | None, dns: list[str]) -> pathlib.Path:
    """Makes seed.iso; `dns` is for a VM with DHCP that is to ask others. cloud-init does its work once
    for an instance id: another network or user is another instance."""
    user = "#cloud-config\n" + json.dumps(user_data(machine), indent=1) + "\n"
    network = json.dumps(network_config(mac, static, dns), indent=1) + "\n"
    content = hashlib.sha256((user + network).encode()).hexdigest()[:16]
    meta = json.dumps({"instance-id": f"{machine.interface_id()}-{content}",
                       "local-hostname": machine.name}) + "\n"
    target = machine.path("seed.iso")
    target.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=machine.folder) as folder:
        for name, text in (("user-data", user), ("meta-data", meta), ("network-config", network)):
            (pathlib.Path(folder) / name).write_text(text)
        process.run(iso_command(pathlib.Path(folder), target), "cannot make the seed")
    target.chmod(0o600)
    return target
