"""The arithmetic and the text of a run's results: no I/O, so that its tests need no lab.

Samples are kept a round: a ratio is made of two samples of one round, which were taken one after
the other, and its median over the rounds is what counts.
"""

import statistics
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Spread:
    """The median of several samples, with the least and the largest."""

    median: float
    low: float
    high: float

    def text(self, digits=2):
        return f"{self.median:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


def spread(values):
    """The Spread of the samples that exist, or None."""
    known = [value for value in values if value is not None]
    return Spread(statistics.median(known), min(known), max(known)) if known else None


@dataclass(frozen=True)
class Target:
    """A ratio to reach: `of` to `to` in one metric of one measurement."""

    title: str
    measurement: str
    metric: str
    of: str
    to: str
    at_least: float
    hope: float
    smaller_is_better: bool = False

    def reached(self, value, bound):
        return value <= bound if self.smaller_is_better else value >= bound

    def verdict(self, value):
        """hope, reached or missed."""
        if self.reached(value, self.hope):
            return "hope"
        return "reached" if self.reached(value, self.at_least) else "missed"


TO_HOST, TO_VM = "tcp vm→host", "tcp host→vm"
GBPS, HELPER_CPU = "gbps", "helper_cpu_s_per_gb"
BESIDE, BESIDE_NAME = "scaling, one VM beside others", "beside {} VMs"
ALONE, BESIDE_63 = BESIDE_NAME.format(0), BESIDE_NAME.format(63)

TARGETS = (
    Target("TCP, VM without offload, VM→host, to the one-frame loop", TO_HOST, GBPS,
           "ours", "one-frame loop", 1.6, 2.2),
    Target("TCP, VM without offload, host→VM, to the one-frame loop", TO_VM, GBPS,
           "ours", "one-frame loop", 1.1, 1.4),
    Target("helper CPU per gigabyte to the one-frame loop, VM→host", TO_HOST, HELPER_CPU,
           "ours", "one-frame loop", 0.5, 0.3, True),
    Target("helper CPU per gigabyte to the one-frame loop, host→VM", TO_VM, HELPER_CPU,
           "ours", "one-frame loop", 0.75, 0.5, True),
    Target("TCP, offload VM, VM→host, to veth with TSO", TO_HOST, GBPS,
           "ours, offload", "veth, TSO", 0.6, 0.85),
    Target("TCP, offload VM, host→VM, to veth with TSO", TO_VM, GBPS,
           "ours, offload", "veth, TSO", 0.6, 0.85),
    Target("TCP to passt at MTU 1500, VM→host", TO_HOST, GBPS, "ours", "passt", 3, 5),
    Target("TCP to passt at MTU 1500, host→VM", TO_VM, GBPS, "ours", "passt", 3, 5),
    Target("TCP to gvproxy, VM→host", TO_HOST, GBPS, "ours", "gvproxy", 2.2, 3),
    Target("TCP to gvproxy, host→VM", TO_VM, GBPS, "ours", "gvproxy", 2.2, 3),
    Target("TCP to slirp4netns, VM→host", TO_HOST, GBPS, "ours", "slirp4netns", 3, 5),
    Target("TCP to slirp4netns, host→VM", TO_VM, GBPS, "ours", "slirp4netns", 1, 1.5),
    Target("native path to plain TAP, VM→host", TO_HOST, GBPS,
           "ours, native", "plain TAP, TSO", 0.97, 1),
    Target("native path to plain TAP, host→VM", TO_VM, GBPS,
           "ours, native", "plain TAP, TSO", 0.97, 1),
    Target("TCP with --capture to a file in memory to without, VM→host", TO_HOST, GBPS,
           "ours, capture", "ours", 0.8, 0.95),
    Target("TCP with --capture to a file in memory to without, host→VM", TO_VM, GBPS,
           "ours, capture", "ours", 0.8, 0.95),
    Target("round trip p50 idle, to the one-frame loop", "round trip, idle", "p50_us",
           "ours", "one-frame loop", 1.05, 0.9, True),
    Target("64-byte frames a second, VM→host, to the one-frame loop", "64-byte frames vm→host",
           "frames_per_s", "ours", "one-frame loop", 1.3, 2),
    Target("64-byte frames a second, host→VM, to the one-frame loop", "64-byte frames host→vm",
           "frames_per_s", "ours", "one-frame loop", 1.3, 2),
    Target("helper CPU a 64-byte frame VM→host, beside 63 VMs to beside none", BESIDE,
           "helper_cpu_us_per_frame", BESIDE_63, ALONE, 1.2, 1.05, True),
    Target("round trip p50, beside 63 VMs to beside none", BESIDE, "p50_us", BESIDE_63, ALONE,
           1.2, 1.05, True),
    Target("start, beside 63 VMs to beside none", BESIDE, "start_ms", BESIDE_63, ALONE,
           1.3, 1.1, True),
)


