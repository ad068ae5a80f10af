"""Which ports of the host a VM reaches (hardening.md, row 38), as the table of docs/security.md says:
what listens on an address of the host other than loopback, unless the network has no host in it."""

import subprocess

import pytest

from support.kernel_guest import KernelGuest
from support.lab import PYTHON, REPOSITORY, UPLINK_ADDRESS, UPLINK_ADDRESS6, end

PRIVATE = ("--operation-mode=host", "--network-id=2F8D5B1C-95A0-4A52-A1F2-0123456789AB")
MODES = {"shared": (), "shared, isolated": ("--enable-isolation",),
         "`--network NAME`, isolated or not": ("--network=lab",),
         "host": ("--operation-mode=host",), "`--network-id`, no host address": PRIVATE}
LISTEN = """
import socket, sys, time
kept = []
for place in sys.argv[1:]:
    address, port = place.rsplit("-", 1)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    made.bind(socket.getaddrinfo(address, int(port))[0][4])
    made.listen()
    kept.append(made)
print("ready", flush=True)
time.sleep(1000)
"""
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1.5)
    print("open")
except OSError:
    print("closed")
"""


def documented():
    """Network -> what the table says of the gateway and of other addresses, IPv4 and IPv6."""
    text = (REPOSITORY / "docs" / "security.md").read_text()
    table = text.partition("| network of the VM |")[2].partition("\n\n")[0].splitlines()[2:]
    return {cells[0]: cells[1:] for cells in
            ([cell.strip() for cell in row.strip("|").split("|")] for row in table)}


@pytest.fixture
def services(host):
    """Something listens on all addresses and on the uplink's alone."""
    server = host.start(PYTHON, "-c", LISTEN, "0.0.0.0-8001", "::-8001", f"{UPLINK_ADDRESS}-8002",
                        f"{UPLINK_ADDRESS6}-8002", stdout=subprocess.PIPE, text=True)
    assert server.stdout.readline() == "ready\n"
    yield
    end(server)


def test_every_network_is_documented():
    assert set(documented()) == set(MODES)


@pytest.mark.parametrize("mode", MODES)
def test_ports_that_a_vm_reaches(lab, plug, services, mode):
    guest = plug(*MODES[mode])
    line = guest.helper.json
    gateway = line.get("vmnet_start_address", line.get("net_ipv4_subnet"))
    vm = KernelGuest(lab, "vm", guest.mac, guest.socket)
    if gateway:
        vm.dhcp()
        vm.run("ip", "route", "replace", "default", "via", gateway)
    else:  # a VM that tries all the same
        vm.run("ip", "addr", "add", "192.0.2.77/24", "dev", "eth0")
        vm.run("ip", "addr", "add", "2001:db8:1::77/64", "dev", "eth0", "nodad")
    if "shared" in mode or "NAME" in mode:
        vm.address6()

    def reach(*targets):
        answers = {vm.run(PYTHON, "-c", CONNECT, *target).stdout.strip() for target in targets}
        return answers.pop() if len(answers) == 1 else str(answers)

    found = [reach((gateway, "8001")) if gateway else "none",
             reach((UPLINK_ADDRESS, "8001"), (UPLINK_ADDRESS, "8002")),
             reach((UPLINK_ADDRESS6, "8001"), (UPLINK_ADDRESS6, "8002"))]
    assert found == documented()[mode]
