"""Measures, inside enter_lab: see scripts/bench."""

import argparse
import json
import os
import pathlib
import platform
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "bench"))

import phases  # noqa: E402
import results  # noqa: E402
from support import installation  # noqa: E402
from support.lab import require_lab  # noqa: E402


def parse_options(words):
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--only", type=re.compile)
    parser.add_argument("--contestants", type=re.compile)
    parser.add_argument("--baseline")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "build" / "bench")
    options = parser.parse_args(words)
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.seconds = options.seconds or (1 if options.quick else 2)
    return options


def environment(options):
    cpu = next(line.split(":")[1].strip()
               for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
               if line.startswith("model name"))
    return (f"{os.cpu_count()} CPUs ({cpu}), Linux {platform.release()}, MTU 1500, medians of "
            f"{options.rounds} rounds of {options.seconds:g} s, with the least and the largest.")


def main():
    require_lab()
    options = parse_options(sys.argv[1:])
    installation.install()
    run = phases.Run(options)
    phases.run_all(run)
    if not run.results.samples:
        sys.exit("bench: nothing was measured")
    options.output.mkdir(parents=True, exist_ok=True)
    text = results.report(run.results, environment(options))
    (options.output / "results.md").write_text(text)
    (options.output / "results.json").write_text(json.dumps(
        {"environment": environment(options), **run.results.as_json()}, indent=1,
        ensure_ascii=False))
    print(text)


if __name__ == "__main__":
    main()
