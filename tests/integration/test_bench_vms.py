"""bench/vms --peer: network namespaces in the place of a peer's VMs."""

import json
import os
import signal

from support.lab import REPOSITORY, run


def test_peer(lab, host, folder):
    host.ip("link add bench0 type bridge", "addr add 10.9.0.1/24 dev bench0", "link set bench0 up")
    words = []
    for number in (1, 2):
        vm = lab.namespace(f"peer{number}")
        host.ip(f"link add port{number} type veth peer name eth0 netns {vm.name}",
                f"link set port{number} master bench0 up")
        vm.ip(f"addr add 10.9.0.1{number}/24 dev eth0", "link set eth0 up")
        words += ["--vm", f"ip netns exec {vm.name} sh -c", f"10.9.0.1{number}"]
    try:
        done = host.run(REPOSITORY / "bench" / "vms", "--peer", "a bridge", "--seconds", "1", "--rounds",
                        "1", "--output", folder, *words, timeout=60,
                        env={**os.environ, "MPLCONFIGDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"})
        rows = json.loads((folder / "results.json").read_text())["rows"]
        assert [row["direction"] for row in rows] == ["host-to-vm", "vm-to-vm", "vm-to-host"]
        assert all(row["samples"][0]["bits_per_second"] > 0 for row in rows)
        assert all(row["samples"][0]["processors"]["all"] > 0 for row in rows)
        text = (folder / "results.md").read_text()
        assert text in done.stdout and "| a bridge vm | shared | vm-to-vm | " in text
        answers = folder / "bench" / "a bridge" / "shared-vm-2"
        for row in rows:  # iperf3's own answers are kept
            end = json.loads((answers / f"{row['direction']}.json").read_text())["end"]
            assert end["sum_received"]["bits_per_second"] == row["samples"][0]["bits_per_second"]
        # A second run replaces its rows; what cannot be measured is a row that says why.
        words[-1] = "10.9.0.99"
        again = host.run(REPOSITORY / "bench" / "vms", "--peer", "a bridge", "--seconds", "1",
                         "--rounds", "1", "--output", folder, *words, timeout=120, check=False,
                         env={**os.environ, "MPLCONFIGDIR": str(folder)})
        assert again.returncode == 1
        text = (folder / "results.md").read_text()
        assert text.count("| a bridge vm |") == 3 and "| vm-to-vm | failed: " in text
        assert not (answers / "vm-to-vm.json").exists() and (answers / "host-to-vm.json").exists()
    finally:
        for number in (1, 2):
            for pid in run("ip", "netns", "pids", f"peer{number}").stdout.split():
                os.kill(int(pid), signal.SIGKILL)
        host.ip("link del bench0", "link del port1", "link del port2")