@dataclass
class Results:
    """samples[measurement][contestant][metric] is a list with an entry a round (None: no sample)."""

    samples: dict = field(default_factory=dict)
    skipped: dict = field(default_factory=dict)  # contestant: why it did not run

    def add(self, measurement, contestant, metrics):
        """A round's metrics; a missing one keeps its place in the rounds."""
        kept = self.samples.setdefault(measurement, {}).setdefault(contestant, {})
        rounds = max((len(values) for values in kept.values()), default=0)
        for metric in {*kept, *metrics}:
            values = kept.setdefault(metric, [None] * rounds)
            values.append(metrics.get(metric))

    def values(self, measurement, contestant, metric):
        return self.samples.get(measurement, {}).get(contestant, {}).get(metric, [])

    def spread(self, measurement, contestant, metric):
        return spread(self.values(measurement, contestant, metric))

    def ratio(self, measurement, metric, of, to):
        """The Spread of the rounds' ratios, or None where a side has no samples."""
        pairs = zip(self.values(measurement, of, metric), self.values(measurement, to, metric))
        return spread([above / below for above, below in pairs
                       if above is not None and below not in (None, 0)])

    def targets(self):
        """(Target, Spread or None) of each."""
        return [(target, self.ratio(target.measurement, target.metric, target.of, target.to))
                for target in TARGETS]

    def as_json(self):
        ratios = []
        for target, measured in self.targets():
            ratios.append({"ratio": target.title, "at_least": target.at_least, "hope": target.hope,
                           "smaller_is_better": target.smaller_is_better,
                           "measured": measured and vars(measured),
                           "verdict": measured and target.verdict(measured.median)})
        return {"samples": self.samples, "skipped": self.skipped, "ratios": ratios}


def markdown(header, rows):
    """A table in Markdown, its columns padded so that it reads as text too."""
    cells = [list(map(str, row)) for row in [header, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
             for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def ratio_table(results):
    def bound(target, value):
        return f"{value:g} ×" + (" or less" if target.smaller_is_better else "")

    rows = []
    for target, measured in results.targets():
        rows.append([target.title, bound(target, target.at_least), bound(target, target.hope),
                     f"{measured.text()} ×" if measured else "not run",
                     target.verdict(measured.median) if measured else "-"])
    return markdown(["ratio", "at least", "hope", "measured (min to max)", "verdict"], rows)


# The metrics as columns: (metric, title, digits).
COLUMNS = ((GBPS, "Gbit/s", 2), (HELPER_CPU, "helper CPU s/GB", 2),
           ("total_cpu_s_per_gb", "all CPU s/GB", 2), ("retransmits", "retransmits", 0),
           ("drops", "drops", 0), ("frames_per_s", "frames/s", 0), ("sent_per_s", "sent/s", 0),
           ("helper_cpu_us_per_frame", "helper CPU µs/frame", 2),
           ("p50_us", "p50 µs", 0), ("p99_us", "p99 µs", 0), ("lost", "lost", 0),
           ("start_ms", "start ms", 1),
           ("end_ms", "end ms", 1), ("memory_mib", "resident MiB", 1))


def measurement_table(results, measurement):
    """A row a contestant, a column for each metric that any of them has."""
    contestants = results.samples[measurement]
    columns = [column for column in COLUMNS
               if any(results.spread(measurement, name, column[0]) for name in contestants)]
    rows = []
    for name in contestants:
        row = [name]
        for metric, _, digits in columns:
            found = results.spread(measurement, name, metric)
            row.append(found.text(digits) if found else "-")
        rows.append(row)
    return markdown([measurement, *[title for _, title, _ in columns]], rows)


def report(results, environment):
    """The whole run as Markdown."""
    lines = [environment, "", ratio_table(results)]
    for measurement in results.samples:
        lines += ["", measurement_table(results, measurement)]
    if results.skipped:
        lines += ["", "Not run:", ""]
        lines += [f"- {name}: {reason}" for name, reason in results.skipped.items()]
    return "\n".join(lines) + "\n"


BEGIN, END = "<!-- scripts/bench --publish: begin -->", "<!-- scripts/bench --publish: end -->"


def replace_block(document, text):
    """`document` with what lies between the marks replaced by `text`."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no block '{BEGIN}' ... '{END}'")
    return f"{before}{BEGIN}\n{text.strip()}\n{END}{after}"
