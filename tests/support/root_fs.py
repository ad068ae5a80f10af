"""A fresh Debian 12 to install into: the root file system that scripts/lib/make_root_fs made, under an
overlay in memory that is thrown away, running in the lab's `host` network."""

import ctypes
import hashlib
import json
import os
import pathlib
import signal
import socket
import subprocess

from support.guest import Guest
from support.helper import descendants, status
from support.lab import INTERNET, REPOSITORY, TIMEOUT, WORK, CommandFailed, run
from support.snapshot import wait_until

LOWER = REPOSITORY / "build" / "rootfs" / "debian-12"
PIDFD_GETFD = 438
VM_DESCRIPTOR = 4
# Kernel file systems for the time of one command: `ip netns exec` gave it mounts of its own.
ENTER = ('mount -t proc proc "$0/proc" && mount -t sysfs sysfs "$0/sys" && exec chroot "$0" "$@"')
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
               "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"}


def take_descriptor(pid, number):
    """A copy of another process's descriptor."""
    pidfd = os.pidfd_open(pid)
    try:
        copy = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, pidfd, number, 0)
    finally:
        os.close(pidfd)
    if copy < 0:
        raise OSError(ctypes.get_errno(), f"no descriptor {number} of process {pid}")
    return copy


class RootFs:
    """The fresh system; a context manager. `user` alice is there, in no group of ours."""

    def __init__(self, namespace):
        self.namespace = namespace
        self.folder = WORK / "fresh"
        self.root = self.folder / "root"

    def __enter__(self):
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir(parents=True)
        run("mount", "-t", "overlay", "fresh", "-o",
            f"lowerdir={LOWER},upperdir={self.folder}/upper,workdir={self.folder}/work", self.root)
        self.write("/etc/resolv.conf", f"nameserver {INTERNET.dns}\n")
        self.write("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 lab\n")
        self.write("/etc/apt/apt.conf.d/90lab", 'APT::Get::Assume-Yes "true";\n')
        self.run("useradd", "--create-home", "alice")
        return self

    def __exit__(self, *_):
        run("umount", self.root)
        run("rm", "-rf", self.folder)

    def path(self, path):
        return self.root / str(path).lstrip("/")

    def write(self, path, text):
        self.path(path).write_text(text)

    def command(self, *words, user="root"):
        become = [] if user == "root" else ["setpriv", f"--reuid={user}", f"--regid={user}",
                                            "--init-groups", "--inh-caps=-all"]
        return [*self.namespace.prefix(), "sh", "-c", ENTER, str(self.root), *become, *map(str, words)]

    def run(self, *words, user="root", timeout=300, **options):
        return run(*self.command(*words, user=user), env=ENVIRONMENT, timeout=timeout, **options)

    def shell(self, text, user="root", **options):
        """Runs what a page tells its reader to type, in a folder with the release's files."""
        return self.run("bash", "-euc", f"cd /root/release 2> /dev/null || cd /\n{text}", user=user,
                        **options)

    def files(self, excluded=()):
        """path -> what it is, of all files but those below `excluded`; /etc with its contents."""
        found = {}
        for folder, folders, names in os.walk(self.root):
            inside = "/" + os.path.relpath(folder, self.root)
            folders[:] = [name for name in folders if f"{inside}/{name}".replace("/./", "/")
                          .replace("//", "/") not in excluded]
            for name in folders + names:
                path = os.path.join(folder, name)
                shown = "/" + os.path.relpath(path, self.root)
                if shown not in excluded:
                    found[shown] = describe(path, shown)
        return found


def describe(path, shown):
    told = os.lstat(path)
    content = ""
    if os.path.islink(path):
        content = os.readlink(path)
    elif os.path.isfile(path) and shown.startswith("/etc/"):
        content = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()[:12]
    elif os.path.isfile(path):
        content = str(told.st_size)
    return f"{told.st_mode:o} {told.st_uid}:{told.st_gid} {content}"


class StandInVm:
    """`vmnet-run -- COMMAND` of a user in the fresh system, with the VM's end of the cable in the
    test's hands: a context manager that gives a Guest."""

    def __init__(self, root_fs, user, program="vmnet-run"):
        self.process = subprocess.Popen(
            root_fs.command(program, "--", "sleep", "1000", user=user), env=ENVIRONMENT,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.guest = None

    def __enter__(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(TIMEOUT)
            raise CommandFailed(f"no line: {self.process.stderr.read()}")
        command = wait_until(self.vm_process, TIMEOUT)
        vm = socket.socket(fileno=take_descriptor(command, VM_DESCRIPTOR))
        self.guest = Guest(vm, json.loads(line)["vmnet_mac_address"])
        return self.guest

    def vm_process(self):
        """The pid of COMMAND, once it is executed."""
        for pid in descendants(self.process.pid):
            if status(pid)["Name"] == "sleep":
                return pid
        return None

    def __exit__(self, *_):
        if self.guest:
            self.guest.socket.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(TIMEOUT)
        self.process.stdout.close()
        self.process.stderr.close()
