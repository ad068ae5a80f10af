"""vmnet-run warns, once and no more, where others than root could replace the helper."""

import pathlib
import shutil

import pytest

from support.installation import PREFIX

OPEN = pathlib.Path("/opt/vmnet-open")


@pytest.fixture
def copy(host):
    shutil.copytree(PREFIX / "bin", OPEN / "bin")
    for path in (OPEN, OPEN / "bin"):
        path.chmod(0o755)
    yield OPEN
    shutil.rmtree(OPEN)


def warnings(host, folder):
    done = host.run(folder / "bin" / "vmnet-run", "--", "true")
    assert '"vmnet_mac_address"' in done.stdout
    return [line for line in done.stderr.splitlines() if line.startswith("WARN  [vmnet-run]")]


def test_nothing_is_said_of_roots_own(host, copy):
    assert warnings(host, copy) == []


@pytest.mark.parametrize("part, change, words", [
    ("bin", lambda path: path.chmod(0o777), "may be written to by others (mode 0777)"),
    ("bin", lambda path: path.chmod(0o775), "may be written to by others (mode 0775)"),
    (".", lambda path: shutil.chown(path, "alice"), "belongs to user 47001"),
    ("bin/vmnet-helper", lambda path: path.chmod(0o757), "may be written to by others (mode 0757)"),
])
def test_one_warning_names_the_part_and_the_remedy(host, copy, part, change, words):
    path = (copy / part).resolve()
    change(path)
    found = warnings(host, copy)
    assert len(found) == 1, found
    assert f"{path} {words}" in found[0] and "chown root" in found[0]
