"""bench/vms without its VMs: what it makes of iperf3's answers and of the process table."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

BENCH = pathlib.Path(__file__).resolve().parent.parent.parent / "bench"
sys.path.insert(0, str(BENCH))

from vmbench import files, machines, plots, results, runs  # noqa: E402


def iperf3(gigabits=8):
    return json.dumps({"end": {"sum_sent": {"bits_per_second": 9e9, "retransmits": 7},
                               "sum_received": {"bits_per_second": gigabits * 1e9}}})


def row(*bits, helper=0.5, driver="qemu", direction="host-to-vm", note="", **more):
    samples = [results.Sample(value * 1e9, 0, {"helper": helper, "vm": 1.5, "all": None})
               for value in bits]
    return results.Row("vmnet-helper", driver, "shared", direction, samples, note, **more)


def test_iperf3s_answers():
    assert results.parse_iperf3(iperf3()) == (8e9, 7)
    with pytest.raises(ValueError, match="unable to connect"):
        results.parse_iperf3('{"error": "unable to connect"}')
    for text in ("", "iperf3: no", "[]", "{}", '{"end": {}}'):
        with pytest.raises(ValueError):
            results.parse_iperf3(text)


def test_table():
    text = results.markdown([row(2, 4, 3), row(note="failed: no route", direction="vm-to-vm")],
                            {"system": "x"})
    assert "| qemu | shared | host-to-vm | 3.00 (2.00 to 4.00) | 50 % | 1.33 s | 150 % | - |" in text
    assert "| qemu | shared | vm-to-vm | failed: no route | - | - | - | - |" in text
    assert "| - | - |" in results.markdown([row(1, helper=None)], {})


def test_json_there_and_back():
    rows = [row(1, 2), row(note="x")]
    assert results.from_json(results.to_json(rows, {"a": 1})) == rows


def test_before_and_after():
    old = [row(2), row(3, direction="vm-to-vm"), row(note="failed: x", driver="vfkit")]
    new = [row(3, 5), row(1, driver="qemu:tap", vms=3)]
    lines = results.comparison(old, new, ["old", "new"]).splitlines()
    assert lines[0] == "| VM | mode | direction | old: Gbit/s | new: Gbit/s | change |"
    assert lines[2:] == ["| qemu | shared | host-to-vm | 2.00 | 4.00 (3.00 to 5.00) | +100 % |",
                         "| qemu | shared | vm-to-vm | 3.00 | - | - |",
                         "| vfkit | shared | host-to-vm | failed: x | - | - |",
                         "| qemu:tap #3 | shared | host-to-vm | - | 1.00 | - |"]


def test_plot(tmp_path):
    pytest.importorskip("matplotlib")
    assert plots.overview([row(1, 2), row(note="x", driver="other")], tmp_path / "plot.png") == ""
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert plots.before_and_after([row(1)], [row(2)], ["a", "b"], tmp_path / "both.png") == ""
    assert (tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")
    assert "no row" in plots.before_and_after([row(1)], [row(2, vms=3)], ["a", "b"], tmp_path / "none.png")


@pytest.mark.parametrize("driver, connection, name, more", [
    (files.Driver("qemu"), "fd", "qemu", []),
    (files.Driver("qemu"), "tap", "qemu:tap", []),
    (files.Driver("krunkit", offloading=True), "fd", "krunkit:offload",
     ["--enable-tso", "--enable-checksum-offload"]),
    (files.Driver("krunkit", "new", True, "/x/krunkit"), "socket", "krunkit:new-socket",
     ["--driver-command", "/x/krunkit", "--enable-tso", "--enable-checksum-offload"]),
])
def test_a_vm_and_its_name(driver, connection, name, more):
    assert files.label(driver, connection) == name
    plan = files.Benchmark(shared_interface="en0", distro="fedora")
    options = runs.example_options(plan, driver, connection, "bridged")
    assert options == ["--driver", driver.name, "--connection", connection, "--operation-mode", "bridged",
                       "--shared-interface", "en0", "--distro", "fedora", *more]


class StandInVm:
    """A VM whose shell, and whose host's iperf3, answer what the test says."""

    address = "192.0.2.1"

    def __init__(self, said):
        self.said = said

    def shell(self, command, _):
        self.said.append(command)
        return iperf3(5)

    def pids(self):
        return []


