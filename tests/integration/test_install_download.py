"""install.sh as it is piped into a shell: it finds the release by itself, asks sudo, reads its environment."""

import getpass
import pathlib
import shutil
import subprocess

import pytest
from test_install import PREFIX, RULE, TARBALL, release, tarball, with_programs  # noqa: F401 (fixtures)

from support.lab import WORK, run

RELEASES = "https://github.com/vmnet-helper/vmnet-helper/releases"
SUDO_RULE = pathlib.Path("/etc/sudoers.d/everything")


@pytest.fixture
def published(release):
    """The release where a stand-in for curl finds it: nothing lies beside a script from a pipe."""
    folder = WORK / "published"
    shutil.copytree(release, folder)
    yield folder
    shutil.rmtree(folder)


def environment(folder, published, **variables):
    """With curl, which notes what was asked for and takes it from the published files."""
    curl = (f'for last; do :; done; echo "$last" >> {folder}/calls'
            '; while [ "$1" != --output ]; do shift; done'
            f'; [ -f {published}/"${{last##*/}}" ] || exit 22; cp {published}/"${{last##*/}}" "$2"')
    return with_programs(folder / "bin", curl=curl) | variables


def pipe(published, folder, variables, *options, shell="sh", script=None):
    """cat install.sh | sh -s -- OPTIONS, somewhere else."""
    text = (published / "install.sh").read_text() if script is None else script
    return subprocess.run([shell, "-s", "--", *options], input=text, capture_output=True, text=True,
                          env=variables, cwd=folder, timeout=60, check=False)


def asked(folder):
    return (folder / "calls").read_text().splitlines()


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_from_a_pipe_it_takes_the_newest_release(published, folder, shell):
    done = pipe(published, folder, environment(folder, published), shell=shell)
    assert done.returncode == 0, done.stderr
    assert f"verified {TARBALL}" in done.stdout and RULE.exists()
    assert asked(folder) == [f"{RELEASES}/latest/download/SHA256SUMS",
                             f"{RELEASES}/latest/download/{TARBALL}"]


def test_a_version_and_a_fork_are_taken_from_the_environment(published, folder):
    variables = environment(folder, published, VMNET_VERSION="v0.14.0", VMNET_USER="somebody",
                            VMNET_REPO="fork", VMNET_INTERACTIVE="0", VMNET_CONFIGURE_SUDO="0")
    done = pipe(published, folder, variables)
    assert done.returncode == 0 and "no sudoers rule installed" in done.stdout and not RULE.exists()
    assert asked(folder)[0] == \
        "https://github.com/somebody/fork/releases/download/v0.14.0/SHA256SUMS"


def test_a_version_asked_for_is_downloaded_by_the_file_too(release, published, folder):
    """What lies beside the script may be another."""
    variables = environment(folder, published, VMNET_VERSION="latest")
    assert run("sh", release / "install.sh", env=variables).returncode == 0
    assert asked(folder)[0] == f"{RELEASES}/latest/download/SHA256SUMS"


@pytest.mark.parametrize("name, value", [
    ("VMNET_VERSION", "0.14.0"), ("VMNET_VERSION", "v0.14.0/../x"), ("VMNET_VERSION", "v1.2.3 x"),
    ("VMNET_INTERACTIVE", "no"), ("VMNET_CONFIGURE_SUDO", "yes")])
def test_a_value_that_means_nothing_is_an_error(published, folder, name, value):
    done = pipe(published, folder, environment(folder, published, **{name: value}))
    assert done.returncode == 1 and done.stderr.startswith(f"install.sh: {name}={value}: ")
    assert not PREFIX.exists() and not (folder / "calls").exists()


def test_half_a_script_does_nothing(published, folder):
    text = (published / "install.sh").read_text()
    for lines in range(0, len(text.splitlines()), 7):
        half = "\n".join(text.splitlines()[:lines])
        pipe(published, folder, {"PATH": "/usr/bin:/bin"}, script=half)
        assert not PREFIX.exists() and not RULE.exists()


