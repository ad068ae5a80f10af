"""The lab's networks: a `host` where helpers run and an `internet` behind its uplink.

Made of network namespaces inside the private mounts of `enter_lab`, so that their names are free
and they vanish with it. The internet knows nothing of the host's private networks: an answer
reaches a VM only where the host translated its address.

    host     uplink0  192.0.2.2/24  2001:db8:1::2/64   default routes to
    internet uplink1  192.0.2.1/24  2001:db8:1::1/64
             and on lo the servers of `Internet`
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass

SUPPORT = pathlib.Path(__file__).resolve().parent
REPOSITORY = SUPPORT.parent.parent
WORK = pathlib.Path("/run/lab")  # the lab's own files; helpers leave nothing here or elsewhere
PYTHON = "/usr/bin/python3"
TIMEOUT = 20  # seconds after which something is stuck, not slow


@dataclass(frozen=True)
class Internet:
    """Addresses of the internet namespace; every server listens on all of them."""

    router = "192.0.2.1"
    router6 = "2001:db8:1::1"
    web = "198.51.100.80"
    web6 = "2001:db8:80::80"
    dns = "198.51.100.53"
    dns6 = "2001:db8:80::53"
    name = "www.lab.example"  # resolves to web and web6
    extra = ("203.0.113.9",)


INTERNET = Internet()
UPLINK = "uplink0"
UPLINK_ADDRESS = "192.0.2.2"
UPLINK_ADDRESS6 = "2001:db8:1::2"


# Behind another device of the host, see Lab.make_lan().
LAN_HOST = "203.0.113.130"
LAN_HOST6 = "2001:db8:2::2"


class CommandFailed(AssertionError):
    """A command of the lab itself ended with a status that was not expected."""


def require_lab():
    """Ends the program where it does not run inside enter_lab."""
    if os.environ.get("VMNET_LAB") != "1":
        sys.exit("this changes networks: run it inside tests/support/enter_lab (see scripts/test)")


def run(*command, check=True, input=None, timeout=TIMEOUT, **options):
    """Runs a command to its end and returns the CompletedProcess with text output."""
    done = subprocess.run([str(part) for part in command], text=True, input=input, timeout=timeout,
                          stdin=subprocess.DEVNULL if input is None else None,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **options)
    if check and done.returncode != 0:
        raise CommandFailed(f"{' '.join(done.args)}: status {done.returncode}\n"
                            f"{done.stdout}{done.stderr}")
    return done


def as_user(user):
    """The command prefix that becomes `user` with its groups and without any capability."""
    if user in (None, "root"):
        return []
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--inh-caps=-all"]


def reaches(source, target):
    """Does a ping from namespace `source` come back?"""
    return source.run("busybox", "ping", "-c1", "-W1", target, check=False).returncode == 0


class Namespace:
    """A named network namespace with its own /sys and resolv.conf (ip-netns(8))."""

    def __init__(self, name, resolv_conf=""):
        self.name = name
        self.processes = []
        self.opened = None
        run("ip", "netns", "add", name)
        self.write_resolv_conf(resolv_conf)
        self.ip("link set lo up")

    def write_resolv_conf(self, text):
        folder = pathlib.Path("/etc/netns") / self.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "resolv.conf").write_text(text)

    def prefix(self, user=None):
        """The command words that run a program here; each execs the next, so the pid stays."""
        return ["ip", "netns", "exec", self.name, *as_user(user)]

    def run(self, *command, user=None, **options):
        return run(*self.prefix(user), *command, **options)

    def start(self, *command, user=None, **options):
        """Starts a program that close() ends."""
        process = subprocess.Popen([*self.prefix(user), *map(str, command)], **options)
        self.processes.append(process)
        return process

    def ip(self, *lines):
        """Runs ip(8) commands, one a line, in one process."""
        return run("ip", "-netns", self.name, "-batch", "-", input="\n".join(lines) + "\n").stdout

    def sysctl(self, **values):
        """sysctl(net__ipv4__ip_forward=1): double underscores are the dots."""
        for name, value in values.items():
            self.run("sysctl", "-q", "-w", f"{name.replace('__', '.')}={value}")

    def nft(self, text):
        """Loads rules in the nft language."""
        return self.run("nft", "-f", "-", input=text).stdout

    def links(self):
        """Names of the interfaces."""
        lines = run("ip", "-netns", self.name, "-o", "link").stdout.splitlines()
        return [line.split(": ")[1].split("@")[0] for line in lines]

    def descriptor(self):
        """An open file of this namespace, for setns(2)."""
        if self.opened is None:
            self.opened = os.open(f"/run/netns/{self.name}", os.O_RDONLY | os.O_CLOEXEC)
        return self.opened

    def close(self):
        for process in self.processes:
            end(process)
        self.processes = []
        if self.opened is not None:
            os.close(self.opened)
            self.opened = None
        run("ip", "netns", "del", self.name, check=False)
        shutil.rmtree(pathlib.Path("/etc/netns") / self.name, ignore_errors=True)


def end(process, number=signal.SIGKILL):
    """Ends a process that is no more needed and waits for it."""
    if process.poll() is None:
        process.send_signal(number)
    process.wait(TIMEOUT)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            stream.close()


class Lab:
    """Both namespaces, the cable between them and the servers; a context manager."""

    def __init__(self):
        require_lab()
        self.internet = None
        self.host = None
        self.others = []

    def __enter__(self):
        self.internet = Namespace("internet")
        addresses = [INTERNET.web, INTERNET.dns, *INTERNET.extra]
        self.internet.ip(*[f"addr add {address}/32 dev lo" for address in addresses],
                         *[f"addr add {address}/128 dev lo nodad"
                           for address in (INTERNET.web6, INTERNET.dns6)])
        self.start_services()
        self.make_host()
        return self

    def start_services(self):
        services = self.internet.start(PYTHON, SUPPORT / "services.py", stdout=subprocess.PIPE,
                                       stdin=subprocess.DEVNULL, text=True)
        if services.stdout.readline() != "ready\n":
            raise CommandFailed("the lab's servers did not start")
        self.internet.start("iperf3", "-s", stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)

    def make_host(self):
        """A fresh host: nothing forwarded, nothing filtered, a resolver on the internet."""
        self.host = Namespace("host", f"nameserver {INTERNET.dns}\nnameserver {INTERNET.dns6}\n")
        # No address is to be tentative: its change to permanent would look like a trace of a helper.
        self.host.ip(f"link add {UPLINK} type veth peer name uplink1 netns internet",
                     f"link set {UPLINK} addrgenmode none",
                     f"addr add fe80::2/64 dev {UPLINK} nodad",
                     f"addr add {UPLINK_ADDRESS}/24 dev {UPLINK}",
                     f"addr add {UPLINK_ADDRESS6}/64 dev {UPLINK} nodad",
                     f"link set {UPLINK} up")
        self.internet.ip("addr add 192.0.2.1/24 dev uplink1",
                         "addr add 2001:db8:1::1/64 dev uplink1 nodad",
                         "addr add fe80::1/64 dev uplink1 nodad",
                         "link set uplink1 up")
        self.host.ip(f"route add default via {INTERNET.router}",
                     f"route add default via {INTERNET.router6} dev {UPLINK}")
        # The machine's own setting must not decide what a test sees.
        self.host.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=0",
                      "net.ipv6.conf.all.forwarding=0")

    def drop_host(self):
        for namespace in self.others:
            namespace.close()
        self.others = []
        if self.host:
            # Not left to the end of the namespace, which a socket in someone's hands can hold up.
            run("ip", "-netns", "host", "link", "del", UPLINK, check=False)
            self.host.close()
        self.host = None

    def namespace(self, name):
        """A further namespace (a guest, a client's own) that lives as long as the host."""
        made = Namespace(name)
        self.others.append(made)
        return made

    def make_lan(self):
        """A namespace behind another device of the host, which the internet knows the way to."""
        lan = self.namespace("lan")
        self.host.ip("link add lan0 type veth peer name eth0 netns lan",
                     "link set lan0 addrgenmode none", "addr add 203.0.113.129/28 dev lan0",
                     "addr add 2001:db8:2::1/64 dev lan0 nodad",
                     "addr add fe80::3/64 dev lan0 nodad", "link set lan0 up")
        lan.ip("link set eth0 addrgenmode none", f"addr add {LAN_HOST}/28 dev eth0",
               f"addr add {LAN_HOST6}/64 dev eth0 nodad", "link set eth0 up",
               "route add default via 203.0.113.129", "route add default via 2001:db8:2::1 dev eth0")
        self.internet.ip(f"route add 203.0.113.128/28 via {UPLINK_ADDRESS}",
                         f"route add 2001:db8:2::/64 via {UPLINK_ADDRESS6}")
        return lan

    def drop_lan(self):
        self.internet.ip("route del 203.0.113.128/28", "route del 2001:db8:2::/64")
        self.host.ip("link del lan0")

    def __exit__(self, *_):
        self.drop_host()
        self.internet.close()
