"""bench/vms' files: benchmark and plot files in YAML, folders of results of ours and of the original."""

import json
import os
import pathlib
import runpy
import subprocess
import sys
import types

import pytest

BENCH = pathlib.Path(__file__).resolve().parent.parent.parent / "bench"
sys.path.insert(0, str(BENCH))

from vmbench import files, folders, plots, results  # noqa: E402


def answer(gigabits):
    return json.dumps({"end": {"sum_sent": {}, "sum_received": {"bits_per_second": gigabits * 1e9}}})


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture(name="published")
def published_folder(tmp_path):
    """Laid out as the original publishes its results: iperf3's answers alone."""
    folder = tmp_path / "published"
    for name, gigabits in (("vmnet-helper/shared-vfkit-2/host-to-vm", 10),
                           ("vmnet-helper/shared-vfkit-2/vm-to-vm", 11),
                           ("vmnet-helper/shared-krunkit:offload-2/host-to-vm", 40),
                           ("vmnet-helper/bridged-vfkit-2/host-to-vm", 12),
                           ("socket_vmnet/shared-vz-1/host-to-vm", 3),
                           ("socket_vmnet/shared-vz-2/host-to-vm", 2)):
        write(folder / "bench" / f"{name}.json", answer(gigabits))
    write(folder / "bench" / "socket_vmnet" / "README" / "x.json", "{}")
    write(folder / "plot" / "drivers" / "shared.png", "")
    return folder


def bench(*words, cwd, **environment):
    return subprocess.run([sys.executable, str(BENCH / "vms"), *map(str, words)], cwd=cwd, text=True,
                          capture_output=True, check=False,
                          env={**os.environ, "MPLCONFIGDIR": str(cwd), **environment})


# Folders

def test_published_results(published):
    rows = {row.key: row.gigabits for row in folders.read(published)}
    assert rows == {("socket_vmnet", "vz", "shared", 1, "host-to-vm"): 3,
                    ("socket_vmnet", "vz", "shared", 2, "host-to-vm"): 2,
                    ("vmnet-helper", "krunkit:offload", "shared", 2, "host-to-vm"): 40,
                    ("vmnet-helper", "vfkit", "bridged", 2, "host-to-vm"): 12,
                    ("vmnet-helper", "vfkit", "shared", 2, "host-to-vm"): 10,
                    ("vmnet-helper", "vfkit", "shared", 2, "vm-to-vm"): 11}


def test_rounds_are_one_row(tmp_path):
    for name, gigabits in (("", 5), (".2", 1), (".10", 9)):
        write(tmp_path / "bench/vmnet-helper/shared-qemu-2" / f"host-to-vm{name}.json", answer(gigabits))
    [row] = folders.read(tmp_path)
    assert [sample.bits_per_second for sample in row.samples] == [5e9, 1e9, 9e9]


def test_results_json_counts_more_than_the_answers(published):
    row = results.Row("vmnet-helper", "vfkit", "shared", "host-to-vm", [results.Sample(1e9, 0)])
    write(published / "results.json", results.to_json([row], {}))
    rows = {row.key: row.gigabits for row in folders.read(published)}
    assert rows[row.key] == 1 and len(rows) == 6


def test_an_answer_that_cannot_be_read_is_a_row_that_says_so(tmp_path):
    write(tmp_path / "bench/vmnet-helper/shared-qemu-2/vm-to-vm.json", '{"error": "no route"}')
    [row] = folders.read(tmp_path)
    assert row.samples == [] and row.note == "failed: no route"


@pytest.mark.parametrize("make", [lambda folder: None, lambda folder: folder.mkdir(),
                                  lambda folder: write(folder / "results.json", "[]"),
                                  lambda folder: write(folder / "results.json", '{"rows": [{"x": 1}]}')])
def test_no_folder_of_results(tmp_path, make):
    make(tmp_path / "x")
    with pytest.raises(folders.FolderError, match="x"):
        folders.read(tmp_path / "x")


