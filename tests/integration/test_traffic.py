"""A kernel's TCP and UDP behind the socket: whole under loss, at every size, in parallel."""

import hashlib
import json
import signal
import subprocess

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from support.kernel_guest import KernelGuest
from support.lab import INTERNET, PYTHON
from support.snapshot import wait_until

MEBIBYTE = 1 << 20


@pytest.fixture
def vm(lab, plug):
    guest = plug()
    return KernelGuest(lab, "vm", guest.mac, guest.socket).dhcp()


def upload(vm, size):
    """Sends `size` bytes to the internet by HTTP; the server's digest must be ours."""
    data = bytes(range(256)) * (size // 256)
    code = ("import http.client, sys\n"
            f"connection = http.client.HTTPConnection('{INTERNET.web}', timeout=90)\n"
            f"connection.request('POST', '/', bytes(range(256)) * {size // 256})\n"
            "print(connection.getresponse().read().decode().strip())")
    done = vm.run("/usr/bin/python3", "-c", code, timeout=100)
    assert done.stdout.strip() == hashlib.sha256(data).hexdigest()


def download(vm, size):
    """Fetches `size` bytes of the server's pattern; they must be those."""
    pattern = bytes(range(33, 127)) * 697
    expected = (pattern * (size // len(pattern) + 1))[:size]
    done = vm.run("sh", "-c", f"timeout 100 busybox wget -q -O - http://{INTERNET.web}/bytes/{size}"
                  " | sha256sum", timeout=110)
    assert done.stdout.split()[0] == hashlib.sha256(expected).hexdigest()


def test_whole_both_ways(vm):
    upload(vm, 8 * MEBIBYTE)
    download(vm, 8 * MEBIBYTE)


@pytest.mark.parametrize("percent", [1, 3, pytest.param(10, marks=pytest.mark.slow)])
def test_whole_under_loss(lab, vm, percent):
    lab.internet.nft("table netdev loss { chain losing {"
                     " type filter hook ingress device uplink1 priority 0;"
                     f" numgen random mod 100 < {percent} drop; }}; }}")
    upload(vm, MEBIBYTE)
    lab.internet.run("nft", "delete", "table", "netdev", "loss")


RECEIVER = """
import socket, sys
own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
own.bind(("0.0.0.0", 9999))
own.settimeout(5)
print("ready", flush=True)
for _ in range(int(sys.argv[1])):
    print(own.recv(2000).hex(), flush=True)
"""


@pytest.mark.parametrize("target", ["gateway", "internet"])
@pytest.mark.parametrize("size", [18, 700, 1472])
def test_datagrams_of_one_batch(lab, host, plug, target, size):
    """What the helper finds at once crosses the host as one frame, and arrives as it was sent, the
    last one shorter; through the translation of addresses too."""
    guest = plug()
    guest.dhcp()
    where, address = (host, guest.gateway) if target == "gateway" else (lab.internet, INTERNET.web)
    payloads = [bytes([number]) * size for number in range(31)] + [b"last"]
    receiver = where.start(PYTHON, "-c", RECEIVER, len(payloads), stdout=subprocess.PIPE, text=True)
    assert receiver.stdout.readline() == "ready\n"
    frames = [bytes(guest.packet_to(address, UDP(sport=4000, dport=9999) / Raw(payload)))
              for payload in payloads]
    for number, frame in enumerate(frames):  # DF, as a kernel sends UDP
        packet = Ether(frame)
        packet[IP].flags, packet[IP].id = "DF", number
        del packet[IP].chksum
        frames[number] = bytes(packet)
    device = guest.helper.json["host_interface"]
    before = received_packets(host, device)
    guest.helper.send(signal.SIGSTOP)
    assert all(guest.send(frame) for frame in frames)
    guest.helper.send(signal.SIGCONT)
    lines = [receiver.stdout.readline().strip() for _ in payloads]
    assert lines == [payload.hex() for payload in payloads]
    assert received_packets(host, device) - before <= 4
    receiver.wait(5)


def received_packets(namespace, device):
    """What the kernel counts as frames of the VM."""
    link = json.loads(namespace.run("ip", "-j", "-s", "link", "show", device).stdout)[0]
    return link["stats64"]["rx"]["packets"]


def test_ping_of_every_kind_of_size(vm):
    """Up to what a VM's kernel sends: fragments of 60 kB too."""
    gateway = vm.run("ip", "-o", "route", "get", INTERNET.web).stdout.split()[2]
    for target in (gateway, INTERNET.web):
        for size in (0, 1, 1472, 1473, 9000, 60000):
            vm.run("ping", "-c", "1", "-W", "3", "-s", size, target)


def test_parallel_streams(vm):
    assert "bits_per_second" in vm.iperf3(INTERNET.web, "-t", "2", "-P", "4")
    assert "bits_per_second" in vm.iperf3(INTERNET.web, "-t", "2", "-P", "4", "-R")
    assert "bits_per_second" in vm.iperf3(INTERNET.router, "-t", "1", "-u", "-b", "50M", "-R")


def test_vm_to_vm(lab, plug):
    vms = []
    for name in ("one", "two"):
        guest = plug()
        vms.append((KernelGuest(lab, name, guest.mac, guest.socket).dhcp(),
                    guest.helper.json["ip_address"]))
    (server, address), (client, _) = vms
    server.namespace.start("iperf3", "-s", stdout=subprocess.DEVNULL)
    assert wait_until(lambda: ":5201" in server.run("ss", "-ltn").stdout)
    assert "bits_per_second" in client.iperf3(address, "-t", "1")
    assert "bits_per_second" in client.iperf3(address, "-t", "1", "-R")
