"""Installation: the release's install.sh, what it refuses, and that --uninstall takes it all back."""

import hashlib
import pathlib
import platform
import shutil
import subprocess

import pytest

from support import snapshot
from support.helper import Helper, wait_for_no_helper
from support.installation import BUILD, CAPABILITIES, SUDO, set_capabilities
from support.lab import REPOSITORY, WORK, run

PREFIX = pathlib.Path("/opt/vmnet-helper")
RULE = pathlib.Path("/etc/sudoers.d/vmnet-helper")
MANAGER_FILES = [pathlib.Path("/etc") / name for name in
                 ("systemd/network/60-vmnet-helper.link", "systemd/network/60-vmnet-helper.network",
                  "NetworkManager/conf.d/60-vmnet-helper.conf")]
ARCHITECTURE = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
TARBALL = f"vmnet-helper-v0.14.0-linux-{ARCHITECTURE}.tar.gz"


def sign(release):
    """SHA256SUMS of the release as it is now."""
    digest = hashlib.sha256((release / TARBALL).read_bytes()).hexdigest()
    (release / "SHA256SUMS").write_text(f"{digest}  {TARBALL}\n")


@pytest.fixture(scope="module")
def tarball(session_lab):
    """This build's, made once."""
    root, made = WORK / "root", WORK / TARBALL
    run("cmake", "--install", BUILD, "--prefix", PREFIX, env={
        "DESTDIR": str(root), "PATH": "/usr/bin:/bin"})
    run("tar", "-C", root, "--owner=1234", "--group=1234", "-czf", made, "opt/vmnet-helper")
    shutil.rmtree(root)
    yield made
    made.unlink()


@pytest.fixture
def release(tarball):
    """A folder as scripts/package leaves it; nothing installed before, and what the other tests use is
    back after."""
    kept = WORK / "kept"
    shutil.move(PREFIX, kept)
    rule = RULE.read_bytes()
    RULE.unlink()
    PREFIX.parent.chmod(0o755)  # the lab's is a tmpfs for all
    made = [path.parent for path in MANAGER_FILES if not path.parent.exists()]
    for path in MANAGER_FILES:
        path.parent.mkdir(parents=True, exist_ok=True)
    folder = WORK / "release"
    folder.mkdir()
    shutil.copy(tarball, folder)
    shutil.copy(REPOSITORY / "packaging" / "install.sh", folder)
    sign(folder)
    yield folder
    shutil.rmtree(PREFIX, ignore_errors=True)
    shutil.rmtree(folder)
    shutil.move(kept, PREFIX)
    PREFIX.parent.chmod(0o1777)
    for path in MANAGER_FILES:
        path.unlink(missing_ok=True)
    for path in made:
        shutil.rmtree(path)
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
    assert all(f"installed {path}" in told and path.stat().st_mode & 0o777 == 0o644
               for path in MANAGER_FILES)
    with Helper(host, way=SUDO) as helper:
        assert helper.json["ip_address"].startswith("192.168.64.")
        helper.stop()
    assert wait_for_no_helper()
    told = install(release, "--uninstall").stdout
    assert told == f"removed {RULE}\nremoved {PREFIX}\n" + "".join(
        f"removed {path}\n" for path in MANAGER_FILES)
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
    PREFIX.mkdir(mode=0o755)
    PREFIX.chmod(mode)
    shutil.chown(PREFIX, owner)
    done = install(release, check=False)
    assert done.returncode == 1 and words in done.stderr
    assert not list(PREFIX.iterdir()) and not RULE.exists()


def test_folder_that_is_a_link_is_refused(release, folder):
    PREFIX.symlink_to(folder)
    done = install(release, check=False)
    assert done.returncode == 1 and "is a symbolic link" in done.stderr
    assert not list(folder.iterdir()) and not RULE.exists()
    PREFIX.unlink()


def test_folder_behind_a_link_is_looked_at(release, folder):
    """/opt as a link: the real folder's owner counts, not the link's."""
    script = release / "install.sh"
    real = folder / "real"  # `folder` is for all to write to
    real.mkdir()
    link = WORK / "link"
    link.symlink_to(real)
    script.write_text(script.read_text().replace("parent=/opt\n", f"parent={link}\n"))
    done = install(release, check=False)
    link.unlink()
    assert done.returncode == 1 and f"{folder} may be written to by others" in done.stderr


def upgraded_marker(release):
    """An installation, and a mark in it by which it is known again."""
    install(release)
    mark = PREFIX / "share" / "mark"
    mark.write_text("old")
    return mark


