"""The phases of a run: which measurements, of whom, in which order."""

import json
import subprocess
import sys

import measurements
import real_vm
import scaling
from contestants import CannotRun, Contestant, Guest
from line_up import all_contestants, baselines
from results import TO_HOST, TO_VM, Results
from support.lab import CommandFailed

# Whom the wider matrix (IPv6, four streams, load) is measured for.
WIDE = ("ours", "baseline", "baseline, offload", "one-frame loop", "ours, offload", "veth, TSO")


class Run:
    """The options and the results of one run."""

    def __init__(self, options):
        self.seconds, self.rounds, self.only = options.seconds, options.rounds, options.only
        self.quick = options.quick
        self.baseline, self.contestants = options.baseline, options.contestants
        self.results = Results()

    def wants(self, measurement):
        return self.only is None or bool(self.only.search(measurement))

    def say(self, *words):
        print(*words, file=sys.stderr, flush=True)

    def take(self, measurement, name, action):
        """One sample; what fails is said and keeps its place in the rounds."""
        try:
            metrics = action()
        except (CannotRun, CommandFailed, subprocess.TimeoutExpired, json.JSONDecodeError,
                OSError) as error:
            self.say(f"{measurement}: {name}: {' '.join(str(error).split())[:300]}")
            metrics = {}
        self.results.add(measurement, name, metrics)

    def in_turn(self, measurement, contestants, action, rounds=None):
        """`rounds` times: each contestant after the other."""
        if not self.wants(measurement):
            return
        self.say(f"== {measurement}")
        for _ in range(rounds or self.rounds):
            for contestant in contestants:
                self.take(measurement, contestant.name, lambda one=contestant: action(one))


def start_contestants(run):
    """Those that can run here, started; why the others cannot is in the results."""
    ready = []
    for contestant in (baselines(run.baseline) if run.baseline else []) + all_contestants():
        if run.contestants and not run.contestants.search(contestant.name):
            continue
        try:
            contestant.start()
            measurements.serve_all(contestant)
            ready.append(contestant)
        except (CannotRun, CommandFailed, AssertionError) as error:
            run.results.skipped[contestant.name] = " ".join(str(error).split())[:300]
            run.say(f"not run: {contestant.name}: {error}")
            contestant.stop()
    return ready


def tcp_phases(run, contestants):
    for name, to_host in ((TO_HOST, True), (TO_VM, False)):
        run.in_turn(name, contestants,
                    lambda one, up=to_host: measurements.tcp(one, up, run.seconds))
    wide = [one for one in contestants if one.name in WIDE]
    rounds = max(1, run.rounds // 2)
    for suffix, ipv6, streams in ((", IPv6", True, 1), (", 4 streams", False, 4),
                                  (", IPv6, 4 streams", True, 4)):
        for name, to_host in ((TO_HOST, True), (TO_VM, False)):
            run.in_turn(name + suffix, wide,
                        lambda one, up=to_host, six=ipv6, many=streams:
                        measurements.tcp(one, up, run.seconds, six, many), rounds)


def latency_phases(run, contestants):
    seconds = max(0.5, run.seconds / 2)
    run.in_turn("round trip, idle", contestants,
                lambda one: measurements.round_trip(one, seconds))
    if run.quick:
        contestants = [one for one in contestants if one.name in WIDE]
    for name, to_host in (("round trip, TCP vm→host beside", True),
                          ("round trip, TCP host→vm beside", False)):
        run.in_turn(name, contestants,
                    lambda one, up=to_host: measurements.round_trip_under_load(one, seconds, up),
                    max(1, run.rounds // 2))


SMALL_FRAMES = {"vm": "64-byte frames vm→host", "device": "64-byte frames host→vm",
                "flood-segments": "64-byte frames host→vm, of a UDP program, 64 a send",
                "flood": "64-byte frames host→vm, of a UDP program, 1 a send"}


def small_frame_phases(run, contestants):
    if not any(run.wants(name) for name in SMALL_FRAMES.values()):
        return
    cables = {}
    for contestant in contestants:
        try:
            cables[contestant] = contestant.raw_cable()
        except CannotRun:
            continue
    for way, name in list(SMALL_FRAMES.items())[:2 if run.quick else None]:
        run.in_turn(name, cables, lambda one, how=way:
                    measurements.small_frames(cables[one], how, max(0.5, run.seconds / 2)))
    for contestant in cables:
        contestant.close_others()


def gro_phase(run, contestants):
    """Late, since it changes the guests' devices for a while."""
    run.in_turn(f"{TO_VM}, guest with GRO",
                [one for one in contestants if isinstance(one.guest, Guest) and not one.offload],
                lambda one: measurements.tcp_with_gro(one, run.seconds))


def vm_to_vm_phase(run, contestants):
    several = [one for one in contestants if type(one).another is not Contestant.another]
    run.in_turn("tcp vm→vm", several, lambda one: measurements.vm_to_vm(one, run.seconds))


def memory_phase(run, contestants):
    ours = [one for one in contestants if one.name == "ours"]
    run.in_turn("start, beside one VM", ours, measurements.start_alone, 3 * run.rounds)
    run.in_turn("memory after the load", [one for one in contestants if one.helper_pids()],
                lambda one: {"memory_mib": measurements.resident_mib(one.helper_pids())}, 1)
    run.in_turn("drops that the helper counted, all of the run",
                [one for one in contestants if one.drops() is not None],
                lambda one: {"drops": one.drops()}, 1)


def run_all(run):
    contestants = start_contestants(run)
    try:
        tcp_phases(run, contestants)
        vm_to_vm_phase(run, contestants)
        latency_phases(run, contestants)
        small_frame_phases(run, contestants)
        gro_phase(run, contestants)
        memory_phase(run, contestants)
    finally:
        for contestant in contestants:
            contestant.stop()
    real_vm.run_phase(run)
    scaling.run_beside_phase(run, scaling.BESIDE_SIZES)
    scaling.run_phase(run, (1, 8) if run.quick else (1, 2, 4, 8, 16, 32, 64))
