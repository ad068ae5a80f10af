"""tcpdump in a real VM, and its kernel's own counters: no frame with a wrong checksum arrives."""

import hashlib
import re
import time

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from support.demo import iperf, need, take_ipv6_address, take_lease
from support.installation import SETUID_COPY
from support.kernel_guest import KernelGuest
from support.lab import INTERNET, WORK
from support.services import PATTERN
from support.vm import VirtualMachine

pytestmark = pytest.mark.real_vm
MAC = "0e:76:6d:00:00:01"
SIZE = 3 << 20
WRONG = re.compile(r"incorrect|bad .*cksum")
RIGHT = re.compile(r"cksum 0x\w+ \(correct\)|udp sum ok")


def watch(vm):
    """tcpdump of what comes in, with all checksums looked at; frame by frame, not what the VM's
    kernel puts together of them."""
    need(vm.run("ethtool -K eth0 gro off"))
    need(vm.run("tcpdump -Z root -i eth0 -Q in -n -vvv -s 0 -l 'tcp or udp' > /tmp/seen 2> /tmp/log &"
                " for i in 1 2 3 4 5 6 7 8 9; do grep -q listening /tmp/log && exit 0; sleep 1; done;"
                " exit 1"))


def seen(vm):
    """(right, wrong) checksums that tcpdump printed; the first wrong ones in full."""
    time.sleep(0.5)
    right = int(vm.run(f"grep -cE '{RIGHT.pattern}' /tmp/seen".replace(r"\w", "[0-9a-f]")).output)
    return right, vm.run(f"grep -E '{WRONG.pattern}' /tmp/seen | head -3").output.strip()


def kernel_errors(vm):
    """The VM's own count of packets with wrong checksums or headers."""
    lines = need(vm.run("cat /proc/net/snmp")).splitlines()
    names = {}
    for header, values in zip(lines[::2], lines[1::2]):
        kind, keys = header.split(": ")
        names.update({f"{kind}.{key}": int(value) for key, value in
                      zip(keys.split(), values.split(": ")[1].split())})
    wrong = ("Ip.InHdrErrors", "Tcp.InCsumErrors", "Tcp.InErrs", "Udp.InCsumErrors")
    return {key: names[key] for key in wrong if names[key]}


def fetch(vm, url, digest):
    assert need(vm.run(f"wget -q -O - '{url}' | sha256sum", timeout=60)).split()[0] == digest


def test_no_wrong_checksum_arrives(lab, host, plug):
    neighbour = plug("--enable-tso", "--enable-checksum-offload")
    large = KernelGuest(lab, "large", neighbour.mac, neighbour.socket, offload=True).dhcp()
    content = (PATTERN * (SIZE // len(PATTERN) + 1))[:SIZE]
    digest = hashlib.sha256(content).hexdigest()
    (WORK / "www").mkdir(exist_ok=True)
    (WORK / "www" / "file").write_bytes(content)
    server = large.namespace.start("busybox", "httpd", "-f", "-p", "8080", "-h", WORK / "www")
    attacker = plug()
    attacker.dhcp()
    with VirtualMachine(host, SETUID_COPY, MAC) as vm:
        vm.booted()
        take_lease(vm)
        take_ipv6_address(vm)
        watch(vm)
        fetch(vm, f"http://{INTERNET.web}/bytes/{SIZE}", digest)
        fetch(vm, f"http://[{INTERNET.web6}]/bytes/{SIZE}", digest)
        fetch(vm, f"http://{neighbour.helper.json['ip_address']}:8080/file", digest)
        iperf(lab, vm)
        need(vm.run(f"nslookup {INTERNET.name} {INTERNET.dns}"))
        right, wrong = seen(vm)
        assert right > 1000 and not wrong, wrong
        assert not kernel_errors(vm)

        # tcpdump would have said so.
        address = vm.interface()["ip_address"]
        attacker.send(Ether(src=attacker.mac, dst=MAC) / IP(src=attacker.ip, dst=address) /
                      TCP(sport=1, dport=2, flags="A", chksum=0x1234))
        assert "incorrect" in seen(vm)[1]
    server.terminate()
    server.wait()
