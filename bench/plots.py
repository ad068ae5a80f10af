"""Plots of build/bench/results.json: bars of throughput and CPU, lines of the scaling."""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))

import matplotlib  # noqa: E402
from results import BESIDE, GBPS, HELPER_CPU, TO_HOST, TO_VM, Results  # noqa: E402

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

OURS, OTHERS = "#1b6ca8", "#b8bec6"


def bars(results, measurement, metric, title, unit, path):
    """A bar a contestant, from the table's first to its last, with the least and the largest."""
    found = [(name, results.spread(measurement, name, metric))
             for name in results.samples.get(measurement, {})]
    found = [(name, spread) for name, spread in found if spread]
    if not found:
        return
    names = [name for name, _ in found]
    figure, axes = pyplot.subplots(figsize=(8, 0.42 * len(found) + 1.1))
    medians = [spread.median for _, spread in found]
    errors = [[spread.median - spread.low for _, spread in found],
              [spread.high - spread.median for _, spread in found]]
    axes.barh(names, medians, xerr=errors, capsize=2, ecolor="#444444",
              color=[OURS if name.startswith("ours") or name.endswith("ours") else OTHERS
                     for name in names])
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def scaling(results, path):
    """Aggregate throughput and start time over the number of VMs."""
    sizes = {}
    for measurement in results.samples:
        match = re.match(r"scaling, (\d+) VMs", measurement)
        if match:
            sizes[int(match[1])] = measurement
    if len(sizes) < 2:
        return
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4))
    for name, color in (("ours", OURS), ("one-frame loop", OTHERS)):
        points = [(size, results.spread(measurement, name, GBPS))
                  for size, measurement in sorted(sizes.items())]
        points = [(size, spread.median) for size, spread in points if spread]
        left.plot(*zip(*points), marker="o", color=color, label=name)
    starts = [(size, results.spread(measurement, "ours", "start_ms"))
              for size, measurement in sorted(sizes.items())]
    right.plot(*zip(*[(size, spread.median) for size, spread in starts if spread]), marker="o",
               color=OURS)
    for axes, title, unit in ((left, "TCP VM→host, all VMs together", "Gbit/s"),
                              (right, "a start beside the others", "ms from exec to JSON")):
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted(sizes), sorted(sizes))
        axes.set_ylim(bottom=0)
        axes.set_xlabel("VMs")
        axes.set_ylabel(unit)
        axes.set_title(title, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
    left.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def beside(results, path):
    """What one VM costs, over the number of the others in its network."""
    rows = {int(re.search(r"\d+", name)[0]): name for name in results.samples.get(BESIDE, {})}
    if len(rows) < 2:
        return
    figure, panels = pyplot.subplots(1, 3, figsize=(11, 3.4))
    for axes, title, metrics in (
            (panels[0], "64-byte frame VM→host, CPU µs", ("helper_cpu_us_per_frame",)),
            (panels[1], "round trip, median µs", ("p50_us",)),
            (panels[2], "a start and an end, ms", ("start_ms", "end_ms"))):
        for metric, color in zip(metrics, (OURS, OTHERS)):
            points = [(size, results.spread(BESIDE, name, metric))
                      for size, name in sorted(rows.items())]
            axes.plot(*zip(*[(size, spread.median) for size, spread in points if spread]),
                      marker="o", color=color, label=metric.removesuffix("_ms"))
        axes.set_ylim(bottom=0)
        axes.set_xticks(sorted(rows))
        axes.set_xlabel("other VMs")
        axes.set_title(title, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
    panels[2].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main():
    folder = pathlib.Path(sys.argv[1])
    results = Results(json.loads((folder / "results.json").read_text())["samples"])
    for way, measurement in (("vm-to-host", TO_HOST), ("host-to-vm", TO_VM)):
        title = "TCP " + measurement.removeprefix("tcp ").replace("vm", "VM")
        bars(results, measurement, GBPS, title, "Gbit/s", folder / f"tcp-{way}.png")
        bars(results, measurement, HELPER_CPU, title + ": CPU of the helper's processes",
             "seconds per gigabyte", folder / f"cpu-{way}.png")
    bars(results, "round trip, idle", "p50_us", "Round trip, idle, median", "µs",
         folder / "round-trip.png")
    scaling(results, folder / "scaling.png")
    beside(results, folder / "scaling-beside.png")


if __name__ == "__main__":
    main()
