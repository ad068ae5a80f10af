"""What others still send to a VM that has ended reaches no other VM that has its address after it."""

import contextlib
import os
import signal
import subprocess

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from support.helper import descendants
from support.lab import INTERNET, PYTHON

IDENTITY = "4f1d2c3b-0000-4000-8000-00000000000b"
PORT, OWN_PORT = 5999, 7777
# Prints a line when a datagram has come, and answers it when a line is read.
SERVER = f"""
import socket
server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
server.bind(("::", {PORT}))
print("ready", flush=True)
_, client = server.recvfrom(100)
print("asked", flush=True)
while input():
    server.sendto(b"for the VM that asked", client)
    print("answered", flush=True)
"""


class Stranger:
    """A server on the internet that answers late."""

    def __init__(self, lab):
        self.process = lab.internet.start(PYTHON, "-c", SERVER, stdin=subprocess.PIPE,
                                          stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def was_asked(self):
        assert self.process.stdout.readline() == "asked\n"

    def answer(self):
        self.process.stdin.write("now\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "answered\n"


@pytest.fixture
def stranger(lab):
    made = Stranger(lab)
    yield made
    made.process.kill()
    made.process.wait()


def connect(guest):
    """Takes the addresses that the network gives; returns the routers' MACs by family."""
    advertised = guest.autoconfigure()
    guest.dhcp()
    return {4: guest.gateway_mac, 6: advertised.src}


def ask(guest, routers, family):
    header = IP(src=guest.ip, dst=INTERNET.router) if family == 4 else \
        IPv6(src=guest.ip6, dst=INTERNET.router6)
    guest.send(Ether(src=guest.mac, dst=routers[family]) / header /
               UDP(sport=OWN_PORT, dport=PORT) / Raw(b"question"))


def is_answer(packet):
    return UDP in packet and packet[UDP].sport == PORT and packet[UDP].dport == OWN_PORT


def end_helper(guest, how):
    helper = guest.helper
    if how == "killed":
        for pid in (*descendants(helper.pid), helper.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    else:
        helper.process.terminate()
    helper.process.wait(10)
    guest.socket.close()


@pytest.mark.parametrize("how", ["ended", "killed"])
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("options", [[], ["--enable-isolation"]], ids=["open", "isolated"])
def test_next_vm_is_not_sent_what_was_for_the_one_before(plug_either, stranger, options, family, how):
    options = ["--interface-id", IDENTITY, *options]
    first = plug_either(*options)
    routers = connect(first)
    ask(first, routers, family)
    stranger.was_asked()
    stranger.answer()
    first.expect(is_answer, what="the answer")
    addresses = first.ip, first.ip6
    end_helper(first, how)

    second = plug_either(*options)
    connect(second)
    assert (second.ip, second.ip6) == addresses
    second.ping(INTERNET.web)
    stranger.answer()
    second.expect_none(is_answer, what="a datagram for the VM before")


def tracked(host):
    return host.run("cat", "/proc/net/nf_conntrack").stdout


@pytest.mark.parametrize("family", [4, 6])
def test_nothing_is_tracked_of_a_network_that_has_ended(host, plug_either, stranger, family):
    """Of addresses that the VM chose itself neither."""
    guest = plug_either()
    routers = connect(guest)
    guest.ip, guest.ip6 = "192.168.64.200", guest.ip6.rpartition(":")[0] + ":beef"
    ask(guest, routers, family)
    stranger.was_asked()
    assert f"sport={OWN_PORT}" in tracked(host)
    guest.socket.close()
    guest.helper.stop()
    assert f"sport={OWN_PORT}" not in tracked(host)


def test_others_connections_stay(host, plug, stranger):
    """The host's own, and those of another VM."""
    leaving, staying = plug(), plug()
    routers = connect(staying)
    connect(leaving)
    ask(staying, routers, 4)
    stranger.was_asked()
    leaving.helper.stop()
    stranger.answer()
    staying.expect(is_answer, what="the answer")
