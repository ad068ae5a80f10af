"""How ssh finds a VM: by the tool, and by the user's own ssh through an Include."""

import shutil
import subprocess
import types

import pytest
from vmtool import ssh
from vmtool.drivers import driver


def machine_at(folder, **settings):
    return types.SimpleNamespace(name="vm", path=lambda name: folder / name,
                                 settings={"user": "debian"} | settings)


def told_by_ssh(config):
    """What ssh itself makes of the file."""
    if not shutil.which("ssh"):
        pytest.skip("no ssh here: apt-get install openssh-client")
    done = subprocess.run(["ssh", "-G", "-F", config, "vm"], capture_output=True, text=True, check=True)
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


def test_config_for_an_include(tmp_path):
    folder = tmp_path / 'a "strange" 100% folder'
    folder.mkdir()
    ssh.write_config(machine_at(folder), "192.168.64.70")
    told = told_by_ssh(folder / "ssh.config")
    assert told["hostname"] == "192.168.64.70" and told["user"] == "debian"
    assert told["hostkeyalias"] == "vm" and told["stricthostkeychecking"] in ("yes", "true")
    assert told["identityfile"] == f"{folder}/id_ed25519" or "%%" in told["identityfile"]


def test_a_key_of_the_users_own_is_left_to_ssh(tmp_path):
    ssh.write_config(machine_at(tmp_path, ssh_key="/home/alice/.ssh/id.pub"), "fd00::1")
    text = (tmp_path / "ssh.config").read_text()
    assert "HostName fd00::1" in text and "Identity" not in text


def test_the_tool_and_the_config_say_the_same(tmp_path):
    machine = machine_at(tmp_path)
    words = ssh.command(machine, "192.168.64.70", ["true"])
    for name, value in ssh.settings(machine).items():
        assert f"{name}={value}" in words


@pytest.mark.parametrize("name", ["qemu", "vfkit", "krunkit"])
def test_a_program_in_place_of_the_drivers_own(name):
    assert driver(name, "/opt/own").program == "/opt/own"
    assert driver(name).program in ("", name)
