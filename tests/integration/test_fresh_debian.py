"""From nothing to a VM with an address, each way of docs/install.md, on a fresh Debian 12: the page's own
commands install, an ordinary user starts a VM, the page's own commands take it all back.

Needs what scripts/package makes (build/package) and build/rootfs; scripts/test --all prepares both.
"""

import pathlib
import re
import shutil

import pytest

from support import docs, snapshot
from support.helper import wait_for_no_helper
from support.lab import INTERNET, REPOSITORY
from support.root_fs import LOWER, RootFs, StandInVm

pytestmark = pytest.mark.slow

PACKAGE = REPOSITORY / "build" / "package"
HELPER = "/opt/vmnet-helper/bin/vmnet-helper"
RUNNER = "/opt/vmnet-helper/bin/vmnet-run"
# What sudo, apt, dpkg and debconf keep of their own work.
RECORDS = ("/proc", "/sys", "/root/release", "/run/sudo", "/var/lib/sudo", "/var/log", "/var/cache",
           "/var/lib/apt", "/var/lib/dpkg", "/etc/ld.so.cache")


@pytest.fixture(scope="module")
def version():
    assert LOWER.is_dir() and (PACKAGE / "SHA256SUMS").exists(), \
        "no build/rootfs or build/package: scripts/test --all makes them"
    return re.search(r"vmnet-helper-(v\S+)-linux-x86_64.tar.gz",
                     (PACKAGE / "SHA256SUMS").read_text())[1]


@pytest.fixture
def fresh(host, version):
    with RootFs(host) as made:
        release = made.path("/root/release")
        release.mkdir()
        for file in PACKAGE.iterdir():
            if file.suffix in (".gz", ".deb", ".sh") or file.name == "SHA256SUMS":
                shutil.copy(file, release)
        yield made
        assert wait_for_no_helper()


@pytest.fixture
def page(fresh, version):
    """page(NAME) runs the block NAME of install.md, with the version that was built."""
    def run_block(name):
        text = docs.block("install.md", name).replace("v0.14.0", version)
        deb = version.removeprefix("v").replace("-", "~")
        return fresh.shell(text.replace("_0.14.0_", f"_{deb}_"))
    return run_block


@pytest.fixture
def with_tools(fresh):
    """What the page takes for granted: sudo, and libmnl where `ip` is."""
    fresh.run("apt-get", "-q", "install", "sudo", "libmnl0", "libcap2-bin")
    return fresh.files(RECORDS)


def assert_nothing_left(fresh, before):
    left = snapshot.difference(before, fresh.files(RECORDS))
    assert not left, left


def assert_vm_works(fresh, user="alice", program=RUNNER):
    """The user's VM takes a lease, and reaches the gateway and the internet."""
    with StandInVm(fresh, user, program) as guest:
        lease = guest.dhcp()
        assert lease.address.startswith("192.168.64.")
        guest.ping(guest.gateway)
        guest.ping(INTERNET.web)
    assert wait_for_no_helper()


def assert_refused(fresh, user="alice", program=RUNNER):
    """Without the way's privilege the same user gets nothing, and is told in one line."""
    done = fresh.run(program, "--", "true", user=user, check=False)
    assert done.returncode != 0 and done.stdout == "" and done.stderr


def test_install_sh(fresh, page, with_tools):
    assert "verified vmnet-helper-v" in page("install-sh").stdout
    assert_refused(fresh)
    fresh.shell("groupadd --system --force kvm; usermod --append --groups kvm alice")
    accounts = fresh.files(RECORDS)
    assert_vm_works(fresh)
    assert_nothing_left(fresh, accounts)
    page("install-sh-undo")
    fresh.shell("groupdel kvm")
    left = snapshot.difference(with_tools, fresh.files(RECORDS))
    assert not [line for line in left.splitlines() if "vmnet" in line], left


def test_install_sh_that_refuses_the_place(fresh):
    """Nothing of the system's is taken for what an older installation left."""
    fresh.shell("mkdir /old; echo mine > /old/file; chmod go+w /opt")
    done = fresh.run("sh", "/root/release/install.sh", check=False)
    assert done.returncode == 1 and "/opt may be written to by others" in done.stderr
    assert fresh.path("/old/file").exists() and not fresh.path("/opt/vmnet-helper").exists()


def test_tarball_and_sudo(fresh, page, with_tools):
    assert "OK" in page("tarball").stdout
    assert_refused(fresh)
    before = files_but_groups(fresh)
    page("sudo")
    assert_vm_works(fresh)
    page("sudo-undo")
    assert_refused(fresh)
    assert_nothing_left_of_groups(fresh, before)
    page("tarball-undo")
    assert not fresh.path("/opt/vmnet-helper").exists()


