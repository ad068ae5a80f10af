"""Who is measured. Each has a namespace of its own as host and one as guest, so that no one's
bridge, rules or addresses are in another's way; all are started once and measured in turn.

The guest is the same for all: bench/stand_in_vm.cc, a kernel's network stack behind a TAP.
"""

import fcntl
import json
import os
import socket
import struct
import subprocess
import tempfile
import threading
import time

from support.helper import CLONE_NEWNET, LIBC, Helper, descendants
from support.lab import REPOSITORY, Namespace, end
from support.native_tap import receive_descriptor

TOOLS = REPOSITORY / "build" / "release" / "bench"
DEVICE = "eth0"
MAC = "52:54:00:be:00:01"
MTU = 1500
OFFLOAD = ("--enable-tso", "--enable-checksum-offload")
# A VM's device holds back what its queue has no room for; a TAP drops it. Room for a window of TCP.
GUEST_QUEUE = 10_000
TUNSETIFF, TAP_WITH_HEADER = 0x400454CA, 0x5002  # IFF_TAP | IFF_NO_PI | IFF_VNET_HDR


class CannotRun(Exception):
    """Why a contestant cannot run here, in one line."""


def started(process, what):
    """Waits for a tool's "ready"."""
    if process.stdout.readline() != "ready\n":
        raise CannotRun(f"{what} did not start")
    return process


def in_namespace(namespace, action):
    """Runs `action` with the network namespace, in a thread, whose namespace ends with it."""
    result = []

    def work():
        if LIBC.setns(namespace.descriptor(), CLONE_NEWNET) == 0:
            result.append(action())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if not result:
        raise CannotRun(f"cannot enter {namespace.name}")
    return result[0]


def open_tap(namespace, name):
    """A TAP as QEMU's -netdev tap opens it; gone with its descriptor."""
    def make():
        tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), TAP_WITH_HEADER))
        return tap

    return in_namespace(namespace, make)


def make_host(name):
    """A host with an uplink that leads nowhere and a default route."""
    host = Namespace(f"host-{name}")
    host.sysctl(net__ipv6__conf__default__accept_dad=0)
    host.ip("link add uplink0 type veth peer name uplink1", "link set uplink0 addrgenmode none",
            "link set uplink1 addrgenmode none", "link set uplink1 up",
            "addr add 192.0.2.2/24 dev uplink0", "addr add 2001:db8:1::2/64 dev uplink0 nodad",
            "addr add fe80::2/64 dev uplink0 nodad", "link set uplink0 up",
            "route add default via 192.0.2.1",
            "route add default via fe80::1 dev uplink0")
    return host


class Guest:
    """A namespace with the stand-in VM's device."""

    def __init__(self, name, peer, offload=False, mac=MAC, fds=()):
        self.namespace = Namespace(f"guest-{name}")
        self.namespace.sysctl(net__ipv6__conf__default__accept_dad=0,
                              net__ipv6__conf__default__accept_ra=0)
        words = [str(TOOLS / "stand-in-vm"), DEVICE, *map(str, peer)]
        if offload:
            words.append("--offload")
        self.process = started(
            self.namespace.start(*words, pass_fds=fds, stdout=subprocess.PIPE,
                                 stdin=subprocess.DEVNULL, text=True), "the stand-in VM")
        self.namespace.ip(f"link set {DEVICE} address {mac} mtu {MTU} txqueuelen {GUEST_QUEUE} up")

    def join_segments(self, on):
        """Gives the guest's kernel a thread of its own for what comes in: what came while it was busy
        it takes at once and joins (GRO), as a VM with a processor of its own does."""
        self.namespace.run("sh", "-c",
                           f"echo {int(on)} > /sys/class/net/{DEVICE}/threaded")

    def use(self, *addresses):
        """Takes addresses (with prefix length)."""
        self.namespace.ip(*[f"addr add {address} dev {DEVICE}" + (" nodad" if ":" in address else "")
                            for address in addresses])

    def close(self):
        self.namespace.close()


class RawCable:
    """A cable without a stand-in VM: its frames come from and go to a generator."""

    def __init__(self, host, vm, host4, guest4, mac, pids, device):
        self.host, self.vm, self.pids, self.device = host, vm, pids, device
        self.host4, self.guest4, self.mac = host4, guest4, mac
        route = json.loads(host.run("ip", "-j", "route", "get", guest4).stdout)[0]
        bridge = json.loads(host.run("ip", "-j", "link", "show", route["dev"]).stdout)[0]
        self.host_mac = bridge["address"]
        host.ip(f"neigh replace {guest4} lladdr {mac} dev {route['dev']} nud permanent")
        self.neighbour = f"{guest4} dev {route['dev']}"
        # The bridge learns the port from a first frame.
        vm.send(bytes.fromhex("ffffffffffff" + mac.replace(":", "") + "88b5") + bytes(46))

    def forget(self):
        """The next VM may have the address."""
        self.host.ip(f"neigh del {self.neighbour}")


