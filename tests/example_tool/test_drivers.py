"""The drivers' command lines; vfkit's and krunkit's cannot be run on Linux."""

import http.server
import os
import pathlib
import socket
import socketserver
import tempfile
import threading

import pytest
from vmtool.drivers import accelerator, driver, firmware, krunkit, qemu, rest, vfkit
from vmtool.machine import Machine
from vmtool.network import Nic
from vmtool.report import Failure

MAC = "76:6d:b2:30:88:1a"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    monkeypatch.setenv("VMNET_HOME", str(tmp_path))
    made = Machine("vm")
    made.folder.mkdir(parents=True)
    made.new_settings(cpus=2, memory=2048, arch="x86_64", firmware="bios", disk_format="raw")
    return made


def option(words, name):
    return [words[at + 1] for at, word in enumerate(words) if word == name]


def socket_nic(machine, offload=False):
    return Nic("socket", MAC, path=machine.path("vm.sock"), own_path=machine.path("driver.sock"),
               offload=offload)


def test_vfkit(machine, capsys):
    words = vfkit.Vfkit().command(machine, Nic("fd", MAC, fd=7))
    devices = option(words, "--device")
    assert f"virtio-net,fd=7,mac={MAC}" in devices
    assert f"virtio-blk,path={machine.folder}/disk.raw" in devices
    assert f"virtio-serial,logFilePath={machine.folder}/console.log" in devices
    assert option(words, "--memory") == ["2048"] and option(words, "--cpus") == ["2"]
    by_path = vfkit.Vfkit().command(machine, socket_nic(machine))
    assert f"virtio-net,unixSocketPath={machine.folder}/vm.sock,mac={MAC}" in option(by_path, "--device")
    assert vfkit.Vfkit().command(machine, Nic("fd", MAC, fd=7, offload=True)) == words
    assert "tells the guest of no offload" in capsys.readouterr().out


def test_krunkit(machine):
    words = krunkit.Krunkit().command(machine, Nic("fd", MAC, fd=4, offload=True))
    assert f"virtio-net,type=unixgram,fd=4,mac={MAC},offloading=on" in option(words, "--device")
    by_path = krunkit.Krunkit().command(machine, socket_nic(machine))
    assert (f"virtio-net,type=unixgram,path={machine.folder}/vm.sock,mac={MAC},offloading=off"
            in option(by_path, "--device"))


@pytest.mark.parametrize("nic, backend", [
    (Nic("fd", MAC, fd=9), "dgram,id=net0,local.type=fd,local.str=9"),
    (Nic("tap", MAC, fd=4), "tap,id=net0,fd=4")])
def test_qemu(machine, nic, backend):
    words = qemu.Qemu().command(machine, nic)
    assert option(words, "-netdev") == [backend]
    assert f"virtio-net-pci,netdev=net0,mac={MAC},romfile=" in option(words, "-device")
    assert not any(str(machine.folder) in word for word in words)  # names only: no comma, no length


def test_qemu_by_socket(machine):
    backend = option(qemu.Qemu().command(machine, socket_nic(machine)), "-netdev")
    assert backend == ["dgram,id=net0,local.type=unix,local.path=driver.sock,"
                       "remote.type=unix,remote.path=vm.sock"]


def test_paths_that_an_option_cannot_take(tmp_path, monkeypatch):
    monkeypatch.setenv("VMNET_HOME", str(tmp_path / "a,b"))
    monkeypatch.setattr("vmtool.process.require", lambda *_: "/usr/bin/vfkit")
    for name in ("vfkit", "krunkit"):
        with pytest.raises(Failure, match="no comma"):
            driver(name).require(Machine("vm"), "fd")
    monkeypatch.setenv("VMNET_HOME", str(tmp_path / ("x" * 90)))
    for name in ("vfkit", "krunkit"):
        with pytest.raises(Failure, match="too long"):
            driver(name).require(Machine("vm"), "fd")


def test_tap_is_qemus_alone(machine):
    for name in ("vfkit", "krunkit"):
        with pytest.raises(Failure, match="--connection tap: .* takes fd, socket, run"):
            driver(name).require(machine, "tap")


def test_firmware_beside_qemu(tmp_path, monkeypatch):
    monkeypatch.setattr(firmware, "PLACES", {"x86_64": (), "aarch64": ()})
    program = tmp_path / "bin" / "qemu-system-aarch64"
    share = tmp_path / "share" / "qemu"
    program.parent.mkdir()
    program.touch()
    with pytest.raises(Failure, match="no UEFI firmware for aarch64"):
        firmware.find(str(program), "aarch64")
    share.mkdir(parents=True)
    for name in firmware.QEMUS_OWN["aarch64"]:
        (share / name).write_text(name)
    found = firmware.find(str(program), "aarch64")
    assert found.code.name == "edk2-aarch64-code.fd"
    firmware.copy_variables(found, tmp_path / "own")
    (tmp_path / "own").write_text("the guest's")
    firmware.copy_variables(found, tmp_path / "own")
    assert (tmp_path / "own").read_text() == "the guest's"


class UnixServer(socketserver.UnixStreamServer):
    def get_request(self):
        request, _ = super().get_request()
        return request, ("unix", 0)


def test_power_button_over_rest():
    asked = []

    class Service(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_):
            pass

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # short: it is a socket's name
        path = os.path.join(folder, "control.sock")
        assert not rest.ask_to_stop(path)
        with UnixServer(path, Service) as server:
            threading.Thread(target=server.handle_request).start()
            assert rest.ask_to_stop(path)
    assert asked == [("/vm/state", b'{"state": "Stop"}')]


@pytest.mark.parametrize("answers, expected", [
    ([b'{"return": {}}', b'{"event": "POWERDOWN"}\n{"return": {}}'], True),
    ([b'{"return": {}}', b'{"error": {"class": "GenericError"}}'], False),
    ([b'{"return": {}}'], False), ([b"no json"], False)])
def test_power_button_over_qmp(machine, answers, expected):
    """Events may come before an answer."""
    def play():
        opened, _ = listener.accept()
        with opened, opened.makefile("rwb") as stream:
            stream.write(b'{"QMP": {}}\n')
            stream.flush()
            for answer in answers:
                stream.readline()
                stream.write(answer + b"\n")
                stream.flush()

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # short: it is a socket's name
        machine.folder = pathlib.Path(folder)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"{folder}/control.sock")
            listener.listen()
            player = threading.Thread(target=play)
            player.start()
            assert qemu.Qemu().ask_to_stop(machine) == expected
            player.join()
    assert not qemu.Qemu().ask_to_stop(machine)


@pytest.mark.parametrize("text, runs", [
    ("echo SeaBIOS; echo No bootable device.; exec sleep 60", True),
    ("echo SeaBIOS; exec sleep 60", False),  # nested virtualisation that begins and hangs
    ("echo SeaBIOS", False), ("exit 1", False)])
def test_kvm_is_taken_where_the_bios_comes_to_its_end(tmp_path, monkeypatch, text, runs):
    program = tmp_path / "qemu"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    monkeypatch.setattr(accelerator, "PROBE_SECONDS", 30 if runs else 0.5)
    assert accelerator.bios_runs(str(program)) == runs
