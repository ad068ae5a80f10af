"""bench/vms without its VMs: what it makes of iperf3's answers and of the process table."""

import json
import pathlib
import subprocess
import sys

import pytest

BENCH = pathlib.Path(__file__).resolve().parent.parent.parent / "bench"
sys.path.insert(0, str(BENCH))

import vm_machines as machines  # noqa: E402
import vm_results as results  # noqa: E402

IPERF3 = json.dumps({"end": {"sum_sent": {"bits_per_second": 9e9, "retransmits": 7},
                             "sum_received": {"bits_per_second": 8e9}}})


def row(*bits, helper=0.5, title="qemu, fd", direction="host to VM", note=""):
    samples = [results.Sample(value * 1e9, 0, {"helper": helper, "vm": 1.5, "all": None})
               for value in bits]
    return results.Row(title, "shared", direction, samples, note)


def test_iperf3s_answers():
    assert results.parse_iperf3(IPERF3) == (8e9, 7)
    with pytest.raises(ValueError, match="unable to connect"):
        results.parse_iperf3('{"error": "unable to connect"}')
    for text in ("", "iperf3: no"):
        with pytest.raises(ValueError):
            results.parse_iperf3(text)


def test_table():
    text = results.markdown([row(2, 4, 3), row(note="failed: no route", direction="VM to VM")],
                            {"system": "x"})
    assert "| qemu, fd | shared | host to VM | 3.00 (2.00 to 4.00) | 50 % | 1.33 s | 150 % | - |" in text
    assert "| qemu, fd | shared | VM to VM | failed: no route | - | - | - | - |" in text
    assert "| - | - |" in results.markdown([row(1, helper=None)], {})


def test_json_there_and_back():
    rows = [row(1, 2), row(note="x")]
    assert results.from_json(results.to_json(rows, {"a": 1})) == rows


def test_plot(tmp_path):
    pytest.importorskip("matplotlib")
    assert results.plot([row(1, 2), row(note="x", title="other")], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


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


@pytest.mark.parametrize("words", [["--peer", "x"], ["--vm", "a", "b"], ["--mode", "bridged"]])
def test_refused(words, tmp_path):
    # Nothing can be started by mistake.
    done = subprocess.run([sys.executable, BENCH / "vms", *words], capture_output=True, text=True,
                          env={"PATH": str(tmp_path), "HOME": str(tmp_path)})
    assert done.returncode == 2 and done.stdout == ""