def files_but_groups(fresh):
    return fresh.files((*RECORDS, "/etc/group", "/etc/group-", "/etc/gshadow", "/etc/gshadow-"))


def assert_nothing_left_of_groups(fresh, before):
    left = snapshot.difference(before, files_but_groups(fresh))
    assert not left, left


def test_setuid_bit(fresh, page, with_tools):
    page("tarball")
    page("setuid")
    assert fresh.path(HELPER).stat().st_mode & 0o7777 == 0o6755, "chmod +s sets the group's too"
    assert_vm_works(fresh)
    page("setuid-undo")
    assert fresh.path(HELPER).stat().st_mode & 0o7777 == 0o755
    assert_refused(fresh)
    page("tarball-undo")
    assert_nothing_left(fresh, with_tools)


def test_setuid_bit_for_a_group(fresh, page, with_tools):
    page("tarball")
    page("setuid-group")
    assert_refused(fresh)
    fresh.run("usermod", "--append", "--groups", "kvm", "alice")
    assert_vm_works(fresh)


def test_file_capabilities(fresh, page, with_tools):
    page("tarball")
    before = fresh.files(RECORDS)
    page("capabilities")
    assert_refused(fresh)
    fresh.run("usermod", "--append", "--groups", "kvm", "alice")
    assert_vm_works(fresh)
    page("capabilities-undo")
    assert fresh.run("getcap", HELPER).stdout == ""
    assert fresh.files(RECORDS)[HELPER] == before[HELPER]
    page("tarball-undo")
    assert not fresh.path("/opt/vmnet-helper").exists()


def test_debian_package(fresh, page):
    """apt brings what it needs, and the group; purge and autoremove leave what was there, and the group, which
    others may use by now."""
    fresh.run("apt-get", "-q", "install", "sudo")  # the page's own word
    fresh.run("useradd", "mallory")
    before = files_but_groups(fresh)
    page("deb")
    fresh.run("usermod", "--append", "--groups", "kvm", "alice")
    assert_refused(fresh, "mallory", "vmnet-run")
    assert_vm_works(fresh, program="vmnet-run")

    page("deb-capabilities")
    assert "cap_net_admin" in fresh.run("getcap", "/usr/bin/vmnet-helper").stdout
    fresh.run("mv", "/etc/sudoers.d/vmnet-helper", "/root/rule")
    assert_vm_works(fresh, program="vmnet-run")
    assert_refused(fresh, "mallory", "vmnet-run")

    fresh.shell("echo vmnet-helper vmnet-helper/capabilities boolean false | debconf-set-selections\n"
                "dpkg-reconfigure --frontend=noninteractive vmnet-helper")
    assert fresh.run("getcap", "/usr/bin/vmnet-helper").stdout == ""
    assert_refused(fresh, program="vmnet-run")
    fresh.run("mv", "/root/rule", "/etc/sudoers.d/vmnet-helper")

    page("deb-undo")
    assert_nothing_left_of_groups(fresh, before)


def test_question_of_the_package(fresh, page):
    """dpkg-reconfigure as an administrator sees it, answered at the prompt."""
    fresh.run("apt-get", "-q", "install", "sudo")
    page("deb")
    asked = fresh.shell("DEBIAN_FRONTEND=readline sudo --preserve-env=DEBIAN_FRONTEND "
                        "dpkg-reconfigure -plow vmnet-helper", input="yes\n")
    assert "Let members of the group kvm start vmnet-helper without sudo?" in asked.stdout
    assert "cap_setuid" in fresh.run("getcap", "/usr/bin/vmnet-helper").stdout
    mode = fresh.path("/usr/bin/vmnet-helper").stat().st_mode & 0o7777
    assert mode == 0o750


def test_package_files_are_where_debian_wants_them(fresh, page):
    fresh.run("apt-get", "-q", "install", "sudo")
    page("deb")
    listed = fresh.run("dpkg", "--listfiles", "vmnet-helper").stdout.splitlines()
    for path in ("/usr/bin/vmnet-helper", "/usr/bin/vmnet-run", "/etc/sudoers.d/vmnet-helper",
                 "/lib/systemd/system/vmnet-helper@.service", "/usr/share/man/man8/vmnet-helper.8.gz",
                 "/usr/share/man/man1/vmnet-run.1.gz",
                 "/usr/share/bash-completion/completions/vmnet-run"):
        assert path in listed
    assert not [path for path in listed if path.startswith("/opt")]
    fresh.run("visudo", "--check")
    assert pathlib.Path(fresh.path("/etc/sudoers.d/vmnet-helper")).stat().st_mode & 0o777 == 0o440
