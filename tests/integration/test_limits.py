"""Floods and full tables: bounded, told once, and over when they are over."""

import time

import pytest
from scapy.layers.inet import UDP
from scapy.layers.l2 import ARP, Ether

from support.checks import assert_refused
from support.guest import BROADCAST
from support.helper import run_to_end
from support.lab import INTERNET
from support.snapshot import wait_until


def test_guest_driven_log_lines_are_limited(plug):
    """At most ten lines a second, whatever the VM sends."""
    guest = plug("--verbose")
    guest.dhcp()
    before = len(guest.helper.stderr().splitlines())
    begin = time.monotonic()
    for number in range(2000):
        guest.send(guest.dhcp_message("discover", chaddr=f"02:00:00:00:{number >> 8:02x}:"
                                                         f"{number & 255:02x}"))
        guest.send(b"x" * 5)
        guest.drain()
    took = time.monotonic() - begin
    assert len(guest.helper.stderr().splitlines()) - before <= 10 * (took + 1)


def test_many_macs_do_not_push_others_out(host, plug):
    """A flood of source MACs fills no table at another VM's cost."""
    victim, attacker = plug(), plug()
    victim.dhcp()
    attacker.dhcp()
    for number in range(3000):
        attacker.send(Ether(dst=BROADCAST, src=f"02:11:22:33:{number >> 8:02x}:{number & 255:02x}")
                      / ARP(op=1, psrc="192.168.64.99", pdst="192.168.64.98"))
    victim.drain()
    victim.ping(INTERNET.web)
    assert len(host.run("bridge", "fdb", "show").stdout.splitlines()) < 2200


def test_many_macs_open_no_ear(plug_either):
    """Nor do they use up what the bridge learns: then all frames for a VM that has brought its own MAC
    would come to every port."""
    attacker, victim, other = plug_either(), plug_either(mac="52:54:00:00:00:07"), plug_either()
    for number in range(1500):
        made_up = f"02:11:22:33:{number >> 8:02x}:{number & 255:02x}"
        attacker.send(Ether(dst=attacker.mac, src=made_up, type=0x88B5) / bytes(46))
    attacker.send(Ether(dst=other.mac, src=attacker.mac, type=0x88B5) / bytes(46))
    other.expect(lambda p: p.src == attacker.mac)
    victim.send(Ether(dst=other.mac, src=victim.mac, type=0x88B5) / bytes(46))
    other.expect(lambda p: p.src == victim.mac)
    attacker.drain()
    other.send(Ether(dst=victim.mac, src=other.mac, type=0x88B5) / bytes(46))
    victim.expect(lambda p: p.src == other.mac)
    attacker.expect_none(lambda p: p.src == other.mac, what="a frame for another VM")


def test_memory_stays_flat_under_a_flood(plug):
    guest = plug()
    guest.dhcp()
    worker = guest.helper.worker()

    def resident():
        with open(f"/proc/{worker}/statm") as statm:
            return int(statm.read().split()[1]) * 4

    frame = bytes(guest.packet_to(INTERNET.web, UDP(sport=1, dport=9) / bytes(1400)))
    for _ in range(2000):
        guest.send(frame)
    before = resident()
    for _ in range(20000):
        guest.send(frame)
    assert resident() - before < 1024, "KiB"
    guest.drain()
    guest.ping(guest.gateway)


def test_who_claims_all_addresses_keeps_nobody_out(host, plug):
    """A VM that has the host believe that it uses every address of the pool; a few VMs do it too where
    each may have so many."""
    options = ("--start-address=10.77.0.1", "--end-address=10.77.0.14",
               "--subnet-mask=255.255.255.240")
    claiming = plug(*options)
    for number in range(2, 15):
        claiming.send(Ether(dst=BROADCAST, src=claiming.mac) /
                      ARP(op=1, hwsrc=claiming.mac, psrc=f"10.77.0.{number}", pdst="10.77.0.1"))
    assert wait_until(lambda: host.run("ip", "neigh").stdout.count("10.77.0.") == 13)
    other = plug(*options)
    assert other.helper.json["ip_address"] != claiming.helper.json["ip_address"]
    other.dhcp()
    other.ping(other.gateway)


@pytest.mark.slow
def test_pool_is_used_up(host, start):
    """A /29 has five addresses for VMs; the sixth is told, and gets one when another ends."""
    options = ("--start-address=10.77.0.1", "--end-address=10.77.0.6",
               "--subnet-mask=255.255.255.248")
    helpers = [start(*options) for _ in range(5)]
    assert len({helper.json["ip_address"] for helper in helpers}) == 5
    assert_refused(run_to_end(host, *options), ["10.77.0"])
    freed = helpers[2].json["ip_address"]
    helpers[2].stop()
    assert start(*options).json["ip_address"] == freed
