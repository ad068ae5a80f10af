"""The internet's router as one that the host learns of by router advertisements."""

from scapy.layers.inet6 import ICMPv6ND_RA, IPv6
from scapy.layers.l2 import Ether

from support.lab import INTERNET, PYTHON, UPLINK
from support.snapshot import wait_until

SEND = ("import socket, sys; s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW);"
        "s.bind(('uplink1', 0)); s.send(bytes.fromhex(sys.argv[1]))")


def advertise(lab, lifetime):
    """One advertisement to the host's uplink: a default router for so many seconds."""
    frame = Ether(dst="33:33:00:00:00:01") / IPv6(src="fe80::1", dst="ff02::1", hlim=255) / \
        ICMPv6ND_RA(routerlifetime=lifetime)
    lab.internet.run(PYTHON, "-c", SEND, bytes(frame).hex())


def learned(host):
    return "default via fe80::1" in host.run("ip", "-6", "route").stdout


def replace_default_route(lab):
    """The host's IPv6 default route is one that the kernel learned, no more a written one."""
    lab.host.ip(f"route del default via {INTERNET.router6} dev {UPLINK}")
    lab.host.sysctl(**{f"net__ipv6__conf__{UPLINK}__accept_ra": 1})
    advertise(lab, 1800)
    assert wait_until(lambda: learned(lab.host))
