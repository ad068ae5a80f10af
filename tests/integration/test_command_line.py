"""The command line: what is refused and how, --help, --version, --list-shared-interfaces."""

import re
import socket

import pytest

from support.checks import assert_refused
from support.helper import Helper, run_to_end
from support.installation import PREFIX, ROOT, SETUID_COPY, Way

ID = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
RANGE = ("--start-address=192.168.70.1", "--end-address=192.168.70.254",
         "--subnet-mask=255.255.255.0")
# The plain copy, started by a user without any privilege.
UNPRIVILEGED = Way("unprivileged", PREFIX, "alice", "alice")


def addresses(start="192.168.70.1", end="192.168.70.254", mask="255.255.255.0"):
    return ("--fd=3", f"--start-address={start}", f"--end-address={end}", f"--subnet-mask={mask}")


# Options -> what the one line must name. Descriptor 3 is never reached: these are usage errors.
USAGE_ERRORS = {
    "nothing": ((), ["--fd", "--socket"]),
    "fd and socket": (("--fd=3", "--socket=/tmp/s"), ["--fd", "--socket"]),
    "unknown option": (("--fd=3", "--no-such-option"), ["--no-such-option"]),
    "unknown short option": (("--fd=3", "-Z"), ["Z"]),
    "argument left over": (("--fd=3", "left-over"), ["left-over"]),
    "value missing": (("--fd",), ["--fd"]),
    "value where none goes": (("--fd=3", "--enable-tso=yes"), ["--enable-tso"]),
    "fd is no number": (("--fd=abc",), ["--fd", "abc"]),
    "fd is negative": (("--fd=-1",), ["--fd", "-1"]),
    "fd is hexadecimal": (("--fd=0x3",), ["--fd", "0x3"]),
    "fd has a tail": (("--fd=3x",), ["--fd", "3x"]),
    "fd is empty": (("--fd=",), ["--fd"]),
    "fd overflows": (("--fd=4294967299",), ["--fd", "4294967299"]),
    "mode": (("--fd=3", "--operation-mode=nat"), ["--operation-mode", "nat"]),
    "bridged alone": (("--fd=3", "--operation-mode=bridged"), ["--shared-interface"]),
    "bridged, isolated": (("--fd=3", "--operation-mode=bridged", "--shared-interface=uplink0",
                           "--enable-isolation"), ["--enable-isolation"]),
    "start alone": (("--fd=3", RANGE[0]), ["--end-address"]),
    "mask alone": (("--fd=3", RANGE[2]), ["--start-address"]),
    "no mask": (("--fd=3", *RANGE[:2]), ["--subnet-mask"]),
    "three numbers": (addresses(start="192.168.1"), ["--start-address", "192.168.1"]),
    "octal": (addresses(start="192.168.070.1"), ["--start-address", "192.168.070.1"]),
    "hexadecimal": (addresses(start="0xc0.168.70.1"), ["--start-address", "0xc0.168.70.1"]),
    "one number": (addresses(start="3232253441"), ["--start-address", "3232253441"]),
    "too large": (addresses(end="192.168.70.256"), ["--end-address", "192.168.70.256"]),
    "trailing space": (addresses(start="192.168.70.1 "), ["--start-address"]),
    "trailing newline": (addresses(start="192.168.70.1\nx"), ["--start-address", "\\n"]),
    "trailing letter": (addresses(start="192.168.70.1x"), ["--start-address", "192.168.70.1x"]),
    "leading plus": (addresses(start="+192.168.70.1"), ["--start-address"]),
    "empty address": (addresses(start=""), ["--start-address"]),
    "IPv6": (addresses(start="fd00::1"), ["--start-address", "fd00::1"]),
    "public": (addresses("8.8.8.1", "8.8.8.100"), ["8.8.8.1"]),
    "beside 172.16/12": (addresses("172.32.0.1", "172.32.0.9"), ["172.32.0.1"]),
    "test net": (addresses("192.0.2.1", "192.0.2.9"), ["192.0.2.1"]),
    "start after end": (addresses("192.168.70.9", "192.168.70.3"), ["192.168.70.9"]),
    "start is end": (addresses("192.168.70.9", "192.168.70.9"), ["192.168.70.9"]),
    "end elsewhere": (addresses(end="192.168.71.9"), ["192.168.71.9"]),
    "mask with a hole": (addresses(mask="255.0.255.0"), ["--subnet-mask", "255.0.255.0"]),
    "mask of zero": (addresses(mask="0.0.0.0"), ["--subnet-mask", "0.0.0.0"]),
    "mask of one host": (addresses(mask="255.255.255.255"), ["--subnet-mask"]),
    "start is the network": (addresses(start="192.168.70.0"), ["192.168.70.0"]),
    "end is the broadcast": (addresses(end="192.168.70.255"), ["192.168.70.255"]),
    "network and mode": (("--fd=3", "--network=shared", "--operation-mode=host"), ["--network"]),
    "network and interface": (("--fd=3", "--network=shared", "--shared-interface=eth0"),
                              ["--network"]),
    "network and addresses": (("--fd=3", "--network=shared", *RANGE), ["--network"]),
    "network-id in shared mode": (("--fd=3", f"--network-id={ID}"), ["--network-id"]),
    "network-id is no UUID": (("--fd=3", "--operation-mode=host", "--network-id=blue"),
                              ["--network-id", "blue"]),
    "host address, no network-id": (("--fd=3", "--operation-mode=host",
                                     "--host-ip-address=10.0.0.1",
                                     "--host-subnet-mask=255.255.255.0"), ["--host-ip-address"]),
    "host address, no mask": (("--fd=3", "--operation-mode=host", f"--network-id={ID}",
                               "--host-ip-address=10.0.0.1"), ["--host-subnet-mask"]),
    "interface-id": (("--fd=3", "--interface-id=not-a-uuid"), ["--interface-id", "not-a-uuid"]),
    "interface-id too long": (("--fd=3", f"--interface-id={ID}0"), ["--interface-id"]),
    "interface-id in braces": (("--fd=3", f"--interface-id={{{ID}}}"), ["--interface-id"]),
    "stats of zero": (("--fd=3", "--stats-interval=0"), ["--stats-interval", "0"]),
    "stats negative": (("--fd=3", "--stats-interval=-5"), ["--stats-interval", "-5"]),
    "stats no number": (("--fd=3", "--stats-interval=1m"), ["--stats-interval", "1m"]),
    "dns": (("--fd=3", "--dns=resolver"), ["--dns", "resolver"]),
    "escape in a value": (("--fd=3", "--operation-mode=\x1b[2Jhost\"'"), ["--operation-mode"]),
    "socket path too long": ((f"--socket=/tmp/{'x' * 120}",), ["--socket"]),
    "socket path empty": (("--socket=",), ["--socket"]),
}