def test_a_tarball_as_argument(published, folder):
    done = pipe(published, folder, environment(folder, published), f"{published}/{TARBALL}")
    assert done.returncode == 0 and f"verified {TARBALL}" in done.stdout
    assert not (folder / "calls").exists(), "nothing is downloaded"
    (published / "SHA256SUMS").unlink()
    renamed = published / "vmnet-helper.tar.gz"
    (published / TARBALL).rename(renamed)
    done = pipe(published, folder, {"PATH": "/usr/bin:/bin"}, str(renamed))
    assert done.returncode == 0 and "not verified: no SHA256SUMS beside" in done.stdout
    done = pipe(published, folder, {"PATH": "/usr/bin:/bin"}, "/nowhere.tar.gz")
    assert done.returncode == 1 and "/nowhere.tar.gz: no such file" in done.stderr


def test_a_damaged_tarball_as_argument(published, folder):
    with open(published / TARBALL, "ab") as file:
        file.write(b"x")
    done = pipe(published, folder, {"PATH": "/usr/bin:/bin"}, f"{published}/{TARBALL}")
    assert done.returncode == 1 and "the checksum is not that of SHA256SUMS" in done.stderr
    assert not PREFIX.exists()


@pytest.mark.parametrize("version, rule", [("26.0", False), ("27.1", False), ("15.7", True)])
def test_a_rule_only_where_macos_needs_one(published, folder, version, rule):
    """By a stand-in for macOS: what is unpacked is Linux's, so the installation goes through."""
    name = "vmnet-helper-v0.14.0-macos-universal.tar.gz"
    (published / TARBALL).rename(published / name)
    sums = published / "SHA256SUMS"
    sums.write_text(sums.read_text().replace(TARBALL, name))
    variables = environment(folder, published)
    for program, text in {"uname": '[ "$1" = -s ] && echo Darwin || echo arm64',
                          "sw_vers": f"echo {version}"}.items():
        (folder / "bin" / program).write_text(f"#!/bin/sh\n{text}\n")
        (folder / "bin" / program).chmod(0o755)
    done = pipe(published, folder, variables)
    assert done.returncode == 0, done.stderr
    assert RULE.exists() == rule


@pytest.fixture
def user_with_sudo():
    SUDO_RULE.write_text("alice ALL = (root) NOPASSWD: ALL\n")
    SUDO_RULE.chmod(0o440)
    yield "alice"
    SUDO_RULE.unlink()


def as_user(user, published, *options):
    """sh install.sh by somebody who is not root."""
    return run("setpriv", f"--reuid={user}", "--regid=users", "--init-groups", "env", "HOME=/nowhere",
               "sh", published / "install.sh", *options, check=False, cwd="/")


def test_a_user_with_sudo_needs_no_root_shell(published, user_with_sudo):
    assert getpass.getuser() == "root"
    done = as_user(user_with_sudo, published)
    assert done.returncode == 0, done.stderr
    assert all(path.stat().st_uid == 0 for path in [PREFIX, *PREFIX.rglob("*")])
    assert RULE.exists() and RULE.stat().st_uid == 0 and RULE.stat().st_mode & 0o777 == 0o440
    done = as_user(user_with_sudo, published, "--uninstall")
    assert done.stdout.startswith(f"removed {RULE}\nremoved {PREFIX}\n")
    assert not RULE.exists() and not PREFIX.exists()


def test_a_user_with_sudo_does_not_overwrite_anothers_rule(published, user_with_sudo):
    """Which the user cannot see: /etc/sudoers.d is root's alone."""
    text = "%kvm ALL = (root) NOPASSWD: /usr/bin/vmnet-helper\n"
    RULE.write_text(text)
    RULE.parent.chmod(0o750)
    done = as_user(user_with_sudo, published)
    assert done.returncode == 1 and "belongs to another installation" in done.stderr
    assert RULE.read_text() == text and not PREFIX.exists()
    RULE.unlink()


def test_a_failure_takes_everything_back_for_a_user_too(published, user_with_sudo):
    data = (published / TARBALL).read_bytes()
    (published / TARBALL).write_bytes(data[:len(data) // 2])
    (published / "SHA256SUMS").unlink()
    done = as_user(user_with_sudo, published, published / TARBALL)
    assert done.returncode == 1 and done.stderr.endswith("install.sh: nothing was changed\n")
    assert not PREFIX.exists() and not list(PREFIX.parent.glob(".vmnet*"))
