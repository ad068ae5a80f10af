"""/etc/vmnet-helper.conf: what users may ask for, said by the administrator; and what they may not
without it."""

import os
import pathlib
import shutil
from dataclasses import replace

import pytest

from support.checks import assert_apart, assert_reach, assert_refused
from support.helper import run_to_end
from support.installation import CAPABLE_COPY, ROOT, ROOT_FOR_ALICE, SETUID_COPY, SUDO, WAYS

CONF = pathlib.Path("/etc/vmnet-helper.conf")
NETWORK = "11111111-2222-4333-8444-555555555555"
PRIVATE = ("--operation-mode=host", f"--network-id={NETWORK}")
MALLORY = replace(SETUID_COPY, name="mallory", user="mallory", runs_as="mallory")
USERS = pytest.mark.parametrize("way", [ROOT_FOR_ALICE, SUDO, SETUID_COPY, CAPABLE_COPY],
                                ids=lambda way: way.name)
EVERY_WAY = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)


@pytest.fixture
def conf(host):
    def write(text, mode=0o644):
        CONF.write_text(text)
        CONF.chmod(mode)

    yield write
    if CONF.is_dir() and not CONF.is_symlink():
        CONF.rmdir()
    CONF.unlink(missing_ok=True)


def subnet(start, mask):
    first = start.rsplit(".", 1)[0]
    return (f"--start-address={start}", f"--end-address={first}.99", f"--subnet-mask={mask}")


def private_subnet(start, mask):
    return (*PRIVATE, f"--host-ip-address={start}", f"--host-subnet-mask={mask}")


def network_ids(count):
    return [f"{number:08x}-2222-4333-8444-555555555555" for number in range(count)]


@USERS
def test_large_subnets_are_not_for_users(host, start, conf, way):
    for mode in ((), ("--operation-mode=host",)):
        for large in ("255.0.0.0", "255.255.224.0"):
            assert_refused(run_to_end(host, *mode, *subnet("10.0.0.1", large), way=way),
                           ["10.0.0.0/", "255.255.240.0", str(CONF)])
    assert_refused(run_to_end(host, *private_subnet("10.0.0.1", "255.0.0.0"), way=way), ["10.0.0.0/8"])
    start(*subnet("10.0.0.1", "255.255.240.0"), way=way).stop()
    conf("largest-subnet = 8\n")
    start(*subnet("10.0.0.1", "255.0.0.0"), way=way).stop()


def test_root_is_bound_by_no_limit(start, conf):
    conf("largest-subnet = 28\nsubnets =\nnetworks-per-user = 0\n")
    start(*subnet("10.0.0.1", "255.0.0.0"), way=ROOT).stop()
    start(way=ROOT).stop()


@USERS
def test_a_user_has_eight_networks(host, plug, conf, way):
    ids = network_ids(9)
    for network in ids[:8]:
        plug("--operation-mode=host", f"--network-id={network}", way=way)
    another = ("--operation-mode=host", f"--network-id={ids[8]}")
    for options in (another, (), ("--operation-mode=host",), subnet("10.0.0.1", "255.255.255.0")):
        assert_refused(run_to_end(host, *options, way=way), ["8", str(CONF)])
    # To join one of them is another matter, and what others have another one.
    plug("--operation-mode=host", f"--network-id={ids[0]}", way=way)
    plug(*another, way=MALLORY)
    plug(way=ROOT)
    plug(way=way)
    conf("networks-per-user = 10\n")
    plug(*another, way=way)


@USERS
def test_subnets_are_those_listed(host, start, conf, way):
    conf("subnets = 10.20.0.0/16 192.168.66.0/23\n")
    for options in (subnet("10.21.0.1", "255.255.255.0"),
                    ("--operation-mode=host", *subnet("10.21.0.1", "255.255.255.0")),
                    private_subnet("10.21.0.1", "255.255.255.0"), ("--operation-mode=host",)):
        refused = run_to_end(host, *options, way=way)
        assert_refused(refused, [])
        assert str(CONF) in refused[2] or "users of this host" in refused[2]
    start(*subnet("10.20.7.1", "255.255.255.0"), way=way).stop()
    assert start(way=way).json["vmnet_start_address"] == "192.168.66.1"


