"""--accel: what is chosen, and what becomes of a VM that hangs on KVM."""

import types

import pytest
from vmtool import cli, session, silence
from vmtool.drivers import accelerator, driver
from vmtool.machine import Machine
from vmtool.options import Options
from vmtool.report import Failure

INTERFACE = {"vmnet_mac_address": "76:6d:b2:30:88:1a", "ip_address": "192.168.64.2"}


@pytest.fixture
def kvm(monkeypatch):
    """A machine where KVM opens and runs a BIOS."""
    monkeypatch.setattr(accelerator, "why_no_kvm", lambda _: "")
    monkeypatch.setattr(accelerator, "bios_runs", lambda _: True)
    monkeypatch.setattr(accelerator.sys, "platform", "linux")
    monkeypatch.setattr(accelerator.host_arch, "name", lambda: "x86_64")


@pytest.mark.parametrize("wanted, hangs, chosen", [
    ("auto", False, "kvm"), ("auto", True, "tcg"), ("kvm", False, "kvm"), ("kvm", True, "kvm"),
    ("tcg", False, "tcg")])
def test_choice(kvm, wanted, hangs, chosen):
    assert accelerator.choose("qemu", "x86_64", wanted, hangs)[0] == chosen


def test_kvm_that_cannot_be(monkeypatch):
    monkeypatch.setattr(accelerator, "why_no_kvm", lambda _: "there is no /dev/kvm")
    with pytest.raises(Failure, match="^--accel kvm: there is no /dev/kvm$"):
        accelerator.check("kvm", "x86_64")
    accelerator.check("auto", "x86_64")
    accelerator.check("tcg", "x86_64")


def test_only_qemu_has_the_choice():
    for name in ("vfkit", "krunkit"):
        driver(name).take_accelerator("auto")
        with pytest.raises(Failure, match="--accel tcg: QEMU's"):
            driver(name).take_accelerator("tcg")


def test_silence(tmp_path, monkeypatch):
    """A boot loader's words do not count as the guest's; those of a kernel do, whatever follows."""
    now = [0.0]
    monkeypatch.setattr(silence.time, "monotonic", lambda: now[0])
    console = tmp_path / "console.log"
    watch = silence.SilenceWatch(console)
    now[0] = 19.0
    assert not watch.is_long()
    now[0] = 21.0
    assert watch.is_long()
    console.write_text("GRUB loading\n")
    assert not watch.is_long()
    now[0] = 42.0
    assert watch.is_long()
    console.write_text("[    0.000000] Linux\n" * 300)
    now[0] = 1000.0
    assert not watch.is_long()


class StandIn:
    """The connection and the VM of a session; it answers where QEMU emulates."""

    interface = INTERFACE

    def __init__(self):
        self.calls = []

    def start(self):
        self.calls.append("helper")
        return INTERFACE

    def nic(self, mac):
        return types.SimpleNamespace(mac=mac)

    def start_vm(self, command):
        self.calls.append(command[0])
        return self

    def stop(self):
        self.calls.append("stop")

    def ended(self):
        return False

    def helper_ended(self):
        return False


@pytest.fixture
def make_run(kvm, tmp_path, monkeypatch):
    """make_run(words) is a started session of the VM whose guest is up by emulation alone."""
    monkeypatch.setenv("VMNET_HOME", str(tmp_path))
    monkeypatch.setattr(silence, "SECONDS", 0)
    monkeypatch.setattr(session, "POLL", 0.01)
    monkeypatch.setattr(session.seed, "write", lambda *_: None)
    monkeypatch.setattr(session.ssh, "write_config", lambda *_: None)

    def make(*words):
        stand_in = StandIn()
        monkeypatch.setattr(session.network, "connection", lambda *_: stand_in)
        arguments = cli.start_parser().parse_args(["vm", *words], namespace=Options())
        machine = Machine("vm")
        machine.folder.mkdir(parents=True, exist_ok=True)
        machine.load()
        if not machine.exists():
            machine.new_settings(cpus=1, memory=64, arch="x86_64", firmware="bios", disk_format="raw", driver="qemu",
                                 user="vm", source="x", distribution="")
        made = session.Session(machine, arguments)
        made.driver = driver("qemu")
        made.driver.program = "qemu"
        made.driver.take_accelerator(arguments.accel)
        made.driver.command = lambda *_: [made.driver.accelerator]
        monkeypatch.setattr(session.address, "probe",
                            lambda _: "ssh" if made.driver.accelerator == "tcg" else "")
        made.stand_in = stand_in
        made.start_helper()
        made.start_vm()
        return made

    return make


def test_a_vm_that_says_nothing_on_kvm_is_started_again(make_run, capsys):
    first = make_run()
    first.wait_for_address()
    assert first.stand_in.calls == ["helper", "kvm", "stop", "stop", "helper", "tcg"]
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("The VM said nothing")]
    assert len(said) == 1 and "starting it again by emulation" in said[0]
    again = make_run()  # the same machine, not started anew: nobody waits a second time
    again.wait_for_address()
    assert again.stand_in.calls == ["helper", "tcg"]
    assert "on KVM this VM said nothing" in capsys.readouterr().out


def test_who_asks_for_kvm_keeps_it(make_run):
    run = make_run("--accel", "kvm", "--timeout", "1")
    with pytest.raises(Failure, match="did not answer"):
        run.wait_for_address()
    assert run.stand_in.calls == ["helper", "kvm"]
