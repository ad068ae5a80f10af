"""The firewalls that people have, as programs: what the helper says to run opens the way out, and a
reload under a running VM costs it nothing."""

import pathlib
import shutil
import subprocess

import pytest

from support.kernel_guest import KernelGuest
from support.lab import INTERNET, LAN_HOST, end
from support.snapshot import wait_until

# Their files are written to copies, and what they start ends with them.
PLACE = """
mount -t tmpfs -o mode=755 run /run
for folder in /etc/ufw /etc/default /etc/firewalld; do
  [ -d $folder ] || continue
  cp -a $folder /run/copy && mount -t tmpfs files $folder && cp -a /run/copy/. $folder && rm -r /run/copy
done
mkdir -p /run/dbus /run/firewalld
"""


class Program:
    """A firewall program with files of its own, in the host's namespace."""

    def __init__(self, host, setup="", ready="true"):
        self.host = host
        self.place = host.start("unshare", "--mount", "--mount-proc", "--pid", "--fork", "--kill-child",
                                "sh", "-ec", f"{PLACE}{setup}\ntouch /run/ready\nexec sleep infinity",
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert wait_until((pathlib.Path(f"/proc/{self.place.pid}/root/run/ready")).exists, 20)
        assert wait_until(lambda: self.run(ready, check=False).returncode == 0, 20, 0.2)

    def run(self, command, **options):
        words = ["nsenter", "-m", "-r", "-w", "-t", self.place.pid, "sh", "-ec", command]
        return self.host.run(*words, timeout=60, **options)

    def close(self):
        end(self.place)
        self.host.processes.remove(self.place)
        self.host.run("nft", "flush", "ruleset")


@pytest.fixture
def ufw(host):
    if not shutil.which("ufw"):
        pytest.skip("ufw is not installed here")
    program = Program(host)
    program.run("ufw --force enable")
    yield program
    program.close()


@pytest.fixture
def firewalld(host):
    if not shutil.which("firewalld"):
        pytest.skip("firewalld is not installed here")
    program = Program(host, "dbus-daemon --system --fork\nfirewalld --nofork --nopid &",
                      "firewall-cmd --state")
    yield program
    program.close()


@pytest.fixture
def vm(lab, plug, start):
    """A kernel's network stack behind a helper; `helper` is its helper."""
    made = []

    def make(*options):
        helper = start(*options)
        guest = KernelGuest(lab, f"vm{len(made)}", helper.json["vmnet_mac_address"], helper.vm)
        guest.helper = helper
        made.append(guest)
        return guest.dhcp()

    return make


def remedies(guest):
    """The commands of the WARN lines."""
    lines = []

    def told():
        lines[:] = [line.split("to let them: ")[1] for line in guest.helper.log_lines("WARN")
                    if "to let them: " in line]
        return lines

    assert wait_until(told), guest.helper.stderr()
    return list(dict.fromkeys(lines))


def pings(guest, target):
    return guest.run("busybox", "ping", "-c1", "-W1", target, check=False).returncode == 0


def tcp(guest, target):
    """"open", "refused" by the target, or "closed" by a firewall on the way."""
    said = guest.run("busybox", "timeout", 2, "busybox", "wget", "-q", "-O", "-", f"http://{target}/", check=False)
    return "refused" if "refused" in said.stderr else "open" if said.returncode == 0 else "closed"


@pytest.mark.parametrize("isolated", [(), ("--enable-isolation",)], ids=["open", "isolated"])
def test_ufw(lan, vm, ufw, isolated):
    """It lets every echo request pass."""
    guest = vm(*isolated)
    assert tcp(guest, INTERNET.web) == "closed"
    for command in remedies(guest):
        ufw.run(command)
    assert tcp(guest, INTERNET.web) == "open" and pings(guest, INTERNET.web)
    assert guest.address6() and tcp(guest, f"[{INTERNET.web6}]") == "open"
    assert tcp(guest, LAN_HOST) == "closed"


@pytest.mark.parametrize("isolated", [(), ("--enable-isolation",)], ids=["open", "isolated"])
def test_firewalld(lan, vm, firewalld, isolated):
    """The zone opens all, as docs/linux.md says."""
    guest = vm(*isolated)
    assert tcp(guest, INTERNET.web) != "open" and not pings(guest, INTERNET.web)
    for command in remedies(guest):
        firewalld.run(command)
    assert tcp(guest, INTERNET.web) == "open" and pings(guest, INTERNET.web)
    assert guest.address6() and tcp(guest, f"[{INTERNET.web6}]") == "open"
    assert tcp(guest, LAN_HOST) == "refused"


RULES = "flush ruleset\ntable inet filter { chain forward { type filter hook forward priority 0; }; }\n"


def assert_reload_costs_nothing(host, folder, guests, reload):
    """A TCP download through NAT goes on, and the rules are back."""
    before = {line for line in host.run("nft", "list", "tables").stdout.splitlines() if "vmnet" in line}
    log = open(folder / "download", "w+", encoding="ascii")
    guests[0].namespace.start("iperf3", "--forceflush", "-R", "-t", "100", "-i", "0.5", "-b", "20M", "-c", INTERNET.web,
                              stdout=log)

    def intervals():
        """Those in which something came."""
        lines = (folder / "download").read_text().splitlines()
        return sum("/sec" in line and " 0.00 bits/sec" not in line for line in lines)

    assert wait_until(lambda: intervals() >= 1)
    for _ in range(2):
        reload()
        assert not pings(guests[0], guests[1].ip) and not pings(guests[1], guests[0].ip)
    seen = intervals()
    assert wait_until(lambda: intervals() >= seen + 2, 20)
    log.close()
    assert wait_until(lambda: before <= set(host.run("nft", "list", "tables").stdout.splitlines()))


def two(vm):
    guests = [vm("--enable-isolation"), vm("--enable-isolation")]
    for guest in guests:
        guest.ip = guest.helper.json["ip_address"]
    return guests


def test_reload_of_nftables(host, folder, vm):
    """/etc/nftables.conf of Debian begins with a flush."""
    def reload():
        host.nft(RULES)
    assert_reload_costs_nothing(host, folder, two(vm), reload)
    host.nft("delete table inet filter")


def test_reload_of_ufw(host, folder, vm, ufw):
    guests = two(vm)
    for command in {command for guest in guests for command in remedies(guest)}:
        ufw.run(command)
    assert_reload_costs_nothing(host, folder, guests, lambda: ufw.run("ufw reload"))


def test_reload_of_firewalld(host, folder, vm, firewalld):
    guests = two(vm)
    for command in {command for guest in guests for command in remedies(guest)}:
        firewalld.run(command)
    assert_reload_costs_nothing(host, folder, guests, lambda: firewalld.run("firewall-cmd --reload"))
