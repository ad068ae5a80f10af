"""An uplink with a smaller MTU than the VMs' (a VPN, PPPoE): path MTU discovery does the rest.

A VM with offload does not say into which size its streams are to be cut: the helper learns it from
what routers say to the VM."""

import hashlib

import pytest

from support.kernel_guest import KernelGuest
from support.lab import INTERNET, UPLINK

OFFLOAD = ("--enable-tso", "--enable-checksum-offload")
SIZE = 4 << 20


@pytest.mark.parametrize("options", [(), OFFLOAD], ids=["plain", "offload"])
@pytest.mark.parametrize("server", [INTERNET.web, f"[{INTERNET.web6}]"], ids=["ipv4", "ipv6"])
def test_upload(lab, host, plug, options, server):
    host.ip(f"link set {UPLINK} mtu 1400")
    guest = plug(*options)
    vm = KernelGuest(lab, "vm", guest.mac, guest.socket, offload=bool(options)).dhcp()
    vm.address6()
    code = ("import http.client\n"
            f"connection = http.client.HTTPConnection('{server}', timeout=60)\n"
            f"connection.request('POST', '/', bytes(range(256)) * {SIZE // 256})\n"
            "print(connection.getresponse().read().decode().strip())")
    done = vm.run("/usr/bin/python3", "-c", code, timeout=100)
    assert done.stdout.strip() == hashlib.sha256(bytes(range(256)) * (SIZE // 256)).hexdigest()
    host.ip(f"link set {UPLINK} mtu 1500")