def numbered_mac(number):
    return f"52:54:00:be:00:{number:02x}"


class Contestant:
    """Started by start(), ended by stop(). `host4` and `host6` are what the guest calls the host;
    `guest4` is the guest's own address; None: there is none."""

    offload = False

    def __init__(self, name, key):
        self.name, self.key = name, key
        self.host = self.guest = None
        self.others = []
        self.host4 = self.host6 = self.guest4 = self.guest6 = None

    def start(self):
        self.host = make_host(self.key)
        self.set_up()
        return self

    def helper_pids(self):
        """The processes whose CPU time and memory are the contestant's; none: the kernel alone."""
        return []

    def drops(self):
        """Frames that the contestant itself says it lost, so far; None: it does not say."""
        return None

    def stop(self):
        self.close_others()
        for namespace in (self.guest and self.guest.namespace, self.host):
            if namespace:
                namespace.close()

    def another(self):
        """A further VM on the same host: (its guest, its IPv4 address, its helper's pids). Ends with
        close_others()."""
        raise CannotRun("one VM a host")

    def raw_cable(self):
        """A further cable whose VM's end this program holds (RawCable). Ends with
        close_others()."""
        raise CannotRun("frames do not cross a datagram socket")

    def close_others(self):
        """Ends what another() and raw_cable() made."""
        for close in reversed(self.others):
            close()
        self.others = []

    def devices(self):
        """What the kernel dropped at the ends, so far."""
        total = 0
        for namespace in (self.host, self.guest.namespace):
            links = json.loads(namespace.run("ip", "-j", "-s", "link").stdout)
            for link in links:
                stats = link.get("stats64", {})
                total += sum(stats.get(way, {}).get("dropped", 0) for way in ("rx", "tx"))
        return total


class Ours(Contestant):
    """vmnet-helper as installed."""

    def __init__(self, name, key, *options, offload=False, program=None):
        super().__init__(name, key)
        self.options, self.offload, self.program = options, offload, program
        self.helper = None

    def start_helper(self, namespace):
        return Helper(namespace, "--stats-interval", "1", *self.options,
                      program=self.program).ready()

    def another(self):
        helper = self.start_helper(self.host)
        self.others.append(helper.__exit__)
        guest = self.plug(f"{self.key}{len(self.others)}", helper)
        self.others.append(guest.close)
        return guest, helper.json["ip_address"], [helper.pid, *descendants(helper.pid)]

    def raw_cable(self):
        helper = self.start_helper(self.host)
        self.others.append(helper.__exit__)
        return RawCable(self.host, helper.vm, self.host4, helper.json["ip_address"],
                        helper.json["vmnet_mac_address"], [helper.pid],
                        helper.json["host_interface"])

    def set_up(self):
        self.helper = self.start_helper(self.host)
        self.guest = self.plug(self.key, self.helper)
        self.guest4, self.guest6 = self.addresses(self.helper)
        self.host4 = self.helper.json["vmnet_start_address"]
        self.host6 = self.helper.json["vmnet_nat66_prefix"] + "1"

    def addresses(self, helper):
        line = helper.json
        return line["ip_address"], line["vmnet_nat66_prefix"] + line["ip_address"].split(".")[-1]

    def plug(self, key, helper):
        guest = Guest(key, ["--fd", helper.vm.fileno()], self.offload,
                      helper.json["vmnet_mac_address"], (helper.vm.fileno(),))
        helper.vm.close()
        guest.use(*(f"{address}/{length}"
                    for address, length in zip(self.addresses(helper), (24, 64))))
        return guest

    def helper_pids(self):
        return [self.helper.pid, *descendants(self.helper.pid)]

    def drops(self):
        lines = [line for line in self.helper.log_lines("INFO") if "[stats]" in line]
        if not lines:
            return 0
        counts = json.loads(lines[-1].split("[stats]", 1)[1])
        return counts["host"]["drops"] + counts["vm"]["drops"]

    def stop(self):
        self.close_others()
        if self.helper:
            self.helper.__exit__()
        super().stop()


class OursCaptured(Ours):
    """vmnet-helper --capture, to a file in memory that is emptied all the time."""

    def start_helper(self, namespace):
        file, path = tempfile.mkstemp(dir="/dev/shm")
        os.close(file)
        helper = Helper(namespace, "--stats-interval", "1", "--capture", path, "--capture-size",
                        "1000000", *self.options, program=self.program).ready()
        threading.Thread(target=self.keep_empty, args=(helper, path), daemon=True).start()
        return helper

    @staticmethod
    def keep_empty(helper, path):
        while helper.process.poll() is None:
            time.sleep(0.1)
            os.truncate(path, 0)
        os.unlink(path)


