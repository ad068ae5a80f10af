"""Installation: the release's install.sh, what it refuses, and that --uninstall takes it all back."""

import hashlib
import pathlib
import platform
import shutil

import pytest

from support import snapshot
from support.helper import Helper, wait_for_no_helper
from support.installation import BUILD, SUDO
from support.lab import REPOSITORY, WORK, run

PREFIX = pathlib.Path("/opt/vmnet-helper")
RULE = pathlib.Path("/etc/sudoers.d/vmnet-helper")
ARCHITECTURE = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
TARBALL = f"vmnet-helper-v0.14.0-linux-{ARCHITECTURE}.tar.gz"


@pytest.fixture
def release(session_lab):
    """A folder as scripts/package leaves it, of this build; nothing installed before, and what the
    other tests use is back after."""
    kept = WORK / "kept"
    shutil.move(PREFIX, kept)
    rule = RULE.read_bytes()
    RULE.unlink()
    PREFIX.parent.chmod(0o755)  # the lab's is a tmpfs for all
    folder = WORK / "release"
    run("cmake", "--install", BUILD, "--prefix", "/opt/vmnet-helper", env={
        "DESTDIR": str(WORK / "root"), "PATH": "/usr/bin:/bin"})
    folder.mkdir()
    run("tar", "-C", WORK / "root", "--owner=1234", "--group=1234", "-czf", folder / TARBALL,
        "opt/vmnet-helper")
    shutil.copy(REPOSITORY / "packaging" / "install.sh", folder)
    digest = hashlib.sha256((folder / TARBALL).read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{digest}  {TARBALL}\n")
    yield folder
    shutil.rmtree(PREFIX, ignore_errors=True)
    shutil.rmtree(WORK / "root")
    shutil.rmtree(folder)
    shutil.move(kept, PREFIX)
    PREFIX.parent.chmod(0o1777)
    RULE.write_bytes(rule)
    RULE.chmod(0o440)


def install(folder, *options, check=True):
    return run("sh", folder / "install.sh", *options, check=check)


def test_install_use_uninstall(release, host):
    excluded = (WORK, "/run/netns", "/etc/netns", "/tmp")
    before = snapshot.files(excluded)
    told = install(release).stdout
    assert f"verified {TARBALL}" in told and f"installed {PREFIX}" in told
    assert f"installed {RULE}: members of the group kvm may start it" in told
    assert all(path.stat().st_uid == 0 for path in PREFIX.rglob("*"))
    assert RULE.stat().st_mode & 0o777 == 0o440
    with Helper(host, way=SUDO) as helper:
        assert helper.json["ip_address"].startswith("192.168.64.")
        helper.stop()
    assert wait_for_no_helper()
    told = install(release, "--uninstall").stdout
    assert told == f"removed {RULE}\nremoved {PREFIX}\n"
    # sudo keeps records of its own in /run/sudo and /var/lib/sudo.
    left = snapshot.difference(before, snapshot.files(excluded))
    assert not [line for line in left.splitlines() if "vmnet" in line]
    assert install(release, "--uninstall").stdout == "nothing to remove\n"


def test_wrong_checksum(release):
    with open(release / TARBALL, "ab") as tarball:
        tarball.write(b"x")
    done = install(release, check=False)
    assert done.returncode == 1 and "the checksum is not that of SHA256SUMS" in done.stderr
    assert not PREFIX.exists() and not RULE.exists()


@pytest.mark.parametrize("mode, owner, words", [(0o777, 0, "may be written to by others"),
                                                (0o775, 0, "may be written to by others"),
                                                (0o755, 47001, "belongs to user 47001")])
def test_folder_of_others_is_refused(release, mode, owner, words):
    PREFIX.mkdir()
    PREFIX.chmod(mode)
    shutil.chown(PREFIX, owner)
    done = install(release, check=False)
    assert done.returncode == 1 and words in done.stderr
    assert not list(PREFIX.iterdir()) and not RULE.exists()


def test_release_for_another_platform(release):
    (release / "SHA256SUMS").write_text(f"{'0' * 64}  vmnet-helper-v0.14.0-linux-other.tar.gz\n")
    done = install(release, check=False)
    assert done.returncode == 1 and "SHA256SUMS names no tarball for" in done.stderr


def test_unknown_option_and_other_users(release):
    assert install(release, "--nonsense", check=False).returncode == 1
    shutil.copy(release / "install.sh", "/tmp/install.sh")
    done = run("setpriv", "--reuid=47001", "--regid=47001", "--clear-groups", "sh",
               "/tmp/install.sh", check=False)
    pathlib.Path("/tmp/install.sh").unlink()
    assert done.returncode == 1 and "run it as root" in done.stderr