@USERS
def test_shared_interfaces_are_those_listed(host, start, conf, way):
    conf("shared-interfaces = br1\n")
    host.ip("link add br0 type bridge", "link add br1 type bridge", "link set br0 up", "link set br1 up")
    bridged = ("--operation-mode=bridged", "--shared-interface")
    for name in ("br0", "uplink0", "lo", "br"):
        assert_refused(run_to_end(host, *bridged, name, way=way), [f"'{name}'", "br1", str(CONF)])
    start(*bridged, "br1", way=way).stop()
    start("--shared-interface", "br0", way=way).stop()
    host.ip("link del br0", "link del br1")


def place(guest, address):
    guest.ip = address
    guest.gateway_mac = guest.mac
    return guest


def test_a_network_of_several_users(plug, conf):
    conf(f"shared-network-ids = {NETWORK.upper()}\n")
    alice, mallory, root = (place(plug(*PRIVATE, way=way), f"10.0.0.{number}")
                            for number, way in ((1, SETUID_COPY), (2, MALLORY), (3, ROOT)))
    assert_reach(alice, mallory)
    assert_reach(root, mallory)


def test_a_named_network_of_several_users(plug, conf):
    conf("shared-networks = lab\n")
    alice, mallory, root = (plug("--network=LAB", way=way) for way in (SETUID_COPY, MALLORY, ROOT))
    for guest in (alice, mallory, root):
        guest.dhcp()
    assert_reach(alice, mallory)
    assert_reach(root, mallory)
    own = plug("--network=web", way=SETUID_COPY), plug("--network=web", way=MALLORY)
    assert own[0].helper.json["net_ipv4_subnet"] != own[1].helper.json["net_ipv4_subnet"]


def test_a_network_that_is_no_more_several_users(plug, conf):
    conf(f"shared-network-ids = {NETWORK}\n")
    alice = place(plug(*PRIVATE, way=SETUID_COPY), "10.0.0.1")
    conf("")
    assert_apart(alice, place(plug(*PRIVATE, way=MALLORY), "10.0.0.2"))


@EVERY_WAY
@pytest.mark.parametrize("text, said", [
    ("subnet = 10.0.0.0/8", "line 1: 'subnet': no such key"), ("\n\nsubnets", "line 3: "),
    ("largest-subnet = x", "line 1: largest-subnet 'x'"), ("# \x1b[2J", "control character"),
    ("#" * 70000, "64 KiB"), ("subnets = 10.0.0.0/8\nsubnets = 10.0.0.0/8", "line 2: ")])
def test_a_file_that_is_wrong_starts_nothing(host, conf, folder, way, text, said):
    conf(text)
    path = folder / "socket"
    assert_refused(run_to_end(host, path=path, way=way), [str(CONF), said])
    assert not path.exists()


@EVERY_WAY
def test_a_file_that_others_may_write_starts_nothing(host, conf, way):
    for mode in (0o664, 0o646, 0o666):
        conf("", mode)
        assert_refused(run_to_end(host, way=way), [str(CONF), "chmod go-w"])
    conf("")
    shutil.chown(CONF, "alice")
    assert_refused(run_to_end(host, way=way), [str(CONF), "47001", "chown"])


@EVERY_WAY
def test_something_else_than_a_file_starts_nothing(host, conf, way):
    conf.__closure__  # the fixture removes it
    CONF.symlink_to("/etc/hostname")
    assert_refused(run_to_end(host, way=way), [str(CONF), "symbolic link"])
    CONF.unlink()
    CONF.symlink_to("/etc/is-not-there")
    assert_refused(run_to_end(host, way=way), [str(CONF), "symbolic link"])
    CONF.unlink()
    os.mkfifo(CONF, 0o644)
    assert_refused(run_to_end(host, way=way), [str(CONF), "regular file"])
    CONF.unlink()
    CONF.mkdir()
    assert_refused(run_to_end(host, way=way), [str(CONF), "regular file"])


@EVERY_WAY
def test_a_file_that_only_root_reads(host, start, conf, way):
    conf("# nothing\nlargest-subnet = 24\n", 0o600)
    start(way=way).stop()
    if way.runs_as != "root":
        assert_refused(run_to_end(host, *subnet("10.0.0.1", "255.255.254.0"), way=way), ["10.0.0.0/23"])
