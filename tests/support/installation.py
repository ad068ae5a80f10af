"""vmnet-helper installed the ways its users install it, inside the lab's private /opt.

/opt/vmnet-helper   what `cmake --install` lays out
/opt/vmnet-setuid   a copy with the setuid bit
/opt/vmnet-caps     a copy with file capabilities
"""

import pathlib
import shutil
from dataclasses import dataclass, field

from support.lab import REPOSITORY, as_user, run

BUILD = REPOSITORY / "build" / "release"
PREFIX = pathlib.Path("/opt/vmnet-helper")
SETUID = pathlib.Path("/opt/vmnet-setuid")
CAPABLE = pathlib.Path("/opt/vmnet-caps")
# What a helper without macvtap needs instead of root.
CAPABILITIES = "cap_net_admin,cap_net_raw,cap_setgid,cap_setuid"
MACVTAP_CAPABILITIES = CAPABILITIES + ",cap_mknod,cap_dac_override"


@dataclass(frozen=True)
class Way:
    """A way to give the helper its privilege: who starts which copy, through what."""

    name: str
    prefix: pathlib.Path
    user: str  # who starts it
    runs_as: str  # whom it must become
    environment: dict = field(default_factory=dict)
    sudo: bool = False

    def helper(self):
        return self.prefix / "bin" / "vmnet-helper"

    def runner(self):
        return self.prefix / "bin" / "vmnet-run"

    def command(self, program, highest_fd=2):
        """The words before `program`'s options; sudo keeps descriptors up to `highest_fd`."""
        words = as_user(self.user)
        if self.sudo:
            words += ["sudo", "--non-interactive", f"--close-from={highest_fd + 1}"]
        return [*words, str(program)]


ROOT = Way("root", PREFIX, "root", "root")
ROOT_FOR_ALICE = Way("root-with-sudo-uid", PREFIX, "root", "alice",
                     {"SUDO_UID": "47001", "SUDO_GID": "47001"})
SUDO = Way("sudo", PREFIX, "alice", "alice", sudo=True)
SETUID_COPY = Way("setuid", SETUID, "alice", "alice")
CAPABLE_COPY = Way("capabilities", CAPABLE, "alice", "alice")
WAYS = (ROOT, ROOT_FOR_ALICE, SUDO, SETUID_COPY, CAPABLE_COPY)


def install():
    """Installs all copies from the release build; no sudo is needed for any of them."""
    run("cmake", "--install", BUILD, "--prefix", PREFIX)
    for copy in (SETUID, CAPABLE):
        shutil.copytree(PREFIX / "bin", copy / "bin")
    (SETUID / "bin" / "vmnet-helper").chmod(0o4755)
    set_capabilities(CAPABLE / "bin" / "vmnet-helper", CAPABILITIES)


def install_sudoers_rule():
    """The delivered rule, for the SUDO way."""
    for rule in (PREFIX / "share" / "doc" / "vmnet-helper" / "sudoers.d").iterdir():
        installed = pathlib.Path("/etc/sudoers.d") / rule.name
        shutil.copy(rule, installed)
        installed.chmod(0o440)


def set_capabilities(path, names):
    run("setcap", f"{names}+ep", path)
