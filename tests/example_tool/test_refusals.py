"""What a start looks for before it downloads or makes anything: one line, status 1, nothing left."""

import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest
from conftest import REPOSITORY
from vmtool import network
from vmtool.process import Running
from vmtool.report import Failure

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ user@host"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: another user's id")


@pytest.fixture
def example(tmp_path):
    """example(*words, **environment) runs the tool with programs that do nothing in place of QEMU's."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("qemu-system-x86_64", "qemu-img", "xorriso", "ssh-keygen", "vmnet-helper", "vmnet-run"):
        (programs / name).write_text("#!/bin/sh\nexit 9\n")
        (programs / name).chmod(0o755)
    (tmp_path / "image").write_bytes(bytes(4096))

    def run(*words, **environment):
        python = os.path.dirname(os.path.realpath("/usr/bin/python3"))
        base = {"PATH": f"{programs}:{python}:/bin", "VMNET_HOME": str(tmp_path / "home"),
                "VMNET_HELPER": str(programs / "vmnet-helper"),
                "VMNET_RUN": str(programs / "vmnet-run"), "HOME": str(tmp_path)}
        return subprocess.run(["/usr/bin/python3", REPOSITORY / "example", *map(str, words)], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False,
                              env={**base, **environment}, cwd=tmp_path)

    run.programs = programs
    run.home = tmp_path / "home"
    return run


def refused(example, *words, **environment):
    """The line of a refusal, which comes before anything was made."""
    done = example("vm", "--arch", "x86_64", "--driver", "qemu", *words, **environment)
    assert done.returncode == 1 and done.stdout == "", done.stdout + done.stderr
    assert done.stderr.startswith("example: ") and done.stderr.count("\n") == 1, done.stderr
    assert not example.home.exists() or not list(example.home.glob("*/*"))
    return done.stderr.removeprefix("example: ").rstrip("\n")


@pytest.mark.parametrize("address", ["http://[::1/x", "http:///x", "https://", "http://a b/c",
                                     "http://host/ä.qcow2", "http://host:port/x", "http://h:99999/x",
                                     "http://host/a\nb", "http://user@/x"])
def test_addresses(example, address):
    assert refused(example, "--image", address).endswith(": not an address; write it as a browser "
                                                         "shows it, with %20 for a space")


def test_image_of_no_name(example):
    assert refused(example, "--image", "") == "--image '': no such file"


@pytest.mark.parametrize("words, line", [
    (["--disk-size", "0G"], "--disk-size '0G': give a number with M, G or T, such as 20G"),
    (["--disk-size", "20"], "--disk-size '20': give a number with M, G or T, such as 20G"),
    (["--address", "1.2.3"], "--address '1.2.3': not an IPv4 address"),
    (["--ssh-key", "/nowhere/key.pub"], "--ssh-key /nowhere/key.pub: No such file or directory"),
    (["--checksum", "sha256:zz"], "--checksum 'sha256:zz': give sha256:HEX or sha512:HEX"),
])
def test_words_that_are_wrong(example, words, line):
    assert refused(example, "--image", "image", *words) == line


@pytest.mark.parametrize("connection, name, variable", [
    ("fd", "vmnet-helper", "VMNET_HELPER"), ("socket", "vmnet-helper", "VMNET_HELPER"),
    ("run", "vmnet-run", "VMNET_RUN"), ("tap", "vmnet-run", "VMNET_RUN")])
def test_helper_that_is_missing(example, connection, name, variable):
    """Before minutes of a download."""
    words = ["--image", "http://127.0.0.1:9/disk", "--connection", connection]
    assert refused(example, *words, **{variable: "/nowhere/program"}) == \
        f"{variable}=/nowhere/program: no such program"


@pytest.mark.parametrize("name, line", [
    ("xorriso", "no program to make the seed with: xorriso, genisoimage, mkisofs, hdiutil "
                "(apt-get install xorriso; macOS has hdiutil)"),
    ("ssh-keygen", "ssh-keygen is not installed (apt-get install openssh-client)"),
    ("qemu-img", "qemu-img is not installed (apt-get install qemu-utils; macOS: brew install qemu)")])
def test_program_that_is_missing(example, name, line):
    (example.programs / name).unlink()
    assert refused(example, "--image", "http://127.0.0.1:9/disk", PATH=str(example.programs)) == line


def test_checksum_of_a_distributions_image(example):
    assert refused(example, "--distro", "debian", "--checksum", f"sha256:{'0' * 64}") == \
        "--checksum: for --image; a distribution's image has the distributor's own"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"cpus": 2}'])
def test_damaged_settings(example, content):
    """As a machine leaves them that lost its power."""
    folder = example.home / "vms" / "vm"
    folder.mkdir(parents=True)
    (folder / "vm.json").write_text(content)
    for words in (["vm"], ["ssh", "vm"]):
        done = example(*words)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == \
            f"example: {folder}/vm.json is damaged; './example delete vm' removes the VM\n"
    assert example("list").stdout.splitlines()[1].split() == ["vm", "damaged", "-", "-", "-"]
    assert example("delete", "vm").stdout == "Deleted vm\n"
    assert not folder.exists()


def test_creation_that_was_killed(example):
    """Its folder is in the list, and is removed as any other."""
    folder = example.home / "vms" / "vm"
    folder.mkdir(parents=True)
    (folder / "disk.qcow2").write_text("half")
    (folder / "run.json").write_text("{")
    assert example("list").stdout.splitlines()[1].split() == ["vm", "incomplete", "-", "-", "-"]
    assert example("ssh", "vm").stderr == "example: vm is not running: ./example vm\n"
    assert example("stop", "vm").stdout == "vm is not running\n"
    assert example("delete", "vm").stdout == "Deleted vm\n"
    assert not folder.exists()


@pytest.fixture
def stranger():
    """stranger(*words, **environment) runs the tool as a user who owns nothing: from a copy, since the
    checkout may lie in a home that is its owner's alone, as Debian 13 makes them."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        shutil.copy(REPOSITORY / "example", folder)
        shutil.copytree(REPOSITORY / "examples/vmtool", f"{folder}/examples/vmtool")
        subprocess.run(["chmod", "-R", "go=u-w", folder], check=True)

        def run(*words, **environment):
            done = subprocess.run(["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups",
                                   "/usr/bin/python3", f"{folder}/example", *words], text=True,
                                  stdin=subprocess.DEVNULL, capture_output=True, check=False,
                                  env={"PATH": "/usr/bin:/bin", **environment})
            return done.returncode, done.stdout, done.stderr

        yield run


