"""What scripts/package made (build/package): names, owners, modes, checksums, what the programs need."""

import hashlib
import re
import tarfile

import pytest

from support.lab import REPOSITORY, run

pytestmark = pytest.mark.slow
PACKAGE = REPOSITORY / "build" / "package"
MACHINES = {"linux-x86_64": "Advanced Micro Devices X86-64", "linux-arm64": "AArch64"}
# glibc's parts, and libmnl, which Debian has no static library of.
SHARED = {"libc.so.6", "libm.so.6", "libmnl.so.0", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}


def tarballs():
    found = sorted(PACKAGE.glob("*.tar.gz"))
    assert found, "no build/package: scripts/test --all makes it"
    return found


def test_checksums_name_every_file():
    lines = [line.split("  ") for line in (PACKAGE / "SHA256SUMS").read_text().splitlines()]
    names = {path.name for path in (*tarballs(), *PACKAGE.glob("*.deb"), PACKAGE / "install.sh")}
    assert {name for _, name in lines} == names
    for digest, name in lines:
        assert hashlib.sha256((PACKAGE / name).read_bytes()).hexdigest() == digest


def test_members_are_roots_alone():
    for path in tarballs():
        with tarfile.open(path) as tarball:
            members = tarball.getmembers()
        assert len({member.mtime for member in members}) == 1, "the commit's time, and no other"
        for member in members:
            assert member.name.split("/")[:2] == ["opt", "vmnet-helper"], member.name
            assert (member.uid, member.gid) == (0, 0) and not member.mode & 0o7022, member.name
            assert member.isfile() or member.isdir(), member.name
        names = {member.name for member in members}
        assert {"opt/vmnet-helper/bin/vmnet-helper", "opt/vmnet-helper/bin/vmnet-run",
                "opt/vmnet-helper/share/vmnet-helper/example"} <= names


def test_programs_need_no_more_than_they_say(tmp_path):
    for path in tarballs():
        platform = re.search(r"(linux-\w+|macos-\w+)\.tar", path.name)[1]
        if platform not in MACHINES:
            continue
        with tarfile.open(path) as tarball:
            tarball.extractall(tmp_path)
        for name in ("vmnet-helper", "vmnet-run"):
            told = run("readelf", "-hdW", tmp_path / "opt/vmnet-helper/bin" / name).stdout
            assert MACHINES[platform] in told
            assert set(re.findall(r"NEEDED.*\[(.*)\]", told)) <= SHARED
            assert str(REPOSITORY) not in (tmp_path / "opt/vmnet-helper/bin" / name).read_bytes().decode(
                errors="replace"), "where it was built is nobody's business"
