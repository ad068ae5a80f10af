"""The example tool with a small guest: start, stop, what stands beside them, and what ends a run: one
line, status 1, nothing left. test_example_tool_images.py has downloads and disks, tests/example_tool the
tests of its parts."""

import os
import re
import shutil
import signal
import subprocess

import pytest

from support.example_tool import SMALL_IMAGE, Tool, alive, nothing_runs
from support.helper import wait_for_no_helper
from support.lab import PYTHON, REPOSITORY, WORK, run
from support.snapshot import wait_until

pytestmark = pytest.mark.real_vm
slow = pytest.mark.slow
KEPT = {"vm.json", "disk.qcow2", "id_ed25519", "id_ed25519.pub", "host_key", "host_key.pub",
        "known_hosts", "ssh.config", "qemu.command", "console.log", "helper.log", "driver.log"}


# What works

@pytest.mark.parametrize("connection, options, network", [
    ("fd", [], "192.168.64."),
    ("socket", ["--operation-mode", "host", "--enable-isolation"], "192.168.128."),
    ("run", ["--start-address", "10.7.0.1", "--end-address", "10.7.0.99", "--subnet-mask",
             "255.255.255.0"], "10.7.0."),
    ("tap", ["--dns", "192.0.2.53"], "192.168.64.")])
def test_start_and_end(tool, connection, options, network):
    vm = tool.start_small("small", "--connection", connection, *options)
    first = vm.address()
    assert first.startswith(network)
    assert vm.lines[-1] == f"Virtual machine IP address: {first}"
    assert re.search(r"^Starting QEMU: 1 CPU, 256 MB, (KVM|emulated, slow: .+)$", vm.text(), re.M)
    shown = tool.run("list").stdout.splitlines()
    assert re.fullmatch(rf"small +running +qemu +{re.escape(first)} +{SMALL_IMAGE}", shown[1])
    assert ("tap,id=net0,fd=4" in run("pgrep", "-a", "qemu").stdout) == (connection == "tap")
    programs = tool.programs("small").values()
    vm.interrupt()
    assert vm.wait() == 0
    assert vm.lines[-1] == "Stopping the VM"
    assert "power button" in tool.run("logs", "small", "console").stdout  # it was asked, not killed
    assert nothing_runs(programs)
    assert tool.files("small") == KEPT
    assert re.search(r"^small +stopped +qemu +- ", tool.run("list").stdout, re.M)


def test_the_same_address_every_time(tool):
    first = tool.start_small("small")
    address = first.address()
    assert tool.run("stop", "small").stdout == "Stopped small\n"
    assert first.wait() == 0
    again = tool.start("small", "--connection", "run", "--cpus", "2")
    assert again.address() == address
    assert tool.settings("small")["cpus"] == 2 and tool.settings("small")["memory"] == 256
    tool.run("stop", "small", "--now")
    assert again.wait() == 0
    assert tool.run("delete", "small").stdout == "Deleted small\n"
    assert list((tool.home / "vms").iterdir()) == [] and tool.run("list").stdout.count("\n") == 1


@slow
def test_two_vms_on_a_network_of_their_own(tool, host):
    """Helper options reach the helper; a second VM beside the first."""
    options = ["--operation-mode", "host", "--start-address", "10.7.0.1", "--end-address",
               "10.7.0.99", "--subnet-mask", "255.255.255.0", "--stats-interval", "1"]
    both = [tool.start_small(name, *options) for name in ("one", "two")]
    addresses = [vm.address() for vm in both]
    assert len(set(addresses)) == 2 and all(a.startswith("10.7.0.") for a in addresses)
    # As docs/examples.md has it: ./example logs one helper | scripts/stats
    assert wait_until(lambda: tool.run("logs", "one", "helper").stdout.count("[stats]") > 2, 20)
    table = run(REPOSITORY / "scripts" / "stats", input=tool.run("logs", "one", "helper").stdout).stdout
    assert "Mbit/s" in table and table.count("\n") > 2
    for name in ("one", "two"):
        tool.run("stop", name, "--now")


