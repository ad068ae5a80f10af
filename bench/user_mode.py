"""The user-mode network stacks of others: passt, slirp4netns, gvproxy."""

import shutil
import socket
import subprocess
import time

from contestants import DEVICE, MTU, CannotRun, Contestant, Guest
from support.helper import descendants
from support.lab import REPOSITORY, WORK, Namespace
from support.snapshot import wait_until

GVPROXY = REPOSITORY / "build" / "bench" / "gvproxy"


class Program(Contestant):
    """A program of others, which is found or not."""

    program = None

    def start(self):
        if not shutil.which(str(self.program)):
            raise CannotRun(f"{self.program} is not installed here")
        return super().start()

    def launch(self, *words, fds=()):
        self.log = open(WORK / f"{self.key}.log", "wb")
        self.process = self.host.start(*words, pass_fds=fds, stdin=subprocess.DEVNULL,
                                       stdout=self.log, stderr=self.log)
        return self.process

    def log_text(self):
        return " ".join((WORK / f"{self.key}.log").read_text(errors="replace").split()[-30:])

    def helper_pids(self):
        return [self.process.pid, *descendants(self.process.pid)]


class Passt(Program):
    """Debian's passt on a socketpair, with QEMU's stream framing."""

    program = "passt"
    host4, guest4 = "10.9.0.1", "10.9.0.2"

    def set_up(self):
        own, vm = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        folder = WORK / "passt"  # its user must be able to reach the program's working files
        folder.mkdir(mode=0o777, exist_ok=True)
        self.launch("passt", "--foreground", "--stderr", "--fd", own.fileno(), "--mtu", MTU,
                    "--address", Passt.guest4, "--netmask", "24", "--gateway", Passt.host4,
                    "--interface", "uplink0", "--ipv4-only", fds=(own.fileno(),))
        own.close()
        time.sleep(0.5)
        if self.process.poll() is not None:
            raise CannotRun(f"passt ended: {self.log_text()}")
        self.guest = Guest(self.key, ["--stream", vm.fileno()], fds=(vm.fileno(),))
        vm.close()
        # The gateway stands for the host's loopback.
        self.host4, self.guest4 = Passt.host4, Passt.guest4
        self.guest.use(f"{self.guest4}/24")


class Slirp4netns(Program):
    """Debian's slirp4netns: it opens a TAP in the guest's namespace itself, without a stand-in VM,
    which is one hop less than all others have."""

    program = "slirp4netns"

    def set_up(self):
        namespace = Namespace(f"guest-{self.key}")
        self.guest = type("SlirpGuest", (), {"namespace": namespace})()
        self.launch("slirp4netns", "--configure", f"--mtu={MTU}", "--netns-type=path",
                    f"/run/netns/{namespace.name}", DEVICE)
        if not wait_until(lambda: DEVICE in namespace.links(), 5):
            raise CannotRun(f"slirp4netns made no device: {self.log_text()}")
        time.sleep(0.3)
        self.host4, self.guest4 = "10.0.2.2", "10.0.2.100"


class Gvproxy(Program):
    """gvproxy, built from its module, behind vfkit's datagram socket."""

    program = GVPROXY

    def set_up(self):
        path = WORK / "gvproxy.sock"
        path.unlink(missing_ok=True)
        self.launch(GVPROXY, "-listen-vfkit", f"unixgram://{path}", "-mtu", MTU, "-ssh-port", "-1")
        if not wait_until(path.exists, 5):
            raise CannotRun(f"gvproxy made no socket: {self.log_text()}")
        self.guest = Guest(self.key, ["--vfkit", path], mac="5a:94:ef:e4:0c:ee")
        # .254 stands for the host's loopback.
        self.host4, self.guest4 = "192.168.127.254", "192.168.127.2"
        self.guest.use(f"{self.guest4}/24")
