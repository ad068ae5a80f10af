"""Bars of bitrates, series beside each other. What draws returns why it could not, or ""."""

from dataclasses import dataclass

from .results import DIRECTIONS, OWN_NETWORK, vm_of


@dataclass
class Series:
    label: str
    gigabits: list  # one for each group of bars; None where it was not measured


def draw(title, groups, series, target):
    """`groups` are the names down the side, `target` is the picture's file (PNG, SVG, ...)."""
    try:
        import matplotlib
        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        return "matplotlib is missing (apt-get install python3-matplotlib)"
    height = 0.8 / len(series)
    figure, axes = pyplot.subplots(figsize=(9, 1.8 + 0.25 * len(groups) * (len(series) + 1)))
    for at, one in enumerate(series):
        bars = axes.barh([row + (at - (len(series) - 1) / 2) * height for row in range(len(groups))],
                         [value or 0 for value in one.gigabits], height=height * 0.93, label=one.label)
        axes.bar_label(bars, [f"{value:.1f}" if value else "" for value in one.gigabits], padding=3)
    axes.set_yticks(range(len(groups)), groups)
    axes.invert_yaxis()
    axes.margins(x=0.1, y=0.02)
    axes.set_xlabel("Gbit/s")
    axes.set_title(title)
    axes.legend()
    figure.tight_layout()
    figure.savefig(target)
    pyplot.close(figure)
    return ""


def overview(rows, target):
    """A group for each VM and mode, a bar for each direction."""
    groups = list(dict.fromkeys(row.key[:4] for row in rows))
    known = {row.key: row.gigabits for row in rows}
    series = [Series(direction, [known.get((*group, direction)) for group in groups])
              for direction in DIRECTIONS]
    names = [f"{vm_of(network, driver, vms)}, {mode}" for network, driver, mode, vms in groups]
    return draw("bench/vms", names, series, target)


def before_and_after(old, new, names, target):
    """A group for each row that both have, a bar for each of the two."""
    before, after = ({row.key: row.gigabits for row in rows if row.gigabits} for rows in (old, new))
    keys = [key for key in before if key in after]
    if not keys:
        return "there is no row that both have"
    groups = [f"{vm_of(network, driver, vms)}, {mode}, {direction}"
              for network, driver, mode, vms, direction in keys]
    series = [Series(name, [known[key] for key in keys])
              for name, known in zip(names, (before, after))]
    return draw(f"{names[0]} and {names[1]}", groups, series, target)


def series_of(plot, mode, rows_by_label):
    """The series that a plot file names, of one mode: those of which at least one bar was measured."""
    found = []
    for driver in plot.drivers:
        for network in plot.networks:
            for vms in plot.vms:
                for label, rows in rows_by_label.items():
                    known = {row.key: row.gigabits for row in rows}
                    bars = [known.get((network, driver, mode, vms, direction))
                            for direction in plot.directions]
                    if any(bars):
                        found.append(Series(series_name(plot, label, network, driver, vms), bars))
    return found


def series_name(plot, label, network, driver, vms):
    """Only what tells the series of this plot from each other, and the network where it is not ours."""
    words = [label] if len(plot.results) > 1 else []
    if len(plot.networks) > 1 or network != OWN_NETWORK:
        words.append(network)
    words.append(driver)
    if len(plot.vms) > 1:
        words.append(f"#{vms}")
    return " ".join(words)


def table(plot, series):
    """The same as text."""
    lines = ["| Gbit/s | " + " | ".join(plot.directions) + " |", "|---" * (len(plot.directions) + 1) + "|"]
    for one in series:
        bars = " | ".join("-" if value is None else f"{value:.2f}" for value in one.gigabits)
        lines.append(f"| {one.label} | {bars} |")
    return "\n".join(lines) + "\n"