def test_shutdown_from_within(tool):
    vm = tool.start_small("small")
    vm.address()
    # The power button, by the tool's own way to press it.
    run(PYTHON, "-c", "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "f=s.makefile('rwb'); f.readline();"
        "[(f.write(b'{\"execute\":\"%s\"}' % w), f.flush(), f.readline())"
        " for w in (b'qmp_capabilities', b'system_powerdown')]",
        tool.home / "vms" / "small" / "control.sock")
    assert vm.wait() == 0 and vm.lines[-1] == "The VM has shut down"
    assert wait_for_no_helper()


@pytest.mark.parametrize("driver, connection", [("vfkit", "fd"), ("krunkit", "socket"),
                                                pytest.param("krunkit", "run", marks=slow)])
def test_other_drivers(tool, folder, driver, connection):
    """With a stand-in for the driver, which reads its options and runs QEMU."""
    bin = folder / "bin"
    bin.mkdir(mode=0o755)
    shutil.copy(REPOSITORY / "tests" / "support" / "stand_in_driver.py", bin / driver)
    vm = tool.start_small("small", "--driver", driver, "--connection", connection,
                          PATH=f"{bin}:/usr/bin:/bin")
    vm.address()
    assert f"Starting {driver}: 1 CPU, 256 MB" in vm.lines
    vm.interrupt()
    assert vm.wait() == 0 and nothing_runs()
    assert tool.files("small") == KEPT - {"disk.qcow2", "qemu.command"} | {"disk.raw", f"{driver}.command"}


@slow
def test_odd_characters_in_the_home_folder(host, alice_folder):
    tool = Tool(host, alice_folder / "a, 'b' $(c) d")
    vm = tool.start_small("small", "--connection", "socket")
    vm.address()
    tool.run("stop", "small", "--now")
    assert vm.wait() == 0


# What ends a run

def test_second_start_of_a_name(tool):
    vm = tool.start_small("small")
    vm.wait_for("^Waiting for the VM")
    assert tool.fail("small") == \
        "small is running: './example ssh small', './example stop small'"
    assert tool.fail("delete", "small") == "small is running: './example stop small' first"
    assert vm.process.poll() is None
    tool.run("stop", "small", "--now")


@pytest.mark.parametrize("connection", ["fd", *(pytest.param(name, marks=slow)
                                                for name in ("socket", "run", "tap"))])
def test_vm_that_dies(tool, connection):
    vm = tool.start_small("small", "--connection", connection)
    vm.address()
    qemu = int(run("pgrep", "-f", "^/usr/bin/qemu-system.* -name small").stdout)
    os.kill(qemu, signal.SIGKILL)
    assert vm.wait() == 1
    assert re.match(r"example: the VM ended, (signal 9|status 137)", vm.lines[-1])
    assert nothing_runs() and tool.files("small") == KEPT


def test_helper_that_dies(tool):
    vm = tool.start_small("small")
    vm.address()
    programs = tool.programs("small")
    worker = int(run("pgrep", "-u", "alice", "-f", "vmnet-helper --fd").stdout.split()[0])
    os.kill(worker, signal.SIGKILL)
    assert vm.wait() == 1 and "example: vmnet-helper ended" in vm.text()
    assert nothing_runs(programs.values())


@pytest.mark.parametrize("connection, finish", [
    ("socket", "stop"), pytest.param("fd", "stop", marks=slow), pytest.param("fd", "start", marks=slow),
    pytest.param("socket", "start", marks=slow), pytest.param("run", "stop", marks=slow),
    pytest.param("tap", "stop", marks=slow)])
def test_tool_that_is_killed(tool, connection, finish):
    """What it started is ended by `stop`, and by the next start."""
    vm = tool.start_small("small", "--connection", connection)
    vm.wait_for("^Waiting for the VM")
    programs = tool.programs("small").values()
    vm.process.kill()
    vm.wait()
    assert all(map(alive, programs))
    assert re.search(r"^small +left over ", tool.run("list").stdout, re.M)
    if finish == "stop":
        assert tool.run("stop", "small").stdout == "Stopped small\n"
    else:
        again = tool.start("small")
        assert again.wait_for("^Ended what a killed run had left")
        again.address()
        tool.run("stop", "small", "--now")
    assert nothing_runs(programs)


