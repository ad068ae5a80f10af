"""What cloud-init is told."""

import json
import shutil
import subprocess

import pytest
from vmtool import seed, ssh
from vmtool.address import StaticAddress
from vmtool.machine import Machine
from vmtool.report import Failure

MAC = "76:6d:b2:30:88:1a"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    monkeypatch.setenv("VMNET_HOME", str(tmp_path))
    made = Machine("vm-1")
    made.folder.mkdir(parents=True)
    made.new_settings(user="debian", distribution="debian")
    ssh.prepare(made)
    return made


def test_user(machine):
    data = seed.user_data(machine)
    assert data["users"][0]["name"] == "debian" and data["users"][0]["lock_passwd"]
    assert data["users"][0]["ssh_authorized_keys"] == [
        machine.path("id_ed25519.pub").read_text().strip()]
    assert "PRIVATE KEY" in data["ssh_keys"]["ed25519_private"]
    known = machine.path("known_hosts").read_text().split()
    assert known[0] == "vm-1" and known[2] in data["ssh_keys"]["ed25519_public"]


@pytest.mark.parametrize("platform, distribution, packages", [
    ("darwin", "debian", ["avahi-daemon"]), ("darwin", "fedora", ["avahi"]), ("darwin", "", None),
    ("linux", "debian", None)])
def test_a_name_on_macos(machine, monkeypatch, platform, distribution, packages):
    monkeypatch.setattr(seed.sys, "platform", platform)
    machine.settings["distribution"] = distribution
    data = seed.user_data(machine)
    assert data.get("packages") == packages and ("runcmd" in data) == bool(packages)


def test_user_of_alpine(machine):
    machine.settings["distribution"] = "alpine"
    user = seed.user_data(machine)["users"][0]
    assert user["shell"] == "/bin/sh" and not user["lock_passwd"]


def test_own_key(machine, tmp_path):
    key = tmp_path / "id.pub"
    key.write_text("ssh-ed25519 AAAA me: \"quoted\" #x\n")
    machine.settings["ssh_key"] = str(key)
    assert seed.user_data(machine)["users"][0]["ssh_authorized_keys"] == [key.read_text().strip()]
    for text in ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "a b\nc d\n", "alone\n", ""):
        key.write_text(text)
        with pytest.raises(Failure, match="not a public key"):
            ssh.public_key(machine)
    machine.settings["ssh_key"] = str(tmp_path / "none.pub")
    with pytest.raises(Failure, match="No such file"):
        ssh.public_key(machine)


def test_network():
    dhcp = seed.network_config(MAC, None, [])["ethernets"]["eth0"]
    assert dhcp["match"] == {"macaddress": MAC} and dhcp["dhcp4"] and "nameservers" not in dhcp
    other = seed.network_config(MAC, None, ["9.9.9.9"])["ethernets"]["eth0"]
    assert other["dhcp4-overrides"] == {"use-dns": False}
    assert other["nameservers"] == {"addresses": ["9.9.9.9"]}
    static = seed.network_config(MAC, StaticAddress("10.0.0.9", 24, "10.0.0.1", ["9.9.9.9"]), [])
    assert static["ethernets"]["eth0"] == {
        "match": {"macaddress": MAC}, "set-name": "eth0", "dhcp4": False,
        "addresses": ["10.0.0.9/24"], "routes": [{"to": "0.0.0.0/0", "via": "10.0.0.1"}],
        "nameservers": {"addresses": ["9.9.9.9"]}}


def test_command_line_of_each_program(tmp_path, monkeypatch):
    for program in seed.MAKERS:
        monkeypatch.setattr(seed.shutil, "which", lambda name, only=program:
                            f"/bin/{name}" if name == only else None)
        words = seed.iso_command(tmp_path, tmp_path / "seed.iso")
        assert words[0] == f"/bin/{program}" and "cidata" in words
    monkeypatch.setattr(seed.shutil, "which", lambda name: None)
    with pytest.raises(Failure, match="no program to make the seed with"):
        seed.iso_command(tmp_path, tmp_path / "seed.iso")


@pytest.mark.parametrize("program", ["xorriso", "genisoimage"])
def test_image(machine, program, monkeypatch):
    if not shutil.which(program):
        pytest.skip(f"no {program} here")
    monkeypatch.setattr(seed, "MAKERS", (program,))
    image = seed.write(machine, MAC, None, []).read_bytes()
    assert image[32769:32774] == b"CD001" and image[32808:32814] == b"cidata"
    assert b"#cloud-config" in image and MAC.encode() in image
    identity = json.loads(image[image.index(b'{"instance-id"'):].split(b"\n")[0])
    assert identity["local-hostname"] == "vm-1"
    assert {path.name for path in machine.folder.iterdir() if path.is_dir()} == set()
    again = seed.write(machine, MAC, None, []).read_bytes()
    assert identity["instance-id"].encode() in again  # cloud-init does its work once
    moved = seed.write(machine, MAC, StaticAddress("10.0.0.9", 24), []).read_bytes()
    assert identity["instance-id"].encode() not in moved


def test_ssh_takes_every_folder(tmp_path, monkeypatch):
    """ssh itself says what it makes of the options (-G)."""
    monkeypatch.setenv("VMNET_HOME", str(tmp_path / "a 'b' \"c\" d\\e 100%d $(f)"))
    made = Machine("vm")
    made.folder.mkdir(parents=True)
    made.new_settings(user="vm")
    program, *options = ssh.command(made, "192.0.2.1", [])
    told = subprocess.run([program, "-G", *options], capture_output=True, text=True, check=True).stdout
    assert "hostname 192.0.2.1\n" in told and "stricthostkeychecking true\n" in told
    assert "user vm\n" in told and "hostkeyalias vm\n" in told
    # -G prints the tokens of the one as they are written, those of the other as what they stand for.
    written = str(made.folder).replace("%", "%%")
    assert f"identityfile {written}/id_ed25519\n" in told
    assert f"userknownhostsfile {made.folder}/known_hosts\n" in told
