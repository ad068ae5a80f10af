"""Real VMs: QEMU started by an unprivileged user through vmnet-run, with every way to privilege."""

import pytest

from support import snapshot
from support.demo import (check_unprivileged, fetch, iperf, need, ping, resolve,
                          take_ipv6_address, take_lease)
from support.helper import helper_processes, wait_for_no_helper
from support.installation import CAPABLE_COPY, SETUID_COPY, SUDO
from support.lab import INTERNET, UPLINK_ADDRESS, UPLINK_ADDRESS6
from support.vm import Machine, VirtualMachine, qemu_command, stream_on

pytestmark = pytest.mark.real_vm
MAC = "0e:76:6d:00:00:0{}"


# Each way and each transport always, all their pairs in the slow tests.
OFTEN = [(SETUID_COPY, ()), (SUDO, ("--tap",)), (CAPABLE_COPY, ())]
SELDOM = [(SETUID_COPY, ("--tap",)), (SUDO, ()), (CAPABLE_COPY, ("--tap",))]


@pytest.mark.parametrize("way, options", [
    *OFTEN, *(pytest.param(*pair, marks=pytest.mark.slow) for pair in SELDOM)],
    ids=lambda value: getattr(value, "name", None) or ("tap" if value else "socket"))
def test_network(lab, host, way, options):
    before = snapshot.host_state(host)
    with VirtualMachine(host, way, MAC.format(1), *options) as vm:
        vm.booted()
        check_unprivileged(vm)
        take_lease(vm)
        take_ipv6_address(vm)
        ping(vm, vm.interface()["vmnet_start_address"])
        resolve(vm)
        fetch(vm, f"http://{INTERNET.name}/", UPLINK_ADDRESS)
        fetch(vm, f"http://[{INTERNET.web6}]/", UPLINK_ADDRESS6)
        iperf(lab, vm)
        iperf(lab, vm, "-R")
        assert vm.poweroff() == 0
    assert wait_for_no_helper()
    assert not snapshot.difference(before, snapshot.host_state(host))


@pytest.mark.parametrize("netdev", ["stream,addr.type=fd,addr.str=4", "socket,fd=4"])
def test_stream(lab, host, netdev):
    with VirtualMachine(host, SETUID_COPY, MAC.format(1), "--socket-type=stream",
                        netdev=netdev) as vm:
        vm.booted()
        take_lease(vm)
        ping(vm, INTERNET.web)
        fetch(vm, f"http://{INTERNET.name}/", UPLINK_ADDRESS)
        iperf(lab, vm)
        iperf(lab, vm, "-R")
        assert vm.poweroff() == 0


def test_stream_by_path(start, folder):
    """QEMU connects by itself; the next VM does at once when one was killed."""
    path = folder / "vm.sock"
    helper = start("--socket-type=stream", path=path)
    netdev = f"stream,server=off,addr.type=unix,addr.path={path}"
    for _ in range(2):
        with Machine(qemu_command(256, *stream_on(helper.json["vmnet_mac_address"], netdev))) as vm:
            vm.booted()
            need(vm.run("ip link set eth0 up"))
            need(vm.run("udhcpc -i eth0 -s /udhcpc -n -q -f -t 10 -T 1"))
            vm.process.kill()
    assert helper.process.poll() is None


def test_isolated(host):
    """Two isolated VMs, one with its TAP itself, reach the internet and not each other."""
    option = "--enable-isolation"
    with VirtualMachine(host, SETUID_COPY, MAC.format(1), option) as first, \
            VirtualMachine(host, SETUID_COPY, MAC.format(2), option, "--tap") as second:
        for vm in (first, second):
            vm.booted()
            take_lease(vm)
            ping(vm, INTERNET.web)
        assert not first.run(f"ping -c 1 -W 1 {second.interface()['ip_address']}")


@pytest.mark.parametrize("options", [(), ("--tap",)], ids=["socket", "tap"])
def test_kill_of_the_helper_ends_the_vm(host, options):
    """vmnet-run notices a dead helper and does not leave the VM without a network."""
    with VirtualMachine(host, SETUID_COPY, MAC.format(1), *options) as vm:
        vm.booted()
        need(vm.run("ip link set eth0 up"))
        host.run("kill", "-9", min(helper_processes()))
        assert vm.process.wait(15) == 1
    assert wait_for_no_helper()