def test_reader_that_has_gone(tool):
    """./example small | true"""
    reader, writer = os.pipe()
    os.close(reader)
    with subprocess.Popen(tool.command("small", "--image", SMALL_IMAGE, "--memory", "256M"),
                          env=tool.env, stdout=writer, stderr=subprocess.PIPE) as vm:
        os.close(writer)
        assert wait_until(lambda: "starting" in tool.run("list").stdout, 20, 0.2)
        tool.run("stop", "small", "--now")
        assert vm.wait(20) == 143 and vm.stderr.read() == b""
    assert nothing_runs() and tool.files("small") <= KEPT  # it may have been stopped before QEMU's logs


@pytest.mark.parametrize("moment", ["^Started vmnet-helper", "^Starting QEMU", "^Waiting"])
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=slow)])
def test_end_while_it_starts(tool, moment, number):
    vm = tool.start_small("small")
    vm.wait_for(moment)
    vm.interrupt(number)
    vm.interrupt(number)
    assert vm.wait() == 128 + number
    assert "Traceback" not in vm.text() and nothing_runs()


def test_vm_that_never_answers(tool, folder):
    image = folder / "empty.img"
    image.write_bytes(b"\xf4" + bytes(1 << 20))  # a boot sector that halts
    vm = tool.start("empty", "--image", image, "--memory", "64M", "--timeout", "3")
    assert vm.wait() == 1
    assert re.match(r"example: the VM did not answer at 192\.168\.64\.\d+ within 3 s; its console: "
                    r"\./example logs empty$", vm.lines[-1])
    assert nothing_runs()


def test_vm_that_does_not_start(tool):
    """QEMU refuses: its own words are in the line."""
    line = tool.fail("small", "--image", SMALL_IMAGE, "--memory", "99999999M")
    assert line.startswith("the VM ended, status 1: ") and "memory" in line
    assert nothing_runs()


# What is refused before anything is made

def test_driver_that_is_not_installed(tool, folder):
    assert tool.fail("small", "--driver", "vfkit").startswith("vfkit is not installed (macOS: brew")
    bin = folder / "bin"
    bin.mkdir(mode=0o755)
    for name in ("env", "python3", "sudo"):
        (bin / name).symlink_to(f"/usr/bin/{name}")
    line = tool.fail("small", "--image", SMALL_IMAGE, PATH=str(bin))
    assert line == ("qemu-system-x86_64 is not installed (apt-get install qemu-system-x86; macOS: brew "
                    "install qemu)")
    (bin / "qemu-system-x86_64").symlink_to("/usr/bin/qemu-system-x86_64")
    assert tool.fail("small", "--image", SMALL_IMAGE, PATH=str(bin)) == \
        "qemu-img is not installed (apt-get install qemu-utils; macOS: brew install qemu)"
    assert not list(tool.home.glob("vms/*"))


def test_helper_that_is_missing_or_refuses(tool):
    assert tool.fail("small", "--image", SMALL_IMAGE, VMNET_HELPER="/nowhere/vmnet-helper") == \
        "VMNET_HELPER=/nowhere/vmnet-helper: no such program"
    line = tool.fail("small", "--image", SMALL_IMAGE, "--operation-mode", "nat")
    assert line == ("vmnet-helper failed: ERROR [helper] --operation-mode 'nat': not one of shared, "
                    "bridged, host")
    assert "is missing or you are not in its group" in Tool(
        tool.host, WORK / "home" / "mallory" / "vms", user="mallory").fail("x", "--image", SMALL_IMAGE)
    assert nothing_runs()


@pytest.mark.parametrize("name", ["../up", "a/b", "a b", "a;b", "$(id)", "-", "x" * 64, "a.b",
                                  "ä", ""])
def test_names(tool, name):
    assert re.match("name '|unrecognized|the following|argument|expected", tool.fail(name))
    assert not tool.home.exists()


def test_other_source_than_it_was_made_of(tool):
    tool.start_small("small").wait_for("^Waiting for the VM")
    tool.run("stop", "small", "--now")
    assert tool.fail("small", "--distro", "alpine").startswith(f"small was made of {SMALL_IMAGE}; ")
    assert tool.fail("small", "--driver", "vfkit").startswith("--driver vfkit needs a raw disk")
    assert tool.settings("small")["driver"] == "qemu"


def test_commands_on_what_is_not_there(tool):
    for command in ("ssh", "stop", "delete", "logs"):
        assert tool.fail(command, "none") == \
            "there is no VM 'none'; './example list' shows those there are"
