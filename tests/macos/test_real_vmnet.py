"""End-to-end tests with the real vmnet.framework, on a Mac: sudo python3 -m pytest tests/macos

VMNET_BUILD names another build than build/release; with that of the simulated system the tests prove
themselves on Linux. VMNET_BROKER_NETWORK names a network of vmnet-broker's, which must be running then.
"""

import ipaddress
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("VMNET_BUILD", ROOT / "build/release"))
ID = "6A1C2E30-0000-4000-8000-000000000001"


class Helper:
    def __init__(self, *options):
        self.vm, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.vm.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        self.vm.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.vm.settimeout(10)
        with end:
            self.process = subprocess.Popen(
                [BUILD / "vmnet-helper", f"--fd={end.fileno()}", *options],
                pass_fds=[end.fileno()], text=True, stdout=subprocess.PIPE)
        line = self.process.stdout.readline()
        assert line, self.process.wait(timeout=30)
        self.interface = json.loads(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=30)
        self.process.stdout.close()
        self.vm.close()
        assert status == 0


def mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


def gateway_and_end(interface):
    """The gateway's address and one at the end of the range."""
    if "vmnet_start_address" in interface:
        return interface["vmnet_start_address"], interface["vmnet_end_address"]
    gateway = ipaddress.ip_interface(f"{interface['net_ipv4_subnet']}/{interface['net_ipv4_mask']}")
    return str(gateway.ip), str(gateway.network.broadcast_address - 1)


def arp_answer(helper):
    """The gateway's answer to a request by an address at the end of the range."""
    mac = mac_bytes(helper.interface["vmnet_mac_address"])
    gateway, own = map(socket.inet_aton, gateway_and_end(helper.interface))
    request = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + own + b"\0" * 6 + gateway
    for _ in range(5):
        helper.vm.send(b"\xff" * 6 + mac + b"\x08\x06" + request)
        for _ in range(50):
            try:
                got = helper.vm.recv(70000)
            except TimeoutError:
                break
            if got[12:14] == b"\x08\x06" and got[20:22] == b"\0\2" and got[28:32] == gateway:
                return got
    return None


@pytest.mark.parametrize("mode", ["shared", "host"])
@pytest.mark.parametrize("offload", [[], ["--enable-tso", "--enable-checksum-offload"]])
def test_the_gateway_answers(mode, offload):
    with Helper(f"--operation-mode={mode}", *offload) as helper:
        assert helper.interface["vmnet_mtu"] == 1500
        assert helper.interface["vmnet_max_packet_size"] == (65550 if offload else 1514)
        assert arp_answer(helper)


@pytest.mark.skipif("VMNET_BROKER_NETWORK" not in os.environ, reason="no broker named")
def test_the_gateway_of_a_brokers_network_answers():
    with Helper(f"--network={os.environ['VMNET_BROKER_NETWORK']}") as helper:
        assert "vmnet_start_address" not in helper.interface
        assert arp_answer(helper)


def test_the_same_id_gives_the_same_mac():
    macs = set()
    for _ in range(2):
        with Helper(f"--interface-id={ID}") as helper:
            assert helper.interface["vmnet_interface_id"] == ID
            macs.add(helper.interface["vmnet_mac_address"])
    assert len(macs) == 1


def test_it_ends_with_the_vm():
    with Helper() as helper:
        helper.vm.close()
        assert helper.process.wait(timeout=10) == 0


def test_vmnet_run():
    done = subprocess.run([BUILD / "vmnet-run", "--", sys.executable, "-c",
                           "import socket; socket.socket(fileno=4).getpeername(); raise SystemExit(7)"],
                          text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 7, done.stderr
    assert json.loads(done.stdout)["vmnet_mtu"] == 1500