@needs_root
def test_user_without_a_home(stranger):
    """As a service or a container runs it: no HOME, no entry in /etc/passwd."""
    assert stranger("list") == (
        1, "", "example: no home folder is known: set HOME, or VMNET_HOME to where VMs are to be\n")


@needs_root
def test_vm_that_cannot_be_removed(stranger):
    """As one that was made through sudo: "Deleted" was said, and it was still there."""
    with tempfile.TemporaryDirectory(dir="/tmp") as home:
        folder = pathlib.Path(home) / "vms" / "vm"
        folder.mkdir(parents=True)
        os.chmod(home, 0o755)
        os.chown(folder, 54321, 54321)
        assert stranger("delete", "vm", VMNET_HOME=home) == (
            1, "", f"example: {folder}: Permission denied\n")


@pytest.mark.parametrize("said", ["sudo: a password is required",
                                  "sudo: you are not permitted to use the -C option"])
def test_sudo_that_refuses(tmp_path, said):
    """Without the delivered rule: what is missing is said, whatever else the user may do by sudo."""
    helper = Running("vmnet-helper", ["sh", "-c", f"echo '{said}' >&2; exit 1"], tmp_path / "log",
                     stdout=subprocess.PIPE)
    with pytest.raises(Failure, match=f"{said}; the sudoers rule is missing .*docs/install.md"):
        network.interface_of(helper)
    helper.stop()


@pytest.mark.parametrize("words, line", [
    (["--firmware", "uefi"], "--firmware uefi: vm was made with bios; delete it first "
                             "(./example delete vm) or take another name"),
    (["--arch", "aarch64"], "--arch aarch64: vm was made with x86_64; delete it first "
                            "(./example delete vm) or take another name"),
    (["--firmware", "auto", "--arch", "x86_64"], None), (["--firmware", "bios"], None)])
def test_what_is_decided_when_a_vm_is_created(example, words, line):
    """They were left out of account, silently."""
    folder = example.home / "vms" / "vm"
    folder.mkdir(parents=True)
    (folder / "vm.json").write_text(
        '{"interface_id": "x", "driver": "qemu", "cpus": 1, "memory": 64, "user": "vm", "source": "debian",'
        ' "distribution": "debian", "arch": "x86_64", "firmware": "bios", "disk_format": "qcow2"}')
    done = example("vm", *words)
    assert done.returncode == 1 and (done.stderr == f"example: {line}\n") == (line is not None), done.stderr
