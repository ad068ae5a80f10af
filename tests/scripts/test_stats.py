"""scripts/stats: figures per second of a helper's [stats] lines."""

import csv
import io
import json
import os
import pathlib
import subprocess
import sys

import pytest

STATS = pathlib.Path(__file__).resolve().parent.parent.parent / "scripts" / "stats"


def line(second, host=(0, 0, 0, 0, 0), vm=(0, 0, 0, 0, 0)):
    names = ("packets", "bytes", "drops", "fast", "slow")
    content = {"time": f"2026-11-23T09:30:{second:06.3f}+00:00", "host": dict(zip(names, host)),
               "vm": dict(zip(names, vm))}
    return f"INFO  [stats] {json.dumps(content, separators=(',', ':'))}\n"


LOG = ("INFO  [helper] started\n" + line(1, (100, 10_000, 1, 10, 0), (5, 500, 0, 5, 0))
       + "WARN  [firewall] [stats] are nice {\n" + line(3, (1100, 1_510_000, 5, 20, 10), (5, 500, 0, 5, 0))
       + line(3.5, (1100, 1_510_000, 5, 20, 10), (5, 500, 0, 5, 0)))


def run(log, *options, env=None):
    return subprocess.run([sys.executable, STATS, *options], input=log, text=True, capture_output=True,
                          env=env)


def test_figures_are_per_second():
    rows = json.loads(run(LOG, "--json").stdout)
    assert len(rows) == 2
    first = rows[0]
    assert (first["seconds"], first["host_mbit"], first["host_packets"]) == (2.0, 6.0, 500.0)
    assert (first["host_drops"], first["host_per_call"]) == (2.0, 50.0)
    assert first["vm_mbit"] == first["vm_per_call"] == 0
    assert rows[1]["seconds"] == 2.5 and rows[1]["host_mbit"] == 0


def test_table_and_csv(tmp_path):
    log = tmp_path / "helper.log"
    log.write_text(LOG)
    table = run("", str(log)).stdout.splitlines()
    assert table[0].split()[:2] == ["to", "VM"] and table[1].split()[:3] == ["2.0", "s", "6.0"]
    rows = list(csv.DictReader(io.StringIO(run(LOG, "--csv").stdout)))
    assert rows[0]["host_mbit"] == "6.0" and rows[0]["time"] == "2026-11-23T09:30:03.000+00:00"


def test_another_helper_in_the_same_log():
    """Counters start anew: no row across the two, and none that is negative."""
    log = line(1, (900, 9000, 0, 9, 0)) + line(2, (1900, 10000, 0, 10, 0)) + \
        line(10, (10, 100, 0, 1, 0)) + line(11, (20, 200, 0, 2, 0))
    assert [row["host_packets"] for row in json.loads(run(log, "--json").stdout)] == [1000.0, 10.0]


@pytest.mark.parametrize("log", ["", line(1), "INFO  [stats] {\n", line(1) + line(1),
                                 'INFO  [stats] {"time":"x"}\n' * 3])
def test_nothing_to_compare(log):
    done = run(log)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == ("stats: no two [stats] lines to compare; start the helper with "
                           "--stats-interval 1\n")


def test_no_such_log():
    done = run("", "/nowhere/log")
    assert done.returncode == 1 and "No such file" in done.stderr


def test_plot(tmp_path):
    pytest.importorskip("matplotlib")
    target = tmp_path / "plot.png"
    done = run(LOG, "--plot", str(target), env={**os.environ, "MPLCONFIGDIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert target.read_bytes().startswith(b"\x89PNG")


def test_plot_without_matplotlib(tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ImportError('hidden')\n")
    done = run(LOG, "--plot", str(tmp_path / "x.png"), env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1 and "python3-matplotlib" in done.stderr and "6.0" in done.stdout
