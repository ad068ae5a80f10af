"""Who takes part, in the order of the tables."""

from contestants import OFFLOAD, Loop, Ours, OursCaptured, OursNative, PlainTap, Veth, VethWithOffload
from user_mode import Gvproxy, Passt, Slirp4netns


def baselines(program):
    """Another build of the helper, to compare a change with what was before it."""
    return [Ours("baseline", "base", program=program),
            Ours("baseline, offload", "baseoff", *OFFLOAD, offload=True, program=program)]


def all_contestants():
    """In the order of the tables."""
    return [Ours("ours", "ours"),
            Loop("ours, engine off", "off", "engine-off"),
            Loop("one-frame loop", "loop", "one-frame-loop"),
            PlainTap("plain TAP", "tap"),
            Veth("veth, no offload", "veth"),
            Passt("passt", "passt"),
            Slirp4netns("slirp4netns", "slirp"),
            Gvproxy("gvproxy", "gv"),
            Ours("ours, offload", "oursoff", *OFFLOAD, offload=True),
            OursCaptured("ours, capture", "capture"),
            OursNative("ours, native", "native", offload=True),
            PlainTap("plain TAP, TSO", "taptso", offload=True),
            VethWithOffload("veth, TSO", "vethtso")]
