"""The VM's side of --tap: the device's descriptor, as it comes over the socket, as a stand-in VM's
network card."""

import errno
import fcntl
import os
import select
import socket
import struct

from support.guest import Guest
from support.helper import HelperFailed
from support.lab import TIMEOUT
from support.snapshot import wait_until

TUNSETIFF, TUNSETPERSIST, TUNSETOWNER = 0x400454CA, 0x400454CB, 0x400454CC
TUNGETIFF, TUNSETOFFLOAD, TUNGETVNETHDRSZ = 0x800454D2, 0x400454D0, 0x800454D7
SIOCGIFHWADDR, SIOCSIFHWADDR, TUNSETCARRIER = 0x8927, 0x8924, 0x400454E2
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
ARPHRD_ETHER = 1
HEADER = 12  # of virtio-net, before each frame
NEEDS_CHECKSUM = 1


def receive_descriptor(vm_socket, timeout=TIMEOUT):
    """The descriptor that the helper sends after its line, and the text of its message."""
    if not select.select([vm_socket], [], [], timeout)[0]:
        raise HelperFailed(f"no descriptor within {timeout} s")
    text, fds, _, _ = socket.recv_fds(vm_socket, 16, 4)
    if len(fds) != 1:
        raise HelperFailed(f"{len(fds)} descriptors came with {text!r}")
    return fds[0], text


def mac_request(mac):
    """An ifreq for SIOCSIFHWADDR."""
    return struct.pack("16xH6s16x", ARPHRD_ETHER, bytes.fromhex(mac.replace(":", "")))


class NativeDevice:
    """The TAP as Guest's socket: frames go without their headers, which are empty both ways."""

    def __init__(self, fd):
        self.fd = fd

    def fileno(self):
        return self.fd

    def send(self, frame, header=bytes(HEADER)):
        return os.write(self.fd, header + frame) - HEADER

    def recv(self, size):
        return os.read(self.fd, HEADER + size)[HEADER:]

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

    # What any holder of the descriptor can do, without privilege.

    def flags(self):
        """(name, flags) of TUNGETIFF."""
        name, flags = struct.unpack("16sH22x", fcntl.ioctl(self.fd, TUNGETIFF, bytes(40)))
        return name.rstrip(b"\0").decode(), flags

    def header_size(self):
        return struct.unpack("i", fcntl.ioctl(self.fd, TUNGETVNETHDRSZ, bytes(4)))[0]

    def persist(self):
        fcntl.ioctl(self.fd, TUNSETPERSIST, 1)

    def mac(self):
        answer = fcntl.ioctl(self.fd, SIOCGIFHWADDR, bytes(40))
        return ":".join(f"{byte:02x}" for byte in answer[18:24])

    def set_mac(self, mac):
        fcntl.ioctl(self.fd, SIOCSIFHWADDR, mac_request(mac))


def rest_of(vm_socket):
    """What more the helper has sent, as a list of messages."""
    messages = []
    while select.select([vm_socket], [], [], 0.1)[0]:
        messages.append(vm_socket.recv(100))
    return messages


def native_guest(helper, mac=None):
    """A Guest on the device that `helper`, started with --tap, hands over."""
    fd, _ = receive_descriptor(helper.vm)
    guest = Guest(NativeDevice(fd), mac or helper.json["vmnet_mac_address"])
    guest.helper = helper
    return guest


def device_of(guest):
    """How the host's list of devices names it: numbers are not used again, names are."""
    index = guest.helper.namespace.run(
        "cat", f"/sys/class/net/{guest.helper.json['host_interface']}/ifindex").stdout.strip()
    return f"{index}: {guest.helper.json['host_interface']}:"


def there(host, device):
    return any(line.startswith(device) for line in host.run("ip", "-o", "link").stdout.splitlines())


def gone(host, guest, device):
    """The device is away, also for who still holds it."""
    assert wait_until(lambda: not there(host, device)), f"{device} is still there"
    if guest.socket.fd >= 0:
        try:
            os.read(guest.socket.fd, 100)
        except OSError as error:
            assert error.errno == errno.EBADFD
        else:
            raise AssertionError("its descriptor still works")
