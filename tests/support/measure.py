"""Prints, and does not judge: how long a helper takes from exec to its JSON line, alone and beside
12 others, and how much memory its processes hold. Run inside enter_lab by scripts/test."""

import json
import os
import pathlib
import signal
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from support import installation  # noqa: E402
from support.helper import cable, descendants, helper_processes, status  # noqa: E402
from support.lab import PYTHON, Lab  # noqa: E402

ROUNDS = 15
OTHERS = 12


class Start:
    """A helper started in the caller's namespace with as little between the clock and its exec as
    Python allows: `milliseconds` to its JSON line, and the line, None if there was none. Its other
    end is `vm`."""

    def __init__(self):
        helper_end, self.vm = cable()
        os.set_inheritable(helper_end.fileno(), True)
        read_end, write_end = os.pipe()
        program = str(installation.PREFIX / "bin" / "vmnet-helper")
        begin = time.monotonic()
        self.pid = os.posix_spawn(program, [program, "--fd", str(helper_end.fileno())], {},
                                  file_actions=[(os.POSIX_SPAWN_DUP2, write_end, 1)])
        os.close(write_end)
        with os.fdopen(read_end) as out:
            line = out.readline()
            self.milliseconds = (time.monotonic() - begin) * 1000
        helper_end.close()
        self.json = json.loads(line) if line else None

    def pids(self):
        return [self.pid, *descendants(self.pid)]

    def stop(self):
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)
        self.vm.close()


def started():
    helper = Start()
    if helper.json is None:
        sys.exit("measure: a helper did not start")
    return helper


def start_times():
    """Milliseconds from exec to JSON of ROUNDS helpers, one after the other."""
    times = []
    for _ in range(ROUNDS):
        helper = started()
        times.append(helper.milliseconds)
        helper.stop()
    return times


def show(title, times):
    print(f"start, exec to JSON, {title}: median {statistics.median(times):.1f} ms "
          f"(min {min(times):.1f}, max {max(times):.1f}, {len(times)} starts)")
    return statistics.median(times)


def inside():
    alone = show("no other VM", start_times())
    others = [started() for _ in range(OTHERS)]
    beside = show(f"{OTHERS} other VMs", start_times())
    worker = others[0].pid
    keeper = next(pid for pid in helper_processes()
                  if status(pid)["PPid"] == str(worker))
    held = {name: int(status(pid)["VmRSS"].split()[0]) / 1024
            for name, pid in (("worker", worker), ("keeper", keeper))}
    print(f"start {alone:.1f} ms alone, {beside:.1f} ms beside {OTHERS} (medians); resident "
          + ", ".join(f"{name} {size:.1f} MiB" for name, size in held.items()))
    for helper in others:
        helper.stop()


def main():
    if "--inside" in sys.argv:
        inside()
        return
    installation.install()
    with Lab() as lab:
        print(lab.host.run(PYTHON, __file__, "--inside", timeout=120).stdout, end="")


if __name__ == "__main__":
    main()
