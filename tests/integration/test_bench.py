"""scripts/bench: its arithmetic, and a short run that must come up with figures."""

import sys

import pytest

from support.lab import PYTHON, REPOSITORY, SUPPORT, run

sys.path.insert(0, str(REPOSITORY / "bench"))

import results as bench  # noqa: E402

RATIO = bench.TARGETS[0]  # ours to the one-frame loop, larger is better
CPU_RATIO = next(target for target in bench.TARGETS if target.smaller_is_better)


def rounds_of(ours, loop, target=RATIO):
    """Results with these samples, a round each."""
    results = bench.Results()
    for one, other in zip(ours, loop):
        for name, value in ((target.of, one), (target.to, other)):
            results.add(target.measurement, name, {} if value is None else {target.metric: value})
    return results


def test_a_ratio_is_the_median_of_the_rounds_ratios():
    """Not the ratio of the medians: a round's two samples were taken one after the other."""
    results = rounds_of([10, 40, 9], [5, 10, 9])
    measured = results.ratio(RATIO.measurement, RATIO.metric, RATIO.of, RATIO.to)
    assert (measured.median, measured.low, measured.high) == (2, 1, 4)


def test_a_failed_sample_keeps_its_place():
    results = rounds_of([10, None, 12], [5, 3, 3])
    measured = results.ratio(RATIO.measurement, RATIO.metric, RATIO.of, RATIO.to)
    assert (measured.median, measured.low, measured.high) == (3, 2, 4)
    assert results.spread(RATIO.measurement, RATIO.of, RATIO.metric).median == 11


def test_a_metric_that_comes_late_belongs_to_its_round():
    results = bench.Results()
    results.add("m", "c", {"a": 1})
    results.add("m", "c", {"a": 2, "b": 3})
    assert results.values("m", "c", "b") == [None, 3]


def test_no_samples_no_ratio():
    assert bench.Results().ratio("m", "x", "a", "b") is None
    assert rounds_of([1], [0]).targets()[0][1] is None
    assert "not run" in bench.ratio_table(bench.Results())


@pytest.mark.parametrize("target, value, verdict", [
    (RATIO, RATIO.at_least - 0.01, "missed"), (RATIO, RATIO.at_least, "reached"),
    (RATIO, RATIO.hope, "hope"), (CPU_RATIO, CPU_RATIO.at_least + 0.01, "missed"),
    (CPU_RATIO, CPU_RATIO.at_least, "reached"), (CPU_RATIO, CPU_RATIO.hope, "hope")])
def test_verdicts(target, value, verdict):
    assert target.verdict(value) == verdict


def test_every_target_names_contestants_that_exist():
    import line_up
    import scaling
    names = {contestant.name for contestant in line_up.all_contestants()}
    names |= {bench.BESIDE_NAME.format(size) for size in scaling.BESIDE_SIZES}
    assert {name for target in bench.TARGETS for name in (target.of, target.to)} <= names


def test_tables_show_what_was_measured():
    results = rounds_of([2, 3], [1, 1])
    assert "2.50 (2.00 to 3.00) ×" in bench.ratio_table(results)
    table = bench.measurement_table(results, RATIO.measurement)
    assert "Gbit/s" in table and "CPU" not in table
    assert "- passt: not there" in bench.report(
        bench.Results(results.samples, {"passt": "not there"}), "here")


def test_publishing_replaces_the_block_alone():
    document = f"before\n{bench.BEGIN}\nold\n{bench.END}\nafter\n"
    assert bench.replace_block(document, "new\n") == \
        f"before\n{bench.BEGIN}\nnew\n{bench.END}\nafter\n"
    with pytest.raises(ValueError):
        bench.replace_block("no marks", "new")


@pytest.mark.slow
def test_a_short_run():
    """In a lab of its own, as scripts/bench does it: the files it writes are gone with that."""
    run("cmake", "--build", REPOSITORY / "build" / "release", "--target", "bench", timeout=900)
    done = run(SUPPORT / "enter_lab", PYTHON, REPOSITORY / "bench" / "run.py", "--quick", "--rounds", "1",
        "--seconds", "1", "--only", "^(tcp|round trip, idle|64-byte frames vm)", "--contestants",
        "^(ours|one-frame loop|plain TAP)", "--output", "/var/tmp", timeout=300)
    for measurement in ("tcp vm→host", "tcp host→vm, IPv6, 4 streams", "tcp vm→vm",
                        "round trip, idle", "64-byte frames vm→host"):
        assert f"| {measurement} " in done.stdout
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ours ")]
    assert rows and not any(line.split("|")[2].strip() == "-" for line in rows), done.stderr
