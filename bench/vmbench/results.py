"""The rows of bench/vms, their arithmetic and their tables: iperf3's answers in, Markdown and JSON out."""

import json
import statistics
from dataclasses import asdict, dataclass, field

DIRECTIONS = ("host-to-vm", "vm-to-vm", "vm-to-host")
OWN_NETWORK = "vmnet-helper"


@dataclass
class Sample:
    """One transfer: bits per second of the receiver, processors in use (1.0 is one, all the time)."""

    bits_per_second: float
    retransmits: int
    processors: dict = field(default_factory=dict)  # helper, vm, all; None or no key: not known


@dataclass
class Row:
    """What was measured of one network, kind of VM, mode, number of VMs and direction."""

    network: str  # vmnet-helper, or the peer's name
    driver: str  # the VM's program, with :TAG where there are several of it
    mode: str
    direction: str
    samples: list = field(default_factory=list)
    note: str = ""  # why there are no samples
    vms: int = 2

    @property
    def key(self):
        return self.network, self.driver, self.mode, self.vms, self.direction

    def median(self, value):
        known = [value(sample) for sample in self.samples if value(sample) is not None]
        return statistics.median(known) if known else None

    @property
    def gigabits(self):
        """The median's Gbit/s; None without samples."""
        return self.median(lambda sample: sample.bits_per_second / 1e9)


def parse_iperf3(text):
    """(bits per second, retransmits) of `iperf3 --json`; ValueError says what iperf3 said instead."""
    try:
        result = json.loads(text)
    except ValueError:
        raise ValueError(text.strip().splitlines()[-1] if text.strip() else "no output") from None
    if not isinstance(result, dict):
        raise ValueError("not iperf3's answer")
    if "error" in result:
        raise ValueError(result["error"])
    try:
        end = result["end"]
        return float(end["sum_received"]["bits_per_second"]), int(end["sum_sent"].get("retransmits", 0))
    except (KeyError, TypeError, AttributeError):
        raise ValueError("iperf3's answer has no end.sum_received") from None


def spread(row):
    values = sorted(sample.bits_per_second / 1e9 for sample in row.samples)
    if not values:
        return row.note or "-"
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{statistics.median(values):.2f} ({values[0]:.2f} to {values[-1]:.2f})"


def percent(row, name):
    value = row.median(lambda sample: sample.processors.get(name))
    return "-" if value is None else f"{value * 100:.0f} %"


def per_gigabyte(row):
    """The helper's processor seconds for a gigabyte."""
    value = row.median(lambda sample: None if sample.processors.get("helper") is None or
                       not sample.bits_per_second else
                       sample.processors["helper"] * 8e9 / sample.bits_per_second)
    return "-" if value is None else f"{value:.2f} s"


def vm_of(network, driver, vms):
    """How a table and a plot name the VMs; two of them is the usual number."""
    name = driver if network == OWN_NETWORK else f"{network} {driver}"
    return name if vms == 2 else f"{name} #{vms}"


def markdown(rows, about):
    lines = [f"{key}: {value}  " for key, value in about.items()]
    lines += ["", "| VM | mode | direction | Gbit/s: median (least to most) | CPU: helper | per GB | "
              "CPU: VMs | CPU: all |", "|---|---|---|---|---|---|---|---|"]
    for row in rows:
        lines.append(f"| {vm_of(row.network, row.driver, row.vms)} | {row.mode} | {row.direction} | "
                     f"{spread(row)} | {percent(row, 'helper')} | {per_gigabyte(row)} | "
                     f"{percent(row, 'vm')} | {percent(row, 'all')} |")
    lines += ["", "CPU: 100 % is one processor for the whole transfer. `all` is everything that this "
              "machine did meanwhile."]
    return "\n".join(lines) + "\n"


def change(before, after):
    """The difference of two medians in percent; a dash where one is missing."""
    return f"{(after / before - 1) * 100:+.0f} %" if before and after else "-"


def comparison(old, new, names):
    """A table of two lists of rows, a line for each row that is in one of them. `names` are the lists'."""
    before, after = ({row.key: row for row in rows} for rows in (old, new))
    lines = [f"| VM | mode | direction | {names[0]}: Gbit/s | {names[1]}: Gbit/s | change |",
             "|---|---|---|---|---|---|"]
    for key in dict.fromkeys([*before, *after]):
        network, driver, mode, vms, direction = key
        pair = [rows.get(key, Row(network, driver, mode, direction)) for rows in (before, after)]
        lines.append(f"| {vm_of(network, driver, vms)} | {mode} | {direction} | {spread(pair[0])} | "
                     f"{spread(pair[1])} | {change(pair[0].gigabits, pair[1].gigabits)} |")
    return "\n".join(lines) + "\n"


def to_json(rows, about):
    return json.dumps({"about": about, "rows": [asdict(row) for row in rows]}, indent=1) + "\n"


def from_json(text):
    """The rows of an earlier run, to go on with or to compare; ValueError for what is something else."""
    try:
        return [Row(**{**row, "samples": [Sample(**sample) for sample in row["samples"]]})
                for row in json.loads(text)["rows"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a result of bench/vms: {error}") from None
