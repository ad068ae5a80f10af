"""Beside the programs that configure a host's devices: udevd, systemd-networkd, NetworkManager."""

import os
import pathlib
import signal
import subprocess
import time

import pytest

from support.helper import descendants
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
mkdir -p /run/udev /run/systemd/network /run/dbus
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
            self.process = host.start("unshare", "--mount", "--mount-proc", "--uts", "--pid", "--fork",
                                      "--kill-child", "sh", "-ec",
                                      f"{PRIVATE}{setup}\nexec {command}", stdout=log, stderr=log)
        # Seen through its eyes.
        made = pathlib.Path(f"/proc/{self.process.pid}/root/run") / ready
        assert wait_until(made.exists, 20), self.log()

    def log(self):
        return self.path.read_text(errors="replace")

    def end(self):
        # Its change of user loses what would end it with its parent.
        os.kill(descendants(self.process.pid)[0], signal.SIGKILL)
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


def networkd(daemon, files):
    """As in a container, where /sys is read-only: it waits for no udev."""
    program = installed(NETWORKD, "systemd-networkd")
    return daemon(f"mount -o remount,ro /sys\n{files}", f"env SYSTEMD_LOG_LEVEL=debug {program}",
                  "systemd/netif/state")


ALL_DEVICES = """cat > /run/systemd/network/10-uplink.network <<'END'
[Match]
Name=uplink0
[Link]
Unmanaged=yes
END
cat > /run/systemd/network/70-all.network <<'END'
[Match]
Name=*
[Network]
DHCP=yes
END
"""


def reached(seen, device, state):
    return wait_until(lambda: f"{device}: State changed: initialized -> {state}" in seen.log())


def works(guest):
    try:
        guest.ping(guest.gateway, timeout=0.5)
        guest.ping6("fe80::1", guest.autoconfigure().src, timeout=0.5)
        return True
    except AssertionError:
        return False


def plug_beside_networkd(plug, daemon, files, options, order, state):
    """A VM with an address, beside a networkd that began before or later and has its devices in `state`."""
    seen = networkd(daemon, files) if order == "before" else None
    guest = plug(*options)
    seen = seen or networkd(daemon, files)
    for device in (guest.helper.json["host_interface"], "vmnet-shared0"):
        assert reached(seen, device, state), seen.log()
    guest.dhcp()
    return guest


NETWORKS = pytest.mark.parametrize("options", [(), ("--enable-isolation",)], ids=["open", "isolated"])


@NETWORKS
@pytest.mark.parametrize("order", ["before", "later"])
def test_networkd_leaves_our_devices_alone(plug, daemon, options, order):
    """Beside a file for all devices, by the file that we ship; it may be started anew at any time."""
    files = f"cp {FILES}/*.network /run/systemd/network\n{ALL_DEVICES}"
    guest = plug_beside_networkd(plug, daemon, files, options, order, "unmanaged")
    assert works(guest) and not guest.helper.log_lines("WARN")


@NETWORKS
@pytest.mark.parametrize("order", ["before", "later"])
def test_what_networkd_takes_is_given_again(plug, daemon, options, order):
    """Without that file: the gateway's addresses, and the place on the bridge."""
    guest = plug_beside_networkd(plug, daemon, ALL_DEVICES, options, order, "configuring")
    assert wait_until(lambda: works(guest), 10), guest.helper.stderr()
    assert all("systemd-networkd" in line for line in guest.helper.log_lines("WARN", "ERROR"))


def told(guest, words):
    return wait_until(lambda: any(words in line and "systemd-networkd" in line
                                  for line in guest.helper.log_lines("WARN")))


def addresses(host, family, device):
    return set(host.run("ip", "-brief", family, "addr", "show", "dev", device).stdout.split()[2:])


@pytest.mark.parametrize("options", [(), ("--enable-isolation",), ("--operation-mode=host",)],
                         ids=["open", "isolated", "host"])
@pytest.mark.parametrize("family", ["-4", "-6"], ids=["ipv4", "ipv6"])
def test_gateways_addresses_are_given_again(host, plug_either, options, family):
    """What networkd takes where udev runs, which it waits for."""
    if family == "-6" and "--operation-mode=host" in options:
        pytest.skip("host mode has no IPv6")
    guest = plug_either(*options)
    guest.dhcp()
    bridge = next(name for name in host.links() if name.startswith(("vmnet-shared", "vmnet-host")))
    for device in (bridge, guest.helper.json["host_interface"]):
        before = addresses(host, family, device)
        host.run("ip", family, "addr", "flush", "dev", device)
        assert wait_until(lambda: addresses(host, family, device) == before)
    if family == "-4":
        assert wait_until(lambda: reaches_gateway(guest), 5)
    else:
        guest.ping6("fe80::1", guest.autoconfigure().src)


def reaches_gateway(guest):
    try:
        guest.ping(guest.gateway, timeout=0.5)
        return True
    except AssertionError:
        return False


def test_loss_of_addresses_or_bridge_is_told(host, plug):
    guest, other = plug(), plug()
    guest.dhcp()
    host.ip("addr flush dev vmnet-shared0")
    assert wait_until(lambda: [line for each in (guest, other) for line in each.helper.log_lines("WARN")
                               if "vmnet-shared0" in line and "systemd-networkd" in line])
    host.ip(f"link set {guest.helper.json['host_interface']} nomaster")
    assert told(guest, guest.helper.json["host_interface"])
    guest.ping(guest.gateway)


@NETWORKS
@pytest.mark.parametrize("files", ["with our file", "without"])
def test_network_manager(host, plug, daemon, options, files):
    """It takes an interest in every device, and none in ours by the file that we ship."""
    program = installed(NETWORK_MANAGER, "NetworkManager")
    udev = installed(UDEVD, "systemd-udevd (apt-get install udev)")
    installed(("/usr/bin/dbus-daemon",), "dbus-daemon")
    setup = f"mount -o remount,rw /sys\n{udev} --daemon\ndbus-daemon --system --fork"
    if files != "without":
        setup += f"\nmkdir -p /run/NetworkManager/conf.d\ncp {FILES}/*.conf /run/NetworkManager/conf.d"
    seen = daemon(setup, f"{program} --no-daemon --debug", "NetworkManager/devices")
    guest = plug(*options)
    guest.dhcp()

    def state(device):
        lines = host.run("nsenter", "-m", "-r", "-t", seen.process.pid, "nmcli", "--terse", "--fields",
                         "DEVICE,STATE", "device").stdout.splitlines()
        return next((line.partition(":")[2] for line in lines if line.startswith(f"{device}:")), "")

    expected = "connected (externally)" if files == "without" else "unmanaged"
    for device in (guest.helper.json["host_interface"], "vmnet-shared0"):
        assert wait_until(lambda: state(device) == expected), (state(device), seen.log())
    assert works(guest) and not guest.helper.log_lines("WARN", "ERROR")