def test_what_tells_folders_apart(tmp_path):
    assert folders.distinct([tmp_path / "a/M3", tmp_path / "b/M3"]) == ["a/M3", "b/M3"]
    assert folders.distinct([tmp_path / "a", tmp_path / "a/b"]) == ["a", "b"]


# Benchmark files

def test_benchmark_file(tmp_path):
    pytest.importorskip("yaml")
    plan = files.load_benchmark(write(tmp_path / "x.yaml", """
drivers:
  - name: vfkit
  - name: krunkit
    tag: offload
    offloading: true
  - name: qemu
    command: /x/qemu
operation-modes: [shared, bridged]
tests: [vm-to-vm]
shared-interface: en0
time: 30
length: "128k"
output: out
connections: [fd, socket]
rounds: 1
distro: null
"""))
    plan.check()
    assert plan == files.Benchmark(
        drivers=[files.Driver("vfkit"), files.Driver("krunkit", "offload", True),
                 files.Driver("qemu", command="/x/qemu")],
        connections=["fd", "socket"], modes=["shared", "bridged"], directions=["vm-to-vm"],
        shared_interface="en0", seconds=30, length="128k", rounds=1, output=pathlib.Path("out"))


@pytest.mark.parametrize("text, modes", [("", ["shared", "host"]), ("time: 1", ["shared", "host"]),
                                         ("shared-interface: br0", ["shared", "bridged", "host"])])
def test_the_usual_values(tmp_path, text, modes):
    pytest.importorskip("yaml")
    plan = files.load_benchmark(write(tmp_path / "x.yaml", text))
    plan.check()
    assert plan.modes == modes and [driver.name for driver in plan.drivers] == list(files.DRIVERS)
    assert plan.directions == list(results.DIRECTIONS)


@pytest.mark.parametrize("text, says", [
    ("times: 1", "times is not one of"), ("time: 0", "time is not a number from 1"),
    ("time: true", "time is not a number"), ("[1]", "is not a mapping"), ("a: [", "x.yaml: "),
    ("operation-modes: shared", "operation-modes is not a list"),
    ("operation-modes: [nat]", "operation-modes knows shared, bridged, host, not nat"),
    ("tests: [[]]", "tests knows"), ("drivers: [{tag: x}]", "drivers has one without a name"),
    ("drivers: [{name: qemu, tag: ../x}]", "tag may not have a /"),
    ("drivers: [{name: qemu, offloading: 1}]", "offloading is neither true nor false"),
    ("operation-modes: [bridged]", "--shared-interface"),
    ("drivers: [qemu, qemu]", "tags that differ: qemu, qemu"),
])
def test_wrong_benchmark_files(tmp_path, text, says):
    pytest.importorskip("yaml")
    with pytest.raises(files.FileError) as raised:
        files.load_benchmark(write(tmp_path / "x.yaml", text)).check()
    assert says in str(raised.value) and "\n" not in str(raised.value)


def test_options_win_over_the_file(tmp_path):
    pytest.importorskip("yaml")
    program = types.SimpleNamespace(**runpy.run_path(str(BENCH / "vms")))
    write(tmp_path / "x.yaml", "time: 30\nlength: 64k\noperation-modes: [shared, host]\noutput: out\n"
          "drivers: [{name: krunkit, tag: x}]")
    words = [str(tmp_path / "x.yaml"), "--seconds", "2", "--mode", "bridged", "--mode", "host",
             "--shared-interface", "br0", "--offload"]
    for start in ([], ["run"]):
        assert program.checked_plan(program.parse_arguments([*start, *words])) == files.Benchmark(
            drivers=[files.Driver("krunkit", "x", True)], modes=["bridged", "host"], seconds=2,
            length="64k", shared_interface="br0", output=pathlib.Path("out"))


