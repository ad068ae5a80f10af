"""The client examples and what README and docs promise, run as a reader would run them."""

import pathlib
import re
import shutil

import pytest

from support import installation
from support.helper import Helper, wait_for_no_helper
from support.installation import BUILD, CAPABLE_COPY, SETUID_COPY, SUDO
from support.kernel_guest import KernelGuest
from support.lab import REPOSITORY, TIMEOUT, UPLINK, UPLINK_ADDRESS, WORK, end, run
from support.vm import Machine, accelerator, share_image

EXAMPLES = REPOSITORY / "examples"
ID = "2f8d5b1c-95a0-4a52-a1f2-0123456789ab"
MAC_AND_ADDRESS = "76:6d:00:00:c9:0e 192.168.64.93"  # alice's
GATEWAY = r"0e:76:6d:\S+ 192\.168\.64\.1"


@pytest.fixture(scope="module")
def programs():
    """The compiled examples."""
    folder = WORK / "examples"
    folder.mkdir(mode=0o755, exist_ok=True)
    yield folder
    shutil.rmtree(folder)


def built(folder, name):
    """A program made of the example `name`, by the command that its head names."""
    target = folder / name.replace(".", "_")
    source = EXAMPLES / name
    if name.endswith(".go") or name == "go":
        go = shutil.which("go", path="/usr/local/go/bin:/usr/bin")
        if not go:
            pytest.skip("no Go here: apt-get install golang-go")
        # 1.14 is what the example needs; the cache is the test's own.
        package = name == "go"
        run(go, "build", "-o", target, "./gateway" if package else source, timeout=300,
            cwd=source if package else folder,
            env={"PATH": "/usr/local/go/bin:/usr/bin:/bin", "HOME": str(folder),
                 "GOCACHE": str(folder / "cache"), "GOTOOLCHAIN": "local", "GOFLAGS": "",
                 "GO111MODULE": "on" if package else "off", "CGO_ENABLED": "0"})
    elif name.endswith(".py"):
        shutil.copy(source, target)
    else:
        compiler = ["g++", "-std=c++17"] if name.endswith(".cc") else ["gcc"]
        run(*compiler, "-Wall", "-Wextra", "-Werror", "-o", target, source, timeout=120)
    target.chmod(0o755)
    return target


@pytest.mark.parametrize("name, way", [("client.py", SUDO), ("client.go", SUDO),
                                       ("client.c", SETUID_COPY), ("client.c", CAPABLE_COPY),
                                       ("client.cc", SETUID_COPY)])
def test_client(host, programs, name, way):
    done = host.run(built(programs, name), "--interface-id", ID, user="alice",
                    env={"VMNET_HELPER": str(way.helper()), "PATH": "/usr/bin:/bin"})
    assert re.fullmatch(f"VM: {MAC_AND_ADDRESS}\ngateway: {GATEWAY}\n", done.stdout)
    assert "ERROR" not in done.stderr and "WARN" not in done.stderr
    assert wait_for_no_helper()


@pytest.mark.parametrize("way, options", [(SUDO, []), (SETUID_COPY, ["-stream"]), (CAPABLE_COPY, [])])
def test_go_package(host, programs, way, options):
    done = host.run(built(programs, "go"), *options, "--interface-id", ID, user="alice",
                    env={"VMNET_HELPER": str(way.helper()), "PATH": "/usr/bin:/bin"})
    assert re.fullmatch(f"VM: {MAC_AND_ADDRESS}\ngateway: {GATEWAY}\n", done.stdout)
    assert "ERROR" not in done.stderr and "WARN" not in done.stderr
    assert wait_for_no_helper()


def test_go_package_tells_of_a_helper_that_fails(host, programs):
    done = host.run(built(programs, "go"), "--operation-mode", "nat", user="alice", check=False,
                    env={"VMNET_HELPER": str(SETUID_COPY.helper()), "PATH": "/usr/bin:/bin"})
    assert done.returncode == 1
    assert "vmnet: [helper] --operation-mode 'nat': not one of" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", ["client.py", "client.go", "client.c", "client.cc"])
def test_client_tells_of_a_helper_that_fails(host, programs, name):
    way = SUDO if name in ("client.py", "client.go") else SETUID_COPY
    done = host.run(built(programs, name), "--operation-mode", "nat", user="alice", check=False,
                    env={"VMNET_HELPER": str(way.helper()), "PATH": "/usr/bin:/bin"})
    assert done.returncode == 1
    assert "ERROR [helper] --operation-mode 'nat': not one of" in done.stderr


def qemu_options():
    share_image()
    return ["-accel", accelerator(), "-cpu", "max", "-m", "256", "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", WORK / "vm" / "kernel",
            "-initrd", WORK / "vm" / "initramfs", "-append", "console=ttyS0 quiet panic=-1"]


