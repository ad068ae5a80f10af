"""The VM's disk, by qemu-img: an image's copy in the format that the driver reads, grown to size."""

from __future__ import annotations

import json
import pathlib
import re
import shutil

from . import process
from .report import Failure, megabytes, step

INSTALL = "apt-get install qemu-utils; macOS: brew install qemu"
# Others can name further files of the host, which the VM would then read.
FORMATS = ("qcow2", "raw")
COMPRESSED = {b"\x1f\x8b": "gzip", b"\xfd7zXZ\x00": "xz", b"BZh": "bzip2", b"\x28\xb5\x2f\xfd": "zstd"}


def qemu_img() -> str:
    return process.require("qemu-img", INSTALL)


def parse_size(text: str, what: str) -> int:
    """Bytes of '20G', '512M' (powers of 1024)."""
    found = re.fullmatch(r"([1-9]\d{0,8})([MGT])i?B?", text, re.IGNORECASE)
    if not found:
        raise Failure(f"{what} '{text}': give a number with M, G or T, such as 20G")
    return int(found[1]) << {"M": 20, "G": 30, "T": 40}[found[2].upper()]


def information(image: pathlib.Path) -> dict:
    text = process.run([qemu_img(), "info", "--output=json", str(image)], f"image {image}")
    return json.loads(text)


def check_image(image: pathlib.Path) -> dict:
    """What qemu-img knows of an image that is safe to copy."""
    try:
        with open(image, "rb") as file:
            start = file.read(8)
    except OSError as error:
        raise Failure(f"image {image}: {error.strerror}") from None
    for magic, program in COMPRESSED.items():
        if start.startswith(magic):
            raise Failure(f"image {image}: compressed; unpack it with {program} --decompress first")
    facts = information(image)
    if facts["format"] not in FORMATS:
        raise Failure(f"image {image}: format {facts['format']}, not one of {', '.join(FORMATS)}")
    specific = facts.get("format-specific", {}).get("data", {})
    other = facts.get("backing-filename") or specific.get("data-file")
    if other:
        raise Failure(f"image {image}: refers to another file, {other}; make it whole with "
                      "'qemu-img convert'")
    return facts


def create(image: pathlib.Path, disk: pathlib.Path, disk_format: str, size: int) -> None:
    """Copies the image to `disk` and grows it to `size` bytes where it is smaller. What was begun
    is removed when it fails."""
    facts = check_image(image)
    if not facts["virtual-size"]:
        raise Failure(f"image {image}: empty")
    needed, free = facts["actual-size"], shutil.disk_usage(disk.parent).free
    if needed > free:
        raise Failure(f"no space for the disk: it needs {megabytes(needed)}, {disk.parent} has "
                      f"{megabytes(free)}")
    step(f"Creating the disk: {disk_format}, {megabytes(max(size, facts['virtual-size']))}")
    try:
        process.run([qemu_img(), "convert", "-f", facts["format"], "-O", disk_format, str(image),
                     str(disk)], "cannot copy the image")
        grow(disk, disk_format, size)
    except BaseException:
        disk.unlink(missing_ok=True)
        raise


def grow(disk: pathlib.Path, disk_format: str, size: int) -> None:
    if size > information(disk)["virtual-size"]:
        process.run([qemu_img(), "resize", "-q", "-f", disk_format, str(disk), str(size)],
                    "cannot grow the disk")


def boots_by_bios(disk: pathlib.Path, disk_format: str) -> bool:
    """Whether the disk's first sector holds a boot loader. One that boots by UEFI alone has a
    partition table there and no code."""
    sector = disk.with_suffix(".sector")
    try:
        process.run([qemu_img(), "dd", "-f", disk_format, "-O", "raw", "bs=512", "count=1",
                     f"if={disk}", f"of={sector}"], "cannot read the disk")
        return any(sector.read_bytes()[:440])
    finally:
        sector.unlink(missing_ok=True)