def test_without_pyyaml(tmp_path, published):
    write(tmp_path / "yaml.py", "raise ImportError")
    write(tmp_path / "x.yaml", "drivers: [qemu]")
    for words in (["run", "x.yaml"], ["plot", "x.yaml"]):
        done = bench(*words, cwd=tmp_path, PYTHONPATH=str(tmp_path))
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr.count("\n") == 1 and "apt-get install python3-yaml" in done.stderr
    # What reads no YAML goes on without it.
    done = bench("compare", published, published, "-o", tmp_path / "out", cwd=tmp_path,
                 PYTHONPATH=str(tmp_path))
    assert done.returncode == 0


def test_a_file_that_is_not_there(tmp_path):
    pytest.importorskip("yaml")
    done = bench("run", "none.yaml", cwd=tmp_path)
    assert done.returncode == 1 and done.stderr == "bench/vms: none.yaml: No such file or directory\n"


@pytest.mark.parametrize("path", sorted((BENCH / "vmbench" / "files").glob("*.yaml")),
                         ids=lambda path: path.name)
def test_the_files_here(path):
    pytest.importorskip("yaml")
    if path.name.startswith("plot-"):
        files.load_plot(path)
    else:
        files.load_benchmark(path).check()


# Plot files

SERIES = """
name: drivers
title: vmnet-helper and socket_vmnet
networks: [vmnet-helper, socket_vmnet]
drivers: [vfkit, "krunkit:offload", vz]
vms: [1, 2]
operation-modes: [shared, host]
tests: [host-to-vm, vm-to-vm]
"""


def test_plot_file(tmp_path, published):
    pytest.importorskip("yaml")
    write(tmp_path / "x.yaml", SERIES)
    done = bench("plot", "x.yaml", "-o", published, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = (published / "plot" / "drivers" / "shared.md").read_text()
    assert text in done.stdout and text == """vmnet-helper and socket_vmnet, shared network

| Gbit/s | host-to-vm | vm-to-vm |
|---|---|---|
| vmnet-helper vfkit #2 | 10.00 | 11.00 |
| vmnet-helper krunkit:offload #2 | 40.00 | - |
| socket_vmnet vz #1 | 3.00 | - |
| socket_vmnet vz #2 | 2.00 | - |
"""
    assert not (published / "plot" / "drivers" / "host.md").exists()
    pytest.importorskip("matplotlib")
    assert (published / "plot" / "drivers" / "shared.png").read_bytes().startswith(b"\x89PNG")


def test_two_folders_in_one_plot(tmp_path, published):
    pytest.importorskip("yaml")
    write(tmp_path / "ours/bench/vmnet-helper/shared-vfkit-2/host-to-vm.json", answer(15))
    for given in ("[published, ours]", "{published: published, ours: ours}"):
        plan = files.load_plot(write(tmp_path / "both.yaml", f"drivers: [vfkit]\nresults: {given}\n"))
        known = {label: folders.read(tmp_path / folder) for label, folder in plan.results.items()}
        assert plots.series_of(plan, "shared", known) == [
            plots.Series("published vfkit", [10, 11, None]), plots.Series("ours vfkit", [15, None, None])]


def test_nothing_to_plot(tmp_path, published):
    pytest.importorskip("yaml")
    write(tmp_path / "x.yaml", "drivers: [none]")
    done = bench("plot", "x.yaml", "-o", published, cwd=tmp_path)
    assert done.returncode == 1 and "nothing of what it names" in done.stderr
    write(tmp_path / "x.yaml", "title: x")
    assert "drivers is missing" in bench("plot", "x.yaml", cwd=tmp_path).stderr


def test_compare(tmp_path, published):
    ours = tmp_path / "ours"
    row = results.Row("vmnet-helper", "vfkit", "shared", "host-to-vm", [results.Sample(15e9, 0)])
    write(ours / "results.json", results.to_json([row], {}))
    done = bench("compare", published, ours, "-o", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out" / "comparison.md").read_text()
    assert text in done.stdout
    assert "| VM | mode | direction | published: Gbit/s | ours: Gbit/s | change |" in text
    assert "| vfkit | shared | host-to-vm | 10.00 | 15.00 | +50 % |" in text
    assert "| socket_vmnet vz #1 | shared | host-to-vm | 3.00 | - | - |" in text
