"""The example tool with a distribution's image: Debian 12 with cloud-init and openssh, from a web server
in the lab to a shell in the VM. The image is made by tests/support/make_debian_image."""

import hashlib
import os
import re
import subprocess

import pytest

from support.helper import wait_for_no_helper
from support.lab import INTERNET, PYTHON, REPOSITORY, end
from support.snapshot import wait_until

pytestmark = [pytest.mark.real_vm, pytest.mark.slow]
IMAGE = REPOSITORY / "build" / "debian" / "debian-12.qcow2"
BOOT_SECONDS = 900  # an emulated processor on a loaded machine, and cloud-init


@pytest.fixture
def address(lab):
    """Where the internet has the image."""
    if not IMAGE.exists():
        pytest.skip("no image: tests/support/make_debian_image makes it")
    server = lab.internet.start(PYTHON, REPOSITORY / "tests" / "example_tool" / "web_server.py",
                                INTERNET.extra[0], "8080", IMAGE.parent, stdout=subprocess.PIPE,
                                text=True)
    assert server.stdout.readline() == "ready\n"
    yield f"http://{INTERNET.extra[0]}:8080/{IMAGE.name}"
    end(server)
    lab.internet.processes.remove(server)


def start(tool, address, *words):
    checksum = hashlib.sha512(IMAGE.read_bytes()).hexdigest()
    return tool.start("deb", "--image", address, "--checksum", f"sha512:{checksum}", "--memory", "1G",
                      "--timeout", str(BOOT_SECONDS), *words)


def shell(tool, command):
    return tool.run("ssh", "deb", command, timeout=120).stdout.strip()


def stopped_in_order(tool, vm):
    """Control+C: the guest shuts down by itself, then the helper ends; nothing is left."""
    programs = list(tool.programs("deb").values())
    vm.interrupt()
    assert vm.wait(200) == 0
    console = tool.run("logs", "deb", "console").stdout
    assert re.search(r"Power(ing)? (O|o)ff|reboot: Power down", console)
    assert wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in programs), 5)
    assert wait_for_no_helper()


def test_from_download_to_shell_and_back(tool, address):
    vm = start(tool, address, "--disk-size", "4G", "--user", "tester")
    found = vm.address(BOOT_SECONDS)
    assert "Checked: sha512 " in vm.text()
    assert shell(tool, "hostname; id -un; sudo id -u") == "deb\ntester\n0"
    assert f" {found}/24 " in shell(tool, "ip -4 -br address show eth0")
    assert int(shell(tool, "df -BM --output=size / | tail -n 1").rstrip("M")) > 3000  # it grew
    assert INTERNET.dns in shell(tool, "resolvectl dns eth0")
    assert INTERNET.web in shell(tool, f"getent ahostsv4 {INTERNET.name}")
    assert shell(tool, "cloud-init status --wait").endswith("status: done")
    stopped_in_order(tool, vm)

    # Again, with a static address and other DNS servers, by another connection: the same disk and keys.
    vm = tool.start("deb", "--connection", "run", "--address", "192.168.64.250", "--dns", "192.0.2.53",
                    "--timeout", str(BOOT_SECONDS))
    assert vm.address(BOOT_SECONDS) == "192.168.64.250"
    assert "192.168.64.250/24" in shell(tool, "ip -4 -br address show eth0")
    assert "192.0.2.53" in shell(tool, "resolvectl dns eth0")
    assert shell(tool, f"ping -c 1 -W 5 {INTERNET.router} > /dev/null && echo there") == "there"
    stopped_in_order(tool, vm)


def test_uefi_and_a_socket_of_a_name(tool, address):
    vm = start(tool, address, "--firmware", "uefi", "--connection", "socket")
    vm.address(BOOT_SECONDS)
    assert re.search(r"^Starting QEMU: .*, UEFI, ", vm.text(), re.M)
    assert shell(tool, "test -d /sys/firmware/efi && echo uefi") == "uefi"
    stopped_in_order(tool, vm)
