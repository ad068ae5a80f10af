"""The example tool's images: downloads over the lab's internet, disks that are full, images that are
refused."""

import hashlib
import os
import pathlib
import pty
import re
import subprocess

import pytest

from support.example_tool import SMALL_IMAGE, nothing_runs, readable_copy
from support.lab import INTERNET, PYTHON, REPOSITORY, end, run
from support.snapshot import wait_until

pytestmark = pytest.mark.real_vm
slow = pytest.mark.slow


@pytest.fixture
def web(lab):
    """A server in the lab's internet, which can be told to misbehave: web(FOLDER, *options)."""
    servers = []

    def serve(folder, *options):
        server = lab.internet.start(PYTHON, REPOSITORY / "tests" / "example_tool" / "web_server.py",
                                    INTERNET.extra[0], "8080", folder, *options,
                                    stdout=subprocess.PIPE, text=True)
        servers.append(server)
        assert server.stdout.readline() == "ready\n"
        return f"http://{INTERNET.extra[0]}:8080"

    yield serve
    for server in servers:
        end(server)
        lab.internet.processes.remove(server)


@pytest.fixture
def small_image(folder):
    return readable_copy(SMALL_IMAGE, folder)


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def test_download_that_is_cut_and_resumed(tool, web, small_image):
    address = f"{web(small_image.parent, '--cut-after', '9000000')}/{small_image.name}"
    checksum = f"sha256:{sha256(small_image)}"
    vm = tool.start_small("small", "--checksum", checksum, image=address)
    vm.address()
    assert f"Resuming at 9 MB of {small_image.stat().st_size / 1e6:.0f} MB" in vm.text()
    assert f"Checked: sha256 {checksum[7:23]}..." in vm.text()
    tool.run("stop", "small", "--now")
    # Another VM of it needs no network.
    other = tool.start_small("other", "--checksum", checksum, image=address)
    other.wait_for("^Using the downloaded ")


def test_download_ended_by_the_user_goes_on_later(tool, web, small_image):
    address = f"{web(small_image.parent, '--slow')}/{small_image.name}"
    first = tool.start_small("small", image=address)
    first.wait_for("^Downloading")
    assert wait_until(lambda: any(path.stat().st_size > 3e6
                                  for path in (tool.home / "cache").glob("*.part")), 20)
    first.interrupt()
    assert first.wait() == 130
    assert not (tool.home / "vms" / "small").exists()
    second = tool.start_small("small", image=address)
    second.wait_for("^Resuming at ")
    second.wait_for("^Waiting for the VM")


def test_wrong_checksum(tool, web, small_image):
    address = f"{web(small_image.parent)}/{small_image.name}"
    line = tool.fail("small", "--image", address, "--checksum", f"sha256:{'0' * 64}")
    assert re.match(rf"{address}: the sha256 checksum is \w{{16}}\.\.\., not 0{{16}}\.\.\.: the "
                    "download is damaged or not the distributor's", line)
    assert list((tool.home / "cache").iterdir()) == []  # the next try starts anew
    assert not (tool.home / "vms" / "small").exists()


def test_no_such_image_and_no_network(tool, web, small_image):
    address = web(small_image.parent)
    assert tool.fail("small", "--image", f"{address}/none.qcow2") == \
        f"cannot download {address}/none.qcow2: 404 Not Found"
    assert "cannot read https://" in tool.fail("small", "--distro", "debian")
    assert list((tool.home / "vms").iterdir()) == []


@pytest.mark.parametrize("size, what", [("30M", "no space for http"), ("60M", "no space for the disk")])
def test_full_disk(tool, web, small_image, size, what):
    """The first has no room for the download, the second none for the disk beside it."""
    address = f"{web(small_image.parent)}/{small_image.name}"
    tool.home.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={size},mode=777", "full", tool.home)
    try:
        assert tool.fail("small", "--image", address).startswith(what)
        assert not list(tool.home.glob("vms/*")) and not list(tool.home.glob("cache/*.part"))
    finally:
        run("umount", tool.home)


def test_disk_that_fills_up_unannounced(tool, web, small_image):
    """A server that tells no length: the write fails, and what was written is given back."""
    address = f"{web(small_image.parent, '--no-length')}/{small_image.name}"
    tool.home.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=20M,mode=777", "full", tool.home)
    try:
        assert "No space left on device" in tool.fail("small", "--image", address)
        assert list(tool.home.glob("*/*")) == []
    finally:
        run("umount", tool.home)


@slow
def test_at_a_terminal(tool, web, small_image):
    """A progress bar in place, and Control+C as the terminal sends it, to all of its processes."""
    address = f"{web(small_image.parent, '--slow')}/{small_image.name}"
    pid, terminal = pty.fork()
    if pid == 0:
        words = tool.command("small", "--image", address, "--memory", "256M")
        os.execvpe(words[0], words, tool.env)
    shown = b""

    def read_until(what):
        nonlocal shown
        while what not in shown:
            shown += os.read(terminal, 4096)

    read_until(b"Virtual machine IP address")
    assert re.search(rb"\r  \[#+\.+\] +\d+%  \d+ MB of \d+ MB  \d+\.\d MB/s\x1b\[K", shown)
    os.write(terminal, b"\x03")
    read_until(b"Stopping the VM")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)
    assert "power button" in tool.run("logs", "small", "console").stdout
    assert nothing_runs()


def test_images_that_are_refused(tool, folder):
    backing = folder / "backing.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", backing, "1M")
    assert "refers to another file, /etc/passwd" in tool.fail("x", "--image", backing)
    packed = folder / "packed.img.gz"
    packed.write_bytes(b"\x1f\x8b\x08" + bytes(100))
    assert "compressed; unpack it with gzip" in tool.fail("x", "--image", packed)
    vmdk = folder / "disk.vmdk"
    run("qemu-img", "create", "-q", "-f", "vmdk", vmdk, "1M")
    assert "format vmdk, not one of qcow2, raw" in tool.fail("x", "--image", vmdk)
    assert "no such file" in tool.fail("x", "--image", folder / "none")
    for path in folder.iterdir():
        path.chmod(0o644)
    assert not list(tool.home.glob("vms/*"))


@slow
def test_guest_of_another_architecture(tool):
    """arm64, which boots by UEFI alone, on whatever this machine is."""
    image = REPOSITORY / "build" / "vm-arm64" / "disk.img"
    if not image.exists():
        pytest.skip("scripts/test --all makes build/vm-arm64")
    vm = tool.start_small("arm", "--arch", "aarch64", "--memory", "512M", "--disk-size", "80M", image=image)
    address = vm.address(300)
    assert address.startswith("192.168.64.")
    assert re.search(r"^Starting QEMU: 1 CPU, 512 MB, UEFI, (KVM|emulated, slow: .+)$", vm.text(), re.M)
    programs = tool.programs("arm").values()
    vm.interrupt()
    assert vm.wait() == 0
    assert "power button" in tool.run("logs", "arm", "console").stdout
    assert nothing_runs(programs)
