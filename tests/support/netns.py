"""Network namespaces without names: they live as long as this process, so nothing can be left.

Python 3.11 has no os.setns; the two calls are libc's. One thread only, since a namespace belongs
to the calling thread.
"""
import contextlib
import ctypes
import os
import socket
import subprocess

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


class Netns:
    """One network namespace: loopback up, IPv6 addresses usable at once (no duplicate detection)."""

    def __init__(self):
        with self._return_home():
            _check(_libc.unshare(CLONE_NEWNET))
            self.fd = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.run("ip link set lo up")
        for which in ("all", "default"):
            self.write_sysctl(f"net/ipv6/conf/{which}/accept_dad", 0)

    @staticmethod
    @contextlib.contextmanager
    def _return_home():
        home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield
        finally:
            _check(_libc.setns(home, CLONE_NEWNET))
            os.close(home)

    @contextlib.contextmanager
    def inside(self):
        """The block's new sockets, and reads of /proc, are this namespace's."""
        with self._return_home():
            _check(_libc.setns(self.fd, CLONE_NEWNET))
            yield

    @property
    def path(self):
        """What `ip link set ... netns` takes."""
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    def popen(self, command, **options):
        args = command.split() if isinstance(command, str) else command
        return subprocess.Popen(args, text=True,
                                preexec_fn=lambda: _check(_libc.setns(self.fd, CLONE_NEWNET)),
                                **options)

    def run(self, command, stdin=None, check=True):
        """Runs a program inside; its standard output."""
        process = self.popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        output, errors = process.communicate(stdin)
        if check and process.returncode != 0:
            raise RuntimeError(f"{command}: {errors}")
        return output

    def sysctl(self, **settings):
        """net__ipv4__conf__all__rp_filter=0 writes /proc/sys/net/ipv4/conf/all/rp_filter."""
        for name, value in settings.items():
            self.write_sysctl(name.replace("__", "/"), value)

    def write_sysctl(self, path, value):
        with self.inside(), open(f"/proc/sys/{path}", "w", encoding="ascii") as file:
            file.write(str(value))

    def packet_socket(self, device):
        """An AF_PACKET socket that sends on and receives all frames of `device`."""
        with self.inside():
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
        raw.bind((device, 0x0003))
        raw.settimeout(5)
        return raw

    def udp_socket(self, address, port):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.inside():
            udp = socket.socket(family, socket.SOCK_DGRAM)
        udp.bind((address, port))
        udp.settimeout(5)
        return udp

    def close(self):
        os.close(self.fd)
