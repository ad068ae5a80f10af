"""Benchmark files and plot files: YAML with the names of the original's, and a few of our own
(docs/benchmark.md has the tables). A name that is not known, or a value of another kind, is an error."""

import pathlib
import platform
from dataclasses import dataclass, field

from .folders import distinct
from .results import DIRECTIONS, OWN_NETWORK

MODES = ("shared", "bridged", "host")
CONNECTIONS = ("fd", "socket", "run", "tap")
DRIVERS = ("vfkit", "krunkit", "qemu") if platform.system() == "Darwin" else ("qemu",)


class FileError(Exception):
    """What is wrong with a file, in one line."""


@dataclass
class Driver:
    name: str
    tag: str = ""
    offloading: bool = False  # krunkit's: TSO and checksums
    command: str = ""  # in place of the driver's own program


@dataclass
class Benchmark:
    """What to measure. `seconds` and `length` are iperf3's."""

    drivers: list = field(default_factory=lambda: [Driver(DRIVERS[0])])
    connections: list = field(default_factory=lambda: ["fd"])
    modes: list = None
    directions: list = field(default_factory=lambda: list(DIRECTIONS))
    shared_interface: str = None
    seconds: int = 10
    length: str = None
    rounds: int = 3
    distro: str = None
    image: str = None
    output: pathlib.Path = None

    def check(self):
        """Fills in the modes, and says what does not fit."""
        if self.modes is None:
            self.modes = [mode for mode in MODES if mode != "bridged" or self.shared_interface]
        if "bridged" in self.modes and not self.shared_interface:
            raise FileError("bridged mode needs the interface to share: --shared-interface NAME, or "
                            "shared-interface in the file")
        labels = [label(driver, connection) for driver in self.drivers for connection in self.connections]
        if len(set(labels)) < len(labels):
            raise FileError(f"give the drivers tags that differ: {', '.join(labels)}")


@dataclass
class Plot:
    """Which series stand beside which: a picture for each mode, a bar for each direction."""

    name: str
    title: str
    networks: list
    drivers: list
    vms: list
    modes: list
    directions: list
    results: dict = field(default_factory=dict)  # label -> folder; none: the one of --output


def label(driver, connection):
    """The name of a VM of this driver and connection, in tables and of its folder: DRIVER[:TAG]."""
    tags = [driver.tag or ("offload" if driver.offloading else ""), connection if connection != "fd" else ""]
    return ":".join(filter(None, [driver.name, "-".join(filter(None, tags))]))


# What a value has to be: each takes it and returns it as it is used, or raises ValueError.

def text(value):
    if not isinstance(value, (str, int)) or isinstance(value, bool) or value == "":
        raise ValueError("is not a text")
    return str(value)


def name(value):
    """A text that is part of a path below the folder of results."""
    if "/" in text(value) or str(value).startswith("."):
        raise ValueError("may not have a / and not begin with a dot")
    return str(value)


def number(value):
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("is not a number from 1")
    return value


def flag(value):
    if not isinstance(value, bool):
        raise ValueError("is neither true nor false")
    return value


def several(one):
    def check(value):
        if not isinstance(value, list) or not value:
            raise ValueError("is not a list, such as [a, b]")
        return [one(item) for item in value]
    return check


def one_of(choices):
    def check(value):
        if value not in choices:
            raise ValueError(f"knows {', '.join(choices)}, not {value}")
        return value
    return check


def driver(value):
    if not isinstance(value, dict):
        return Driver(name(value))
    taken = take(value, DRIVER_KEYS)
    if "name" not in taken:
        raise ValueError("has one without a name")
    return Driver(**taken)


def folders(value):
    """Folders of results by label, or a list of them, whose labels are then what tells their paths apart."""
    if isinstance(value, dict) and value:
        return {text(key): pathlib.Path(text(item)) for key, item in value.items()}
    paths = [pathlib.Path(item) for item in several(text)(value)]
    return dict(zip(distinct(paths), paths))


# A file's names: what each is called in the code, and what its value has to be.

DRIVER_KEYS = {"name": ("name", name), "tag": ("tag", name), "offloading": ("offloading", flag),
               "command": ("command", text)}
BENCHMARK_KEYS = {
    "drivers": ("drivers", several(driver)),
    "operation-modes": ("modes", several(one_of(MODES))),
    "tests": ("directions", several(one_of(DIRECTIONS))),
    "shared-interface": ("shared_interface", text),
    "time": ("seconds", number),
    "length": ("length", text),
    "output": ("output", lambda value: pathlib.Path(text(value))),
    "connections": ("connections", several(one_of(CONNECTIONS))),
    "rounds": ("rounds", number),
    "distro": ("distro", text),
    "image": ("image", text),
}
PLOT_KEYS = {
    "name": ("name", name),
    "title": ("title", text),
    "networks": ("networks", several(name)),
    "drivers": ("drivers", several(name)),
    "vms": ("vms", several(number)),
    "operation-modes": ("modes", several(one_of(MODES))),
    "tests": ("directions", several(one_of(DIRECTIONS))),
    "results": ("results", folders),
}


def take(given, keys):
    """The values of a mapping by their names in the code. null is as if the name were not there."""
    if not isinstance(given, dict):
        raise ValueError("is not a mapping of names to values")
    taken = {}
    for key, value in given.items():
        if key not in keys:
            raise ValueError(f"{key} is not one of {', '.join(keys)}")
        if value is None:
            continue
        try:
            taken[keys[key][0]] = keys[key][1](value)
        except ValueError as error:
            raise ValueError(f"{key} {error}") from None
    return taken


def load(path, keys):
    try:
        import yaml
    except ImportError:
        raise FileError(f"{path}: reading YAML needs PyYAML (apt-get install python3-yaml; "
                        "elsewhere python3 -m pip install pyyaml)") from None
    try:
        return take(yaml.safe_load(pathlib.Path(path).read_text()) or {}, keys)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from None
    except (ValueError, yaml.YAMLError) as error:
        raise FileError(f"{path}: {' '.join(str(error).split())}") from None


def load_benchmark(path):
    """A file that names no drivers means all that this system has."""
    return Benchmark(**{"drivers": [Driver(name) for name in DRIVERS], **load(path, BENCHMARK_KEYS)})


def load_plot(path):
    """What a plot leaves out: the name is the file's, and everything that is usual is plotted."""
    usual = {"name": pathlib.Path(path).stem, "title": pathlib.Path(path).stem, "networks": [OWN_NETWORK],
             "vms": [2], "modes": list(MODES), "directions": list(DIRECTIONS)}
    given = load(path, PLOT_KEYS)
    if "drivers" not in given:
        raise FileError(f"{path}: drivers is missing: which to plot, such as [qemu, qemu:tap]")
    return Plot(**{**usual, **given})
