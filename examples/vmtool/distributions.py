"""Where distributions publish their cloud images, and the checksums they publish beside them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Callable

from .report import Failure

DEBIAN_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """An image and how to check it: `algorithm` is hashlib's name, `digest` its value in hex."""

    address: str
    algorithm: str
    digest: str


@dataclass(frozen=True)
class Distribution:
    """`find` gives the newest image for an architecture; it reads pages with the function given."""

    user: str  # the first user's name, as the distribution's own images have it
    find: Callable[[str, Callable[[str], str]], Image]


def digest_of(listing: str, name: str) -> str:
    """The checksum of `name` in a list as sha512sum or BSD's tools print it."""
    escaped = re.escape(name)
    for pattern in (rf"^([0-9a-f]{{64,128}}) [ *]{escaped}$",
                    rf"^SHA\d+ \({escaped}\) = ([0-9a-f]{{64,128}})$"):
        found = re.search(pattern, listing, re.MULTILINE)
        if found:
            return found[1]
    raise Failure(f"the distributor's checksums do not name {name}")


def debian(arch: str, read: Callable[[str], str]) -> Image:
    folder = "https://cloud.debian.org/images/cloud/trixie/latest"
    name = f"debian-13-generic-{DEBIAN_NAMES[arch]}.qcow2"
    return Image(f"{folder}/{name}", "sha512", digest_of(read(f"{folder}/SHA512SUMS"), name))


def ubuntu(arch: str, read: Callable[[str], str]) -> Image:
    folder = "https://cloud-images.ubuntu.com/releases/26.04/release"
    name = f"ubuntu-26.04-server-cloudimg-{DEBIAN_NAMES[arch]}.img"
    return Image(f"{folder}/{name}", "sha256", digest_of(read(f"{folder}/SHA256SUMS"), name))


def fedora(arch: str, read: Callable[[str], str]) -> Image:
    """Fedora lists all files of all releases, with checksums, in one place."""
    page = "https://fedoraproject.org/releases.json"
    try:
        entries = [entry for entry in json.loads(read(page))
                   if entry["variant"] == "Cloud" and entry["arch"] == arch
                   and entry["version"].isdigit()
                   and re.search(r"/Fedora-Cloud-Base-Generic[^/]*\.qcow2$", entry["link"])]
        newest = max(entries, key=lambda entry: int(entry["version"]))
        return Image(newest["link"], "sha256", newest["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(f"{page}: no Cloud image for {arch} ({error})") from None


def alpine(arch: str, read: Callable[[str], str]) -> Image:
    """Alpine keeps each release under a name of its own: the folder's page lists them."""
    folder = "https://dl-cdn.alpinelinux.org/alpine/latest-stable/releases/cloud"
    firmware = "uefi" if arch == "aarch64" else "bios"
    pattern = rf"nocloud_alpine-(\d+)\.(\d+)\.(\d+)-{arch}-{firmware}-cloudinit-r(\d+)\.qcow2(?=\")"
    found = list(re.finditer(pattern, read(f"{folder}/")))
    if not found:
        raise Failure(f"{folder}: no image for {arch}")
    newest = max(found, key=lambda name: tuple(map(int, name.groups())))
    address = f"{folder}/{newest[0]}"
    digest = re.match(r"[0-9a-f]{128}\b", read(f"{address}.sha512"))
    if not digest:
        raise Failure(f"{address}.sha512 holds no checksum")
    return Image(address, "sha512", digest[0])


DISTRIBUTIONS = {
    "debian": Distribution("debian", debian),
    "ubuntu": Distribution("ubuntu", ubuntu),
    "fedora": Distribution("fedora", fedora),
    "alpine": Distribution("alpine", alpine),
}
