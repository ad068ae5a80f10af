"""A guest namespace behind a helper: a real kernel's network stack without booting a VM."""

import json
import subprocess
import time

from support.lab import PYTHON, SUPPORT, CommandFailed
from support.snapshot import wait_until

DEVICE = "eth0"
LEASE_SCRIPT = SUPPORT / "vm_init" / "udhcpc"


class KernelGuest:
    """Namespace `name` with a device `eth0` that is the VM's end of `vm_socket`.

    Takes the socket over. Everything ends with the namespace, which the lab closes. `offload` and
    `check` as in tap_guest.py.
    """

    def __init__(self, lab, name, mac, vm_socket=None, path=None, offload=False, check=False):
        self.namespace = lab.namespace(name)
        # IPv6 by router advertisements, at once: no duplicate address detection.
        self.namespace.sysctl(net__ipv6__conf__default__accept_dad=0,
                              net__ipv6__conf__default__router_solicitation_delay=0)
        end = ["--socket", path] if path else ["--fd", vm_socket.fileno()]
        end += ["--offload"] * offload + ["--check"] * check
        fds = () if path else (vm_socket.fileno(),)
        self.cable = self.namespace.start(PYTHON, SUPPORT / "tap_guest.py", *end, DEVICE, mac,
                                          pass_fds=fds, stdout=subprocess.PIPE,
                                          stdin=subprocess.PIPE, text=True)
        if vm_socket:
            vm_socket.close()
        if self.cable.stdout.readline() != "ready\n":
            raise CommandFailed(f"the guest {name} did not start")

    def dhcp(self):
        """Takes a lease with busybox udhcpc, as a small distribution would."""
        self.namespace.run("busybox", "udhcpc", "-i", DEVICE, "-s", LEASE_SCRIPT, "-n", "-q", "-f",
                           "-t", "10", "-T", "1", "-O", "mtu")
        return self

    def address6(self):
        """Waits for the address that the router advertisement brings."""
        def found():
            lines = self.run("ip", "-6", "-o", "addr", "show", DEVICE, "scope", "global").stdout
            return lines.split()[3].split("/")[0] if lines else None
        wait_until(found)
        return found()

    def checked(self):
        """With `check`: what came in until now."""
        self.cable.stdin.write("\n")
        self.cable.stdin.flush()
        return json.loads(self.cable.stdout.readline())

    def run(self, *command, **options):
        return self.namespace.run(*command, **options)

    def get(self, url, timeout=10, check=True):
        """The body of a web page."""
        return self.run("busybox", "timeout", timeout, "busybox", "wget", "-q", "-O", "-", url,
                        check=check).stdout

    def ping(self, target, check=True):
        return self.run("busybox", "ping", "-c", "1", "-W", "3", target, check=check)

    def iperf3(self, target, *options):
        """Runs iperf3 against a server and returns its JSON text. A server ends the run before a moment
        later than its client."""
        for _ in range(20):
            text = self.run("iperf3", "--json", "--connect-timeout", "3000", "-c", target, *options,
                            timeout=60).stdout
            if "the server is busy" not in text:
                break
            time.sleep(0.1)
        return text