def test_what_is_measured_is_kept(tmp_path, monkeypatch):
    said = []

    def on_the_host(words, _):
        said.append(" ".join(words))
        return iperf3(6 + len(said))

    monkeypatch.setattr(machines, "run", on_the_host)
    plan = files.Benchmark(seconds=3, length="64k", rounds=2, output=tmp_path,
                           directions=["host-to-vm", "vm-to-vm", "vm-to-host"])
    rows = [row(direction=direction) for direction in plan.directions]
    stale = tmp_path / "bench" / "vmnet-helper" / "shared-qemu-2" / "host-to-vm.3.json"
    stale.parent.mkdir(parents=True)
    stale.write_text(iperf3())
    runs.measure(plan, rows, [StandInVm(said), StandInVm(said)], [])
    command = "iperf3 --client 192.0.2.1 --json --time 3 --length 64k"
    assert said == [command, command, f"{command} --reverse"] * 2
    kept = sorted(path.name for path in stale.parent.iterdir())
    assert kept == ["host-to-vm.2.json", "host-to-vm.json", "vm-to-host.2.json", "vm-to-host.json",
                    "vm-to-vm.2.json", "vm-to-vm.json"]
    assert (stale.parent / "host-to-vm.json").read_text() == iperf3(7)


def test_several_modes_and_a_vm_that_does_not_start(tmp_path, monkeypatch):
    started = []

    class ExampleVm(StandInVm):
        def __init__(self, name, options):
            super().__init__([])
            started.append((name, options[options.index("--operation-mode") + 1]))

        def ready(self):
            if started[-1] == ("bench-two-qemu", "bridged"):
                raise machines.Failure("bench-two-qemu: no | address")

        def close(self):
            started.append("closed")

    monkeypatch.setattr(runs, "ExampleVm", ExampleVm)
    monkeypatch.setattr(machines, "run", lambda *_: iperf3())
    plan = files.Benchmark(drivers=[files.Driver("qemu")], modes=["shared", "bridged"], rounds=1,
                           shared_interface="br0", directions=["host-to-vm"], output=tmp_path)
    [good], [bad] = runs.measure_own(plan)
    assert good.mode == "shared" and good.gigabits == 8
    assert bad.mode == "bridged" and bad.note == "failed: bench-two-qemu: no / address"
    pair = ["bench-one-qemu", "bench-two-qemu"]
    assert started == [*[(name, "shared") for name in pair], "closed", "closed",
                       *[(name, "bridged") for name in pair], "closed", "closed"]


def test_only_its_own_vms_are_deleted(tmp_path):
    for name in ("bench-one-qemu", "bench-two-qemu", "bench-mark", "mine"):
        (tmp_path / "vms" / name).mkdir(parents=True)
    subprocess.run([sys.executable, BENCH / "vms", "delete"], check=True, capture_output=True,
                   env={**os.environ, "VMNET_HOME": str(tmp_path)})
    assert sorted(path.name for path in (tmp_path / "vms").iterdir()) == ["bench-mark", "mine"]


def test_who_is_who(monkeypatch):
    table = {1: (0, "init"), 10: (1, "sudo"), 11: (10, "vmnet-helper"), 12: (11, "vmnet-helper"),
             20: (1, "qemu-system-x86"), 30: (1, "qemu-system-x86"), 40: (1, "socket_vmnet")}
    monkeypatch.setattr(machines, "process_table", lambda: table)

    class Vm:
        def pids(self):
            return [10, 20]

    groups = machines.processes_of([Vm()], ["socket_vmnet"])
    assert groups == {"helper": {11, 12, 40}, "vm": {20}}  # 30 is another's


@pytest.mark.parametrize("text, seconds", [("", 0), ("0:01.50", 1.5), ("2:00.00", 120),
                                           ("1:00:00", 3600), ("1-00:00:00", 24 * 3600)])
def test_time_of_ps(text, seconds):
    assert machines.parse_time(text) == seconds


def test_processors_in_use():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        meter = machines.Meter({"helper": {busy.pid}, "vm": set()})
        while machines.cpu_seconds(busy.pid) < 0.3:
            pass
        used = meter.end()
        busy.kill()
    assert used["helper"] > 0 and used["vm"] is None
    assert machines.cpu_seconds(busy.pid) == 0.0


@pytest.mark.parametrize("words", [["--peer", "x"], ["--vm", "a", "b"], ["--mode", "bridged"],
                                   ["--mode", "x"], ["--rounds", "0"], ["--driver", "../x"],
                                   ["plot"], ["compare", "x"]])
def test_refused(words, tmp_path):
    # Nothing can be started by mistake.
    done = subprocess.run([sys.executable, BENCH / "vms", *words], capture_output=True, text=True,
                          env={"PATH": str(tmp_path), "HOME": str(tmp_path)})
    assert done.returncode == 2 and done.stdout == ""