@pytest.mark.real_vm
@pytest.mark.parametrize("script", ["qemu.sh", "qemu-socket.sh", "qemu-tap.sh"])
def test_qemu(host, script):
    """QEMU by each transport: the VM gets the address that was promised and reaches its gateway."""
    command = [*host.prefix("alice"), "env", "TMPDIR=/tmp",
               f"VMNET_HELPER={SUDO.helper()}", f"VMNET_RUN={SUDO.runner()}",
               EXAMPLES / script, *qemu_options()]
    with Machine(command) as vm:
        vm.booted()
        promised = re.search(r'IP address: (\S+)|"ip_address":"([^"]+)"', "\n".join(vm.console))
        assert vm.run("ip link set eth0 up; udhcpc -i eth0 -s /udhcpc -n -q -f -t 10 -T 1", timeout=60)
        shown = vm.run("ip -4 address show eth0").output
        assert (promised[1] or promised[2]) + "/24" in shown
        assert vm.run("ping -c 1 -W 5 192.168.64.1")
        vm.process.stdin.write(b"9 poweroff -f\n")
        vm.process.stdin.flush()
        assert vm.process.wait(TIMEOUT) == 0
    assert wait_for_no_helper()
    assert not list(pathlib.Path("/tmp").glob("tmp.*"))


def test_vfkit(host, folder):
    """vfkit.sh, with a program in vfkit's place that tells what it was given."""
    stand_in = folder / "vfkit"
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nreadlink /proc/self/fd/4\n')
    stand_in.chmod(0o755)
    done = host.run("env", f"PATH={folder}:/usr/bin:/bin", f"VMNET_RUN={SUDO.runner()}",
                    EXAMPLES / "vfkit.sh", "--cpus", "2", "a b", user="alice")
    line, *given, fd = done.stdout.splitlines()
    assert line.startswith('{"vmnet_interface_id"') and fd.startswith("socket:")
    assert given == ["--cpus", "2", "a b", "--device", "virtio-net,fd=4,mac=52:54:00:5c:0d:01"]
    assert wait_for_no_helper()


# What the docs say

def test_every_option_is_documented_and_completed():
    text = run(installation.BUILD / "vmnet-helper", "--help").stdout
    options = set(re.findall(r"--[a-z][a-z-]+", text)) - {"--option"}
    assert "--interface-id" in options and len(options) > 15
    table = (REPOSITORY / "docs" / "integration.md").read_text()
    completion = REPOSITORY / "packaging" / "completion"
    for option in options:
        word = re.compile(rf"{option}(?![a-z-])")
        assert word.search(table), f"docs/integration.md does not tell of {option}"
        for name in ("vmnet-helper.bash", "_vmnet-helper"):
            assert word.search((completion / name).read_text()), f"{name} misses {option}"
        fish = (completion / "vmnet-helper.fish").read_text()
        assert re.search(rf"-l {option[2:]}(?![a-z-])", fish), f"fish misses {option}"
        if option not in ("--fd", "--socket", "--list-shared-interfaces"):
            for name in ("vmnet-run.bash", "_vmnet-run"):
                assert word.search((completion / name).read_text()), f"{name} misses {option}"


def test_texts_are_what_the_option_table_says():
    """The table of docs/integration.md and the man pages, the completions, the example tool's options."""
    run(REPOSITORY / "packaging" / "make_texts.py", "--check", BUILD / "src" / "option_table_dump")


def test_links_of_the_docs():
    for page in [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def code_blocks(page, language):
    text = (REPOSITORY / "docs" / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_documented_rule_closes_the_hosts_ports(lab, host):
    """Requirement 38: what a VM reaches of the host, and that the documented rule closes it."""
    rule = next(block for block in code_blocks("linux.md", "sh") if "close_host_to_vms" in block)
    servers = [host.start("busybox", "httpd", "-f", "-p", listen, "-h", "/etc")
               for listen in ("0.0.0.0:8000", "127.0.0.1:8001")]
    with Helper(host) as helper:
        guest = KernelGuest(lab, "guest", helper.json["vmnet_mac_address"], helper.vm).dhcp()
        helper.vm = None
        gateway = helper.json["vmnet_start_address"]

        def reached(target):
            return guest.get(f"http://{target}/hostname", timeout=3, check=False) != ""

        assert reached(f"{gateway}:8000") and reached(f"{UPLINK_ADDRESS}:8000")
        assert not reached(f"{gateway}:8001") and not reached(f"{UPLINK_ADDRESS}:8001")
        host.run("sh", "-c", rule)
        assert not reached(f"{gateway}:8000") and not reached(f"{UPLINK_ADDRESS}:8000")
        guest.ping(gateway)
        guest.ping("192.0.2.1")
        host.run("nft", "delete", "table", "inet", "close_host_to_vms")
        assert reached(f"{gateway}:8000")
        helper.stop()
    for server in servers:
        end(server)
        host.processes.remove(server)


def test_devices_are_as_documented(host):
    """The aliases and notes that docs/linux.md shows."""
    with Helper(host, "--interface-id", ID) as helper:
        links = host.run("ip", "link", "show").stdout
        prefix = helper.json["vmnet_nat66_prefix"]
        helper.stop()
    assert (f"alias vmnet-helper shared 192.168.64.1-192.168.64.254/24 ipv6={prefix}\n"
            f"    altname vmnet-shared0:old=4:{UPLINK}:0\n"
            f"    altname vmnet-shared0:old=6:{UPLINK}:0\n") in links
    assert (f"alias vmnet-helper vm 192.168.64.80 mac=76:6d:8b:e1:13:2b uid=0 id={ID.upper()}\n"
            in links)
