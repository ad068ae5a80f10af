"""Makes a VM, or changes the settings of one that is there."""

from __future__ import annotations

import dataclasses
import pathlib

from . import disk, images, network, seed, ssh
from .distributions import DISTRIBUTIONS, Image
from .drivers import Driver, driver, host_arch
from .machine import Machine, home, read_json, write_json
from .report import Failure, step

DEFAULTS = {"cpus": 2, "memory": 2048}
DEFAULT_DISTRIBUTION = "debian"
DEFAULT_DISK = "20G"
KEPT = ("cpus", "memory", "driver", "user", "ssh_key")  # what may change from start to start


def source(arguments) -> str:
    """What the VM is made of, as the settings name it."""
    if arguments.image is not None:
        image = arguments.image
        return image if images.is_address(image) else str(pathlib.Path(image).absolute())
    return arguments.distro or DEFAULT_DISTRIBUTION


def fetch(arguments, arch: str) -> pathlib.Path:
    """The image as a file here."""
    cache = home() / "cache"
    checksum = arguments.checksum or ("", "")
    if arguments.image is not None:
        if images.is_address(arguments.image):
            return images.fetch(cache, arguments.image, *checksum)
        path = pathlib.Path(arguments.image).absolute()
        if checksum[0]:
            images.check(path, *checksum, f"--image {arguments.image}")
        return path
    found = find(arguments.distro or DEFAULT_DISTRIBUTION, arch, cache)
    return images.fetch(cache, found.address, found.algorithm, found.digest)


def find(distribution: str, arch: str, cache: pathlib.Path) -> Image:
    """The distribution's newest image; where it cannot be asked, the one that is in the cache."""
    note = cache / f"{distribution}-{arch}.json"
    try:
        found = DISTRIBUTIONS[distribution].find(arch, images.read_page)
    except Failure as failure:
        known = read_json(note)
        if not known or not images.cache_path(cache, known["address"]).exists():
            raise
        step(f"Note: {failure}. Taking the image of before")
        return Image(**known)
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_json(note, dataclasses.asdict(found))
    return found


def first_user(arguments) -> str:
    if arguments.image is not None:
        return "vm"
    return DISTRIBUTIONS[arguments.distro or DEFAULT_DISTRIBUTION].user


def choose_firmware(machine: Machine, wanted: str) -> str:
    if wanted != "auto":
        return wanted
    if machine.settings["arch"] == "aarch64":
        return "uefi"
    return "bios" if disk.boots_by_bios(machine.disk(), machine.settings["disk_format"]) else "uefi"


def check_image(image: str | None) -> None:
    """What can be seen of --image without reading it."""
    if image is None:
        return
    if images.is_address(image):
        images.check_address(image)
    elif not pathlib.Path(image).absolute().is_file():
        raise Failure(f"--image '{image}': no such file")


def require(machine: Machine, connection: str) -> None:
    """Fails where a start lacks something beside the driver, before anything is downloaded or made."""
    network.require(connection)
    seed.find_maker()
    ssh.require(machine)


def create(machine: Machine, arguments) -> Driver:
    """A new VM. Whatever fails leaves no trace of it."""
    if arguments.checksum and arguments.image is None:
        raise Failure("--checksum: for --image; a distribution's image has the distributor's own")
    check_image(arguments.image)
    size = arguments.disk_size or disk.parse_size(DEFAULT_DISK, "--disk-size")
    chosen = driver(arguments.driver, arguments.driver_command)
    chosen.take_accelerator(arguments.accel)
    arch, firmware = arguments.arch or host_arch.name(), arguments.firmware or "auto"
    given = {name: getattr(arguments, name) for name in KEPT if getattr(arguments, name) is not None}
    machine.new_settings(**{**DEFAULTS, "user": first_user(arguments), **given},
                         source=source(arguments), distribution="" if arguments.image is not None else
                         arguments.distro or DEFAULT_DISTRIBUTION, arch=arch,
                         firmware=firmware, disk_format=chosen.disk_format)
    try:
        chosen.require(machine, arguments.connection)
        disk.qemu_img()
        require(machine, arguments.connection)
        image = fetch(arguments, arch)
        disk.create(image, machine.disk(), chosen.disk_format, size)
        machine.settings["firmware"] = choose_firmware(machine, firmware)
        chosen.require(machine, arguments.connection)
        ssh.prepare(machine)
        machine.save()
    except BaseException:
        machine.delete()
        raise
    return chosen


def change(machine: Machine, arguments) -> Driver:
    """A VM that is there, with what is given anew."""
    if (arguments.image is not None or arguments.distro) and source(arguments) != machine.settings["source"]:
        raise Failure(f"{machine.name} was made of {machine.settings['source']}; delete it first "
                      f"(./example delete {machine.name}) or take another name")
    for name in ("arch", "firmware"):
        given, has = getattr(arguments, name), machine.settings[name]
        if given not in (None, "auto", has):
            raise Failure(f"--{name} {given}: {machine.name} was made with {has}; delete it first "
                          f"(./example delete {machine.name}) or take another name")
    for name in KEPT:
        if getattr(arguments, name) is not None:
            machine.settings[name] = getattr(arguments, name)
    chosen = driver(machine.settings["driver"], arguments.driver_command)
    chosen.take_accelerator(arguments.accel)
    if chosen.disk_format == "raw" and machine.settings["disk_format"] != "raw":
        raise Failure(f"--driver {chosen.name} needs a raw disk and {machine.name} has "
                      f"{machine.settings['disk_format']}: take another name")
    chosen.require(machine, arguments.connection)
    require(machine, arguments.connection)
    if arguments.disk_size:
        disk.grow(machine.disk(), machine.settings["disk_format"], arguments.disk_size)
    ssh.prepare(machine)
    machine.save()
    return chosen