@pytest.mark.parametrize("options, named", USAGE_ERRORS.values(), ids=USAGE_ERRORS.keys())
def test_usage_error(host, options, named):
    assert_refused(run_to_end(host, *options, bare=True), named)


@pytest.mark.parametrize("name", ["no-such-nic", "lo;reboot", "up\nlink", "%d", "x" * 16, "../lo",
                                  "", "vmnet-tap%d"])
def test_shared_interface_that_does_not_exist(host, name):
    result = run_to_end(host, "--operation-mode=bridged", f"--shared-interface={name}")
    assert_refused(result, ["interface"])


@pytest.mark.parametrize("fd", [3, 4, 5, 6, 57])
def test_fd_that_is_not_open(host, fd):
    """Small ones too, which the helper's own descriptors take next."""
    assert_refused(run_to_end(host, f"--fd={fd}", bare=True), [f"--fd {fd}: no such open descriptor"])


@pytest.mark.parametrize("family, kind", [(socket.AF_UNIX, socket.SOCK_STREAM),
                                          (socket.AF_INET, socket.SOCK_DGRAM)])
def test_fd_that_is_another_kind_of_socket(host, family, kind):
    with socket.socket(family, kind) as other:
        other.set_inheritable(True)
        helper = Helper(host, "--fd", other.fileno(), bare=True, pass_fds=(other.fileno(),))
        helper.process.wait(10)
        assert_refused((helper.process.returncode, helper.rest_of_stdout(), helper.stderr()),
                       ["--fd", str(other.fileno())])


def test_fd_that_is_a_file(host):
    assert_refused(run_to_end(host, "--fd=0", bare=True), ["--fd", "0"])


@pytest.mark.parametrize("way", [UNPRIVILEGED, ROOT, SETUID_COPY], ids=lambda way: way.name)
def test_help(host, way):
    for option in ("--help", "-h"):
        status, out, err = run_to_end(host, option, way=way, bare=True)
        assert (status, err) == (0, "")
        for name in ("--fd", "--socket", "--interface-id", "--operation-mode", "--shared-interface",
                     "--start-address", "--end-address", "--subnet-mask", "--enable-tso",
                     "--enable-checksum-offload", "--enable-isolation", "--network", "--network-id",
                     "--host-ip-address", "--host-subnet-mask", "--list-shared-interfaces",
                     "--stats-interval", "--verbose", "--version", "--help", "--dns"):
            assert re.search(rf"^ .*{name}\b", out, re.MULTILINE), f"{name} is not explained"
        assert out.count("default") >= 10


def test_version(host):
    status, out, err = run_to_end(host, "--version", way=UNPRIVILEGED, bare=True)
    assert (status, err) == (0, "")
    found = re.fullmatch(r"version: v(\d+)\.(\d+)\.(\d+)\S*\ncommit: (\S+)\n", out)
    assert found and tuple(int(part) for part in found.groups()[:3]) > (0, 13, 0), out


def test_list_shared_interfaces(host):
    host.ip("link add br-lan type bridge", "link set br-lan up")
    status, out, err = run_to_end(host, "--list-shared-interfaces", way=UNPRIVILEGED, bare=True)
    host.ip("link del br-lan")
    assert (status, err) == (0, "")
    assert {"br-lan", "uplink0"} <= set(out.splitlines())
    assert "lo" not in out.splitlines()


def test_list_does_not_offer_our_own_devices(host, start):
    ours = start().json["host_interface"]
    _, out, _ = run_to_end(host, "--list-shared-interfaces", bare=True)
    assert ours not in out and "vmnet" not in out


def test_value_after_space_or_equals_sign(start):
    first = start("--operation-mode", "host", "--interface-id", ID)
    second = start("--operation-mode=host", f"--interface-id={ID[:-1]}9")
    assert first.json["vmnet_start_address"] == second.json["vmnet_start_address"]
    assert first.json["vmnet_interface_id"] == ID.upper()


def test_short_options(start):
    assert start("-v", "-i", ID).json["vmnet_interface_id"] == ID.upper()


def test_shared_interface_outside_bridged_mode_is_ignored(start):
    assert start("--shared-interface=no-such-nic").json["vmnet_start_address"] == "192.168.64.1"


def test_without_privilege(host):
    assert_refused(run_to_end(host, way=UNPRIVILEGED), [])


def test_verbose_adds_debug_lines_only(start):
    quiet, talkative = start(), start("--verbose")
    for helper in (quiet, talkative):
        helper.stop()
        for line in helper.stderr().splitlines():
            assert re.match(r"(DEBUG|INFO |WARN |ERROR) \[\w+\] \S", line), line
    assert not quiet.log_lines("DEBUG") and talkative.log_lines("DEBUG")
