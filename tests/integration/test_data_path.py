"""Bytes through every mix of guests come out as they went in: TCP and UDP, IPv4 and IPv6, VMs with
and without offload, the host, under loss. Each frame that reaches a guest has right checksums, and
the kernel refuses none of the frames that the helper builds."""

import json
import random
import subprocess
import time

import pytest
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from support.kernel_guest import KernelGuest
from support.lab import PYTHON, SUPPORT, TIMEOUT, end
from support.snapshot import wait_until

MEBIBYTE = 1 << 20
OFFLOAD = ("--enable-tso", "--enable-checksum-offload")
PLAIN_FRAME, OFFLOAD_FRAME = 1514, 65_550
TRANSFER = SUPPORT / "transfer.py"


class End:
    """An end of a transfer: a namespace with the server, and its addresses."""

    def __init__(self, namespace, *addresses):
        self.namespace = namespace
        self.addresses = addresses
        self.server = namespace.start(PYTHON, TRANSFER, "serve", stdout=subprocess.PIPE, text=True,
                                      stdin=subprocess.DEVNULL)
        assert self.server.stdout.readline() == "ready\n"

    def transfer(self, command, host, *words):
        return self.namespace.run(PYTHON, TRANSFER, command, host, *words, timeout=600).stdout


class Vm(End):
    """A guest with a kernel's network stack, each incoming frame checked."""

    def __init__(self, lab, plug, name, kind):
        self.kind = kind
        options = OFFLOAD if kind == "offload" else ()
        guest = plug("--stats-interval=1", *options)
        self.helper = guest.helper
        self.guest = KernelGuest(lab, name, guest.mac, guest.socket, offload=kind == "offload",
                                 check=True).dhcp()
        super().__init__(self.guest.namespace, self.helper.json["ip_address"],
                         self.guest.address6())

    def counts(self):
        """The helper's counters, read after all that was sent."""
        before = len(self.helper.log_lines())
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            lines = [line for line in self.helper.log_lines()[before:] if "[stats]" in line]
            if lines:
                return json.loads(lines[-1].partition("[stats] ")[2])
            time.sleep(0.1)
        raise AssertionError("no counters within the time")

    def assert_well_served(self):
        """No frame with a wrong checksum or of a wrong size; none of ours refused by the TAP."""
        seen = self.guest.checked()
        assert seen["frames"] > 100
        assert not seen["bad"], seen["bad"]
        assert seen["largest"] <= (OFFLOAD_FRAME if self.kind == "offload" else PLAIN_FRAME)
        assert self.counts()["vm"]["drops"] == 0
        return seen


@pytest.fixture
def ends(lab, plug, host):
    """ends("host", "plain", "offload") starts what is named; a guest's name is its place."""
    made = []

    def make(*kinds):
        for number, kind in enumerate(kinds):
            made.append(host_end(host) if kind == "host" else Vm(lab, plug, f"vm{number}", kind))
        return made

    yield make
    for one in made:
        end(one.server)


def host_end(host):
    """The host with the gateway's addresses; the first guest has made the network."""
    lines = [line.split() for line in host.run("ip", "-brief", "addr").stdout.splitlines()]
    bridge = next((line for line in lines if line[0] == "vmnet-shared0"), None)
    assert bridge, "start a guest before the host's end"
    v4 = next(word for word in bridge[2:] if "." in word)
    v6 = next(word for word in bridge[2:] if word.startswith("fd"))
    return End(host, v4.split("/")[0], v6.split("/")[0])


MIXES = [("plain", "host"), ("offload", "host"), ("plain", "plain"), ("plain", "offload"),
         ("offload", "offload")]


def both_ways(first, second, size):
    """Both ends serve and ask, over both families: four transfers of `size` bytes."""
    for seed, address in enumerate(second.addresses):
        first.transfer("upload", address, size, seed)
        first.transfer("download", address, size, seed + 10)


def assert_well_served(*all_ends):
    for one in all_ends:
        if isinstance(one, Vm):
            one.assert_well_served()


@pytest.mark.parametrize("mix", MIXES, ids="-".join)
def test_tcp(ends, mix):
    first, second = ends(*mix)
    both_ways(first, second, 12 * MEBIBYTE)
    if mix[1] != "host":
        second.transfer("upload", first.addresses[0], 4 * MEBIBYTE)
    assert_well_served(first, second)


@pytest.mark.slow
@pytest.mark.parametrize("mix", MIXES, ids="-".join)
def test_gigabytes(ends, mix):
    first, second = ends(*mix)
    both_ways(first, second, 512 * MEBIBYTE)
    assert_well_served(first, second)


def test_large_frames_reach_offload_guests_whole(ends):
    """Otherwise offload would be tested with small frames only."""
    vm, host = ends("offload", "host")
    vm.transfer("download", host.addresses[0], 8 * MEBIBYTE)
    assert vm.assert_well_served()["largest"] > 30_000


@pytest.mark.parametrize("mix", MIXES, ids="-".join)
def test_datagrams(ends, mix):
    """Of every size, fragments too, there and back; and bursts that a device is to segment."""
    first, second = ends(*mix)
    for address in second.addresses:
        first.transfer("datagrams", address, 150)
        for sender, target in ((first, second), (second, first)):
            to = target.addresses[second.addresses.index(address)]
            for size in (1, 99, 1444):
                came, right = map(int, sender.transfer("burst", to, 4 + size, 100).split())
                assert came == right > 50, (sender, size)
    assert_well_served(first, second)


@pytest.mark.parametrize("size", [100, 1473, 9000, 60_000])
def test_large_datagram_of_an_offload_guest(ends, plug, size):
    """In one frame, its checksum unfinished: the host's kernel fragments it, and takes it."""
    _, host = ends("plain", "host")
    guest = plug(*OFFLOAD)
    guest.dhcp()
    payload = random.Random(size).randbytes(size)
    frame = bytes(guest.packet_to(host.addresses[0], UDP(sport=4000, dport=9000, chksum=0xabcd) /
                                  Raw(payload)))
    assert guest.send(frame)
    whole = {}
    guest.expect(lambda p: IP in p and p[IP].proto == 17 and p[IP].src == host.addresses[0] and
                 (whole.update({p[IP].frag * 8: bytes(p[IP].payload)}) or
                  sum(map(len, whole.values())) >= 8 + size), what="all of the echo")
    assert b"".join(part for _, part in sorted(whole.items()))[8:8 + size] == payload


def lose(namespace, device, percent):
    """Every direction of the namespace loses frames as they come in."""
    namespace.nft("table netdev loss { chain losing {"
                  f" type filter hook ingress device {device} priority 0;"
                  f" numgen random mod 100 < {percent} drop; }}; }}")


@pytest.mark.parametrize("percent", [1, 3, 10])
@pytest.mark.parametrize("mix", [("plain", "offload"), ("offload", "plain")], ids="-".join)
def test_loss(ends, mix, percent):
    first, second = ends(*mix)
    for vm in (first, second):
        lose(vm.namespace, "eth0", percent)
    both_ways(first, second, MEBIBYTE if percent < 10 else MEBIBYTE // 4)
    for vm in (first, second):
        assert not vm.guest.checked()["bad"]