def test_upgrade_replaces_all_and_says_what_is_lost(release):
    mark = upgraded_marker(release)
    helper = PREFIX / "bin" / "vmnet-helper"
    helper.chmod(0o4755)
    assert "the setuid bit of the old one is gone" in install(release).stdout
    assert helper.stat().st_mode & 0o7777 == 0o755 and not mark.exists()
    set_capabilities(helper, CAPABILITIES)
    assert "the file capabilities of the old one are gone" in install(release).stdout
    assert [path.name for path in PREFIX.parent.iterdir() if path.name.startswith(".")] == []


def break_tarball(release):
    data = (release / TARBALL).read_bytes()
    (release / TARBALL).write_bytes(data[:len(data) // 2])
    sign(release)


def unpack(release):
    root = release / "root"
    root.mkdir()
    run("tar", "-C", root, "-xf", release / TARBALL)
    return root


def break_program(release):
    root = unpack(release)
    program = root / "opt" / "vmnet-helper" / "bin" / "vmnet-helper"
    program.write_text("#!/bin/false\n")
    run("tar", "-C", root, "-czf", release / TARBALL, "opt/vmnet-helper")
    sign(release)


def break_rule(release):
    root = unpack(release)
    rule = next(root.rglob("sudoers.d/vmnet-helper"))
    rule.write_text("not sudo's language\n")
    run("tar", "-C", root, "-czf", release / TARBALL, "opt/vmnet-helper")
    sign(release)


@pytest.mark.parametrize("damage, words", [(break_tarball, "cannot be unpacked"),
                                           (break_program, "does not run here"),
                                           (break_rule, "sudo does not accept it")])
@pytest.mark.parametrize("before", ["nothing", "an older one"])
def test_all_or_nothing(release, damage, words, before):
    mark = upgraded_marker(release) if before != "nothing" else None
    rule = RULE.read_bytes() if mark else None
    damage(release)
    done = install(release, check=False)
    assert done.returncode == 1 and words in done.stderr, done.stderr
    assert done.stderr.endswith("install.sh: nothing was changed\n")
    assert [path.name for path in PREFIX.parent.iterdir() if path.name.startswith(".")] == []
    if mark:
        assert mark.read_text() == "old" and RULE.read_bytes() == rule
    else:
        assert not PREFIX.exists() and not RULE.exists()


def test_full_disk(release):
    run("mount", "-t", "tmpfs", "-o", "size=256k,mode=755", "small", PREFIX.parent)
    try:
        done = install(release, check=False)
        left = list(PREFIX.parent.iterdir())
    finally:
        run("umount", PREFIX.parent)
    assert done.returncode == 1 and "cannot be unpacked" in done.stderr
    assert not left and not RULE.exists()


def test_rule_of_another_installation_is_left(release):
    text = "%kvm ALL = (root) NOPASSWD: /usr/bin/vmnet-helper\n"
    RULE.write_text(text)
    done = install(release, check=False)
    assert done.returncode == 1 and "belongs to another installation" in done.stderr
    assert not PREFIX.exists()
    assert "no sudoers rule installed" in install(release, "--no-sudoers").stdout
    assert f"left {RULE}" in install(release, "--uninstall").stdout
    assert RULE.read_text() == text and not PREFIX.exists()


def test_folder_for_optional_software_is_made_and_removed(release):
    """macOS has no /opt: one that install.sh made goes with --uninstall."""
    script = release / "install.sh"
    parent = WORK / "made"
    script.write_text(script.read_text().replace("parent=/opt\n", f"parent={parent}\n")
                      .replace("prefix=/opt/", f"prefix={parent}/"))
    assert f"made {parent}" in install(release, "--no-sudoers").stdout
    assert (parent / "vmnet-helper" / "bin" / "vmnet-run").exists()
    assert f"removed {parent}\n" in install(release, "--uninstall").stdout
    assert not parent.exists()


def with_programs(folder, **programs):
    """An environment with stand-ins for programs of the system first in PATH."""
    folder.mkdir()
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return {"PATH": f"{folder}:/usr/sbin:/usr/bin:/sbin:/bin"}


@pytest.mark.parametrize("system, machine, name", [
    ("Darwin", "arm64", "macos-universal"), ("Darwin", "x86_64", "macos-universal"),
    ("Linux", "aarch64", "linux-arm64"), ("Linux", "x86_64", "linux-x86_64")])
def test_the_platforms_own_tarball_is_taken(release, folder, system, machine, name):
    names = ["linux-arm64", "linux-x86_64", "macos-universal"]
    (release / "SHA256SUMS").write_text(
        "".join(f"{'0' * 64}  vmnet-helper-v0.14.0-{part}.tar.gz\n" for part in names))
    wanted = release / f"vmnet-helper-v0.14.0-{name}.tar.gz"
    wanted.write_text("")
    uname = f'[ "$1" = -s ] && echo {system} || echo {machine}'
    done = run("sh", release / "install.sh", check=False,
               env=with_programs(folder / "bin", uname=uname))
    assert f"install.sh: {wanted.name}: the checksum is not" in done.stderr


def test_download_over_https_alone(release, folder):
    address = "https://www.lab.example/releases/v0.14.0"
    curl = ('for last; do :; done; echo "$*" >> ' + str(folder / "calls") +
            '; while [ "$1" != --output ]; do shift; done; cp ' + str(release) + '/"${last##*/}" "$2"')
    environment = with_programs(folder / "bin", curl=curl)
    run("sh", release / "install.sh", "--from", address, "--no-sudoers", env=environment)
    calls = (folder / "calls").read_text().splitlines()
    assert len(calls) == 2 and all("--proto =https --fail" in call for call in calls)
    assert calls[1].endswith(f"{address}/{TARBALL}")
    done = run("sh", release / "install.sh", "--from", "http://www.lab.example/", check=False,
               env=environment)
    assert done.returncode == 1 and "only https:// addresses" in done.stderr


def test_platform_without_a_release(release, folder):
    uname = '[ "$1" = -s ] && echo Plan9 || echo mips'
    done = run("sh", release / "install.sh", check=False,
               env=with_programs(folder / "bin", uname=uname))
    assert done.stderr.splitlines() == ["install.sh: no release for Plan9 on mips",
                                        "install.sh: nothing was changed"]


def test_reader_that_has_gone(release):
    """sh install.sh | true"""
    run("bash", "-c", 'sh "$0"/install.sh | true; exit "${PIPESTATUS[0]}"', release)
    assert RULE.exists() and PREFIX.exists()
    assert [path.name for path in PREFIX.parent.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("call", [1, 2, 3])
def test_killed_while_it_replaces_the_old_one(release, folder, call):
    """SIGKILL at each move: the next one says what to do, which takes all of it back."""
    upgraded_marker(release)
    mv = f'echo >> {folder}/calls; [ $(wc -l < {folder}/calls) != {call} ] || kill -9 $PPID; exec /bin/mv "$@"'
    environment = with_programs(folder / "bin", mv=mv)
    assert run("sh", release / "install.sh", check=False, env=environment).returncode == -9
    visudo = run("visudo", "--check", check=False)
    assert visudo.returncode == 0, visudo.stderr
    done = install(release, check=False)
    assert done.returncode == 1
    assert "another installation runs, or one was killed: then run install.sh --uninstall first" in done.stderr
    install(release, "--uninstall")
    assert not PREFIX.exists() and not list(PREFIX.parent.glob(".vmnet*"))
    assert not list(RULE.parent.glob("vmnet*"))
    install(release)


def test_two_at_once(release, folder):
    """The second does not touch what the first is about to put in place."""
    tar = f'touch {folder}/begun; while [ ! -e {folder}/go ]; do sleep 0.05; done; exec /bin/tar "$@"'
    with subprocess.Popen(["sh", release / "install.sh"], stdout=subprocess.DEVNULL,
                          env=with_programs(folder / "bin", tar=tar)) as first:
        assert snapshot.wait_until((folder / "begun").exists)
        second = install(release, check=False)
        (folder / "go").touch()
        assert first.wait(30) == 0
    assert second.returncode == 1 and "another installation runs" in second.stderr
    assert (PREFIX / "bin" / "vmnet-helper").exists() and not (PREFIX / "vmnet-helper").exists()


def test_interrupted_after_the_rule(release, folder):
    """The old rule is back with the old program."""
    mark = upgraded_marker(release)
    RULE.chmod(0o640)
    RULE.write_text("# the old one\n" + RULE.read_text())
    old = RULE.read_bytes()
    environment = with_programs(folder / "bin", getent="kill -TERM $PPID; sleep 0.1; exit 0")
    done = run("sh", release / "install.sh", check=False, env=environment)
    assert done.returncode == 143 and done.stderr == "install.sh: nothing was changed\n"
    assert RULE.read_bytes() == old and mark.read_text() == "old"


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
