"""UEFI for QEMU: EDK2's images where distributions and Homebrew put them."""

from __future__ import annotations

import pathlib
import shutil
from dataclasses import dataclass

from ..report import Failure

INSTALL = {"x86_64": "apt-get install ovmf", "aarch64": "apt-get install qemu-efi-aarch64"}
# Code and variables: Debian and Ubuntu, then Fedora; QEMU's own (Homebrew) are beside it.
PLACES = {
    "x86_64": (("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
               ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
               ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd")),
    "aarch64": (("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
                ("/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw",
                 "/usr/share/edk2/aarch64/vars-template-pflash.raw")),
}
QEMUS_OWN = {"x86_64": ("edk2-x86_64-code.fd", "edk2-i386-vars.fd"),
             "aarch64": ("edk2-aarch64-code.fd", "edk2-arm-vars.fd")}


@dataclass(frozen=True)
class Firmware:
    code: pathlib.Path
    variables: pathlib.Path


def find(program: str, arch: str) -> Firmware:
    share = pathlib.Path(program).resolve().parent.parent / "share" / "qemu"
    own = tuple(str(share / name) for name in QEMUS_OWN[arch])
    for code, variables in (*PLACES[arch], own):
        if pathlib.Path(code).exists() and pathlib.Path(variables).exists():
            return Firmware(pathlib.Path(code), pathlib.Path(variables))
    raise Failure(f"no UEFI firmware for {arch} here ({INSTALL[arch]}; macOS: brew install qemu)")


def copy_variables(firmware: Firmware, target: pathlib.Path) -> None:
    """The VM's own variables; the guest's boot entries stay in them."""
    if not target.exists():
        shutil.copyfile(firmware.variables, target)
