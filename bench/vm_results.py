"""The arithmetic and the text of bench/vms: samples in, Markdown, JSON and a plot out."""

import json
import statistics
from dataclasses import asdict, dataclass, field

DIRECTIONS = ("host to VM", "VM to VM", "VM to host")
PROCESSORS = ("helper", "vm", "all")


@dataclass
class Sample:
    """One transfer: bits per second of the receiver, processors in use (1.0 is one, all the time)."""

    bits_per_second: float
    retransmits: int
    processors: dict  # of PROCESSORS; None where this system does not tell


@dataclass
class Row:
    title: str  # driver and connection, or the peer's name
    mode: str
    direction: str
    samples: list = field(default_factory=list)
    note: str = ""  # why there are no samples

    def median(self, value):
        known = [value(sample) for sample in self.samples if value(sample) is not None]
        return statistics.median(known) if known else None


def parse_iperf3(text):
    """(bits per second, retransmits) of `iperf3 --json`; ValueError says what iperf3 said instead."""
    try:
        result = json.loads(text)
    except ValueError:
        raise ValueError(text.strip().splitlines()[-1] if text.strip() else "no output") from None
    if "error" in result:
        raise ValueError(result["error"])
    end = result["end"]
    return end["sum_received"]["bits_per_second"], end["sum_sent"].get("retransmits", 0)


def gigabits(row):
    values = sorted(sample.bits_per_second / 1e9 for sample in row.samples)
    if not values:
        return row.note or "-"
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


def markdown(rows, about):
    lines = [f"{key}: {value}  " for key, value in about.items()]
    lines += ["", "| VM | mode | direction | Gbit/s: median (least to most) | CPU: helper | per GB | "
              "CPU: VMs | CPU: all |", "|---|---|---|---|---|---|---|---|"]
    for row in rows:
        lines.append(f"| {row.title} | {row.mode} | {row.direction} | {gigabits(row)} | "
                     f"{percent(row, 'helper')} | {per_gigabyte(row)} | {percent(row, 'vm')} | "
                     f"{percent(row, 'all')} |")
    lines += ["", "CPU: 100 % is one processor for the whole transfer. `all` is everything that this "
              "machine did meanwhile."]
    return "\n".join(lines) + "\n"


def to_json(rows, about):
    return json.dumps({"about": about, "rows": [asdict(row) for row in rows]}, indent=1) + "\n"


def from_json(text):
    """The rows of an earlier run, to go on with or to compare."""
    return [Row(**{**row, "samples": [Sample(**sample) for sample in row["samples"]]})
            for row in json.loads(text)["rows"]]


def plot(rows, target):
    """Bars: for each VM and mode one for each direction. False without matplotlib."""
    try:
        import matplotlib
        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        return False
    groups = list(dict.fromkeys((row.title, row.mode) for row in rows))
    figure, axes = pyplot.subplots(figsize=(9, 1.5 + 0.9 * len(groups)))
    for at, direction in enumerate(DIRECTIONS):
        known = {(row.title, row.mode): row.median(lambda sample: sample.bits_per_second / 1e9)
                 for row in rows if row.direction == direction}
        axes.barh([number + (at - 1) * 0.27 for number in range(len(groups))],
                  [known.get(group) or 0 for group in groups], height=0.25, label=direction)
    axes.set_yticks(range(len(groups)), [f"{title}, {mode}" for title, mode in groups])
    axes.invert_yaxis()
    axes.set_xlabel("Gbit/s")
    axes.legend()
    figure.tight_layout()
    figure.savefig(target)
    return True