class OursNative(Ours):
    """vmnet-helper --tap: the stand-in VM holds the TAP that the helper made."""

    def start_helper(self, namespace):
        return Helper(namespace, "--tap", program=self.program).ready()

    def plug(self, key, helper):
        tap, _ = receive_descriptor(helper.vm)
        guest = Guest(key, ["--tap-fd", tap], self.offload, helper.json["vmnet_mac_address"], (tap,))
        os.close(tap)
        guest.use(*(f"{address}/{length}"
                    for address, length in zip(self.addresses(helper), (24, 64))))
        return guest

    def raw_cable(self):
        raise CannotRun("frames do not cross a datagram socket")

    def drops(self):
        return None


class Loop(Contestant):
    """A program of bench/ between a datagram socket and a TAP on a bridge."""

    host4, host6, guest4, guest6 = "10.9.0.1", "fd09::1", "10.9.0.2", "fd09::2"

    def __init__(self, name, key, tool):
        super().__init__(name, key)
        self.tool = tool
        self.process = None
        self.host4, self.host6 = Loop.host4, Loop.host6
        self.guest4, self.guest6 = Loop.guest4, Loop.guest6

    def set_up(self):
        self.make_bridge()
        self.process, vm = self.start_tool(self.host, "tap0")
        self.guest = Guest(self.key, ["--fd", vm.fileno()], fds=(vm.fileno(),))
        vm.close()
        self.guest.use(f"{self.guest4}/24", f"{self.guest6}/64")

    def make_bridge(self):
        self.host.ip("link add br0 type bridge stp_state 0 mcast_snooping 0",
                     f"addr add {self.host4}/24 dev br0", f"addr add {self.host6}/64 dev br0 nodad",
                     "link set br0 up")

    def start_tool(self, namespace, tap):
        """The program, its TAP on the bridge, and the VM's end of its socket."""
        own, vm = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        process = started(namespace.start(TOOLS / self.tool, tap, own.fileno(),
                                          pass_fds=(own.fileno(),), stdout=subprocess.PIPE,
                                          stdin=subprocess.DEVNULL, text=True), self.tool)
        own.close()
        namespace.ip(f"link set {tap} mtu {MTU} master br0 up")
        return process, vm

    def another(self):
        number = len(self.others) + 1
        process, vm = self.start_tool(self.host, f"tap{number}")
        self.others.append(lambda: end(process))
        guest = Guest(f"{self.key}{number}", ["--fd", vm.fileno()], mac=numbered_mac(number + 1),
                      fds=(vm.fileno(),))
        vm.close()
        self.others.append(guest.close)
        address = f"10.9.0.{number + 2}"
        guest.use(f"{address}/24")
        return guest, address, [process.pid]

    def raw_cable(self):
        process, vm = self.start_tool(self.host, "tap9")
        self.others += [lambda: end(process), vm.close]
        return RawCable(self.host, vm, self.host4, "10.9.0.250", numbered_mac(250), [process.pid],
                        "tap9")

    def helper_pids(self):
        return [self.process.pid]


class Veth(Contestant):
    """Two namespaces and the kernel's own cable. Without offload the guest's kernel cuts and
    finishes what it sends and takes frames of the MTU alone, as a VM without offload does."""

    def set_up(self):
        self.host4, self.host6, self.guest4, self.guest6 = (Loop.host4, Loop.host6, Loop.guest4,
                                                            Loop.guest6)
        namespace = Namespace(f"guest-{self.key}")
        self.guest = type("VethGuest", (), {"namespace": namespace})()
        self.host.ip(f"link add veth0 type veth peer name {DEVICE} netns {namespace.name}",
                     f"addr add {self.host4}/24 dev veth0",
                     f"addr add {self.host6}/64 dev veth0 nodad", f"link set veth0 mtu {MTU} up")
        namespace.ip(f"addr add {self.guest4}/24 dev {DEVICE}",
                     f"addr add {self.guest6}/64 dev {DEVICE} nodad",
                     f"link set {DEVICE} mtu {MTU} up")
        if not self.offload:
            for where, device in ((self.host, "veth0"), (namespace, DEVICE)):
                where.run("ethtool", "-K", device, "tso", "off", "gso", "off", "gro", "off", "tx",
                          "off")


class VethWithOffload(Veth):
    offload = True


class PlainTap(Contestant):
    """A TAP on a bridge whose other side is the VM monitor itself: -netdev tap without vhost."""

    def __init__(self, name, key, offload=False):
        super().__init__(name, key)
        self.offload = offload

    def set_up(self):
        self.host4, self.host6, self.guest4, self.guest6 = (Loop.host4, Loop.host6, Loop.guest4,
                                                            Loop.guest6)
        Loop.make_bridge(self)
        tap = open_tap(self.host, "tap0")
        self.host.ip(f"link set tap0 mtu {MTU} master br0 up")
        self.guest = Guest(self.key, ["--tap-fd", tap], self.offload, fds=(tap,))
        os.close(tap)
        self.guest.use(f"{self.guest4}/24", f"{self.guest6}/64")
