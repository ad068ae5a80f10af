"""The way into a VM: keys that are made for it. Its host key is known before it boots (the seed
carries it), so ssh asks nothing and trusts nothing else."""

from __future__ import annotations

import os
import pathlib

from . import process
from .machine import Machine
from .report import TOOL, Failure

INSTALL = "apt-get install openssh-client"


def make_key(path: pathlib.Path, comment: str) -> None:
    if not path.exists():
        process.run([process.require("ssh-keygen", INSTALL), "-q", "-t", "ed25519", "-N", "", "-C",
                     comment, "-f", str(path)], "cannot make an ssh key")


def require(machine: Machine) -> None:
    """Fails where prepare() would."""
    process.require("ssh-keygen", INSTALL)
    if machine.settings.get("ssh_key"):
        public_key(machine)


def prepare(machine: Machine) -> None:
    """Keys and known_hosts in the VM's folder."""
    if not machine.settings.get("ssh_key"):
        make_key(machine.path("id_ed25519"), f"example-{machine.name}")
    make_key(machine.path("host_key"), machine.name)
    kind, key = machine.path("host_key.pub").read_text().split()[:2]
    machine.path("known_hosts").write_text(f"{machine.name} {kind} {key}\n")


def check_public_key(path: pathlib.Path) -> str:
    """The line of a user's public key."""
    try:
        line = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"--ssh-key {path}: {getattr(error, 'strerror', '') or 'no text'}") from None
    if len(line.splitlines()) != 1 or "PRIVATE" in line or len(line.split()) < 2:
        raise Failure(f"--ssh-key {path}: not a public key; give the .pub file")
    return line


def public_key(machine: Machine) -> str:
    given = machine.settings.get("ssh_key")
    return check_public_key(pathlib.Path(given) if given else machine.path("id_ed25519.pub"))


def quoted(path: pathlib.Path) -> str:
    """A path as a value of ssh's, where % starts a token."""
    text = str(path).replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def settings(machine: Machine) -> dict[str, str]:
    """How ssh finds and trusts the VM, whoever calls it; values as ssh_config(5) has them."""
    options = {"HostKeyAlias": machine.name,
               "UserKnownHostsFile": quoted(machine.path("known_hosts")),
               "GlobalKnownHostsFile": "/dev/null", "StrictHostKeyChecking": "yes"}
    if not machine.settings.get("ssh_key"):
        options |= {"IdentitiesOnly": "yes", "IdentityFile": quoted(machine.path("id_ed25519"))}
    return options


def write_config(machine: Machine, address: str) -> None:
    """ssh.config in the VM's folder, for an Include of the user's: scp, rsync and Docker contexts go by name."""
    lines = [f"Host {machine.name}", f"  HostName {address}", f"  User {machine.settings['user']}"]
    lines += [f"  {name} {value}" for name, value in settings(machine).items()]
    machine.path("ssh.config").write_text("\n".join(lines) + "\n")


def command(machine: Machine, address: str, words: list[str]) -> list[str]:
    """The ssh command line for a running VM."""
    # A second for each attempt: cloud-init may still restart sshd, which takes an emulated VM its time.
    options = settings(machine) | {"ConnectTimeout": "30", "ConnectionAttempts": "90", "LogLevel": "ERROR"}
    arguments = [process.require("ssh", INSTALL)]
    for name, value in options.items():
        arguments += ["-o", f"{name}={value}"]
    return [*arguments, "-l", machine.settings["user"], address, *words]


def connect(machine: Machine, words: list[str]) -> None:
    """Becomes ssh."""
    address = machine.run_state().get("address")
    if not machine.is_running():
        raise Failure(f"{machine.name} is not running: {TOOL} {machine.name}")
    if not address:
        raise Failure(f"{machine.name} has no address yet; it is still starting")
    arguments = command(machine, address, words)
    os.execv(arguments[0], arguments)
