"""Beside the programs that configure a host's devices: udevd, systemd-networkd, NetworkManager."""

import os
import pathlib
import subprocess

import pytest

from support.installation import CAPABLE_COPY, ROOT, SETUID_COPY, SUDO
from support.lab import PYTHON, REPOSITORY, SUPPORT, end
from support.snapshot import wait_until

WAYS = pytest.mark.parametrize("way", [ROOT, SUDO, SETUID_COPY, CAPABLE_COPY],
                               ids=lambda way: way.name)
DELAYS = (0, 5, 15, 30, 100)  # milliseconds: before the VM has its device, and after


def mac_of(host, device):
    return host.run("cat", f"/sys/class/net/{device}/address").stdout.strip()


def end_of(host, program):
    end(program)
    host.processes.remove(program)


@pytest.fixture
def mac_changer(host):
    """Gives each new device of a VM another MAC address, once; read a line for each."""
    program = host.start(PYTHON, SUPPORT / "mac_changer.py", *DELAYS, stdout=subprocess.PIPE, text=True)
    assert program.stdout.readline() == "ready\n"
    yield program.stdout
    end_of(host, program)


def assert_unharmed(host, guest, changed):
    device = guest.helper.json["host_interface"]
    assert changed == f"{device}\n"
    assert wait_until(lambda: mac_of(host, device)[1:] != "2", 1)
    guest.dhcp()
    guest.ping(guest.gateway)
    return mac_of(host, device)


@WAYS
def test_late_change_of_a_devices_mac_ends_no_vm(host, plug_tap, mac_changer, way):
    for _ in DELAYS:
        guest = plug_tap(way=way)
        assert assert_unharmed(host, guest, mac_changer.readline()).startswith("fe:ff:ff:")
        guest.socket.close()
        guest.helper.stop()
        assert not guest.helper.log_lines("WARN", "ERROR")


@pytest.mark.parametrize("options", [(), ("--enable-isolation",)], ids=["open", "isolated"])
def test_late_change_is_undone(host, plug_either, mac_changer, options):
    """An isolated VM's device has the gateway's MAC, to which the VM sends."""
    for _ in DELAYS:
        guest = plug_either(*options)
        changed = mac_changer.readline()
        device = guest.helper.json["host_interface"]
        assert changed == f"{device}\n"
        bridge = mac_of(host, "vmnet-shared0")
        right = [bridge] if options else None
        assert wait_until(lambda: mac_of(host, device) in right if right
                          else mac_of(host, device).startswith("fe:ff:ff:"), 3)
        guest.dhcp()
        assert guest.arp(guest.gateway) == bridge
        guest.ping(guest.gateway)
        guest.helper.stop()


# Each daemon has mounts of its own: what it writes to /run and /dev is gone with it, and it never sees
# the machine's devices.
PRIVATE = """
mount -t tmpfs -o mode=755 run /run
mount -t tmpfs -o mode=755 dev /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/urandom c 1 9
mkdir -p /run/udev /run/systemd/netif /run/systemd/network /run/dbus
"""
FILES = REPOSITORY / "packaging" / "network"
UDEVD = ("/lib/systemd/systemd-udevd", "/usr/lib/systemd/systemd-udevd")
NETWORKD = ("/lib/systemd/systemd-networkd", "/usr/lib/systemd/systemd-networkd")
NETWORK_MANAGER = ("/usr/sbin/NetworkManager", "/usr/bin/NetworkManager")


def installed(paths, package):
    found = next((path for path in paths if os.access(path, os.X_OK)), None)
    return found or pytest.skip(f"{package} is not installed here")


class Daemon:
    """A program that configures devices, in the host's namespace; `log` is what it says."""

    def __init__(self, host, folder, setup, command, ready):
        self.host, self.path = host, pathlib.Path(folder) / "daemon.log"
        with open(self.path, "wb") as log:
            self.process = host.start("unshare", "--mount", "sh", "-ec",
                                      f"{PRIVATE}{setup}\nexec {command}", stdout=log, stderr=log)
        # Seen through its eyes.
        made = pathlib.Path(f"/proc/{self.process.pid}/root/run") / ready
        assert wait_until(made.exists, 20), self.log()

    def log(self):
        return self.path.read_text(errors="replace")

    def end(self):
        end_of(self.host, self.process)


@pytest.fixture
def daemon(host, folder):
    """Starts a daemon, of the test's own choice and files."""
    running = []

    def start(setup, command, ready):
        running.append(Daemon(host, folder, setup, command, ready))
        return running[-1]

    yield start
    for each in running:
        each.end()


def udevd(daemon, files=""):
    program = installed(UDEVD, "systemd-udevd (apt-get install udev)")
    return daemon(f"mount -o remount,rw /sys\n{files}", f"{program} --debug", "udev/control")


@pytest.mark.parametrize("files", ["with our file", "without"])
@WAYS
def test_udevd(host, plug_tap, daemon, way, files):
    """It gives every new device the MAC address of its 99-default.link."""
    seen = udevd(daemon, f"cp {FILES}/*.link /run/systemd/network" if files != "without" else "")
    for _ in range(5):
        before = seen.log().count("net_setup_link")
        guest = plug_tap(way=way)
        assert wait_until(lambda: seen.log().count("net_setup_link") > before)
        guest.dhcp()
        guest.ping(guest.gateway)
        assert mac_of(host, guest.helper.json["host_interface"]).startswith("fe:ff:ff:")
        guest.socket.close()
        guest.helper.stop()
        assert not guest.helper.log_lines("WARN", "ERROR")
