"""Standard error: the first and the last line of a helper's life, and priorities for the journal."""

import os
import re
import subprocess

import pytest

from support.helper import Helper, run_to_end
from support.installation import BUILD, CAPABLE_COPY, ROOT, SETUID_COPY, WAYS
from support.lab import run
from support.snapshot import wait_until

STARTED = r"INFO  \[helper\] started: version (v\S+), mode {mode}, network {network}, user (\d+), device {device}, peer {peer}"


def started(helper, mode, network, peer):
    device = helper.json["host_interface"]
    pattern = STARTED.format(mode=mode, network=re.escape(network), device=device, peer=re.escape(peer))
    lines = [re.fullmatch(pattern, line) for line in helper.log_lines("INFO")]
    found = [line for line in lines if line]
    assert len(found) == 1, helper.stderr()
    return found[0]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_start_and_end(start, alice_folder, way):
    path = alice_folder / "vm.sock"
    helper = start(path=path, way=way)
    assert wait_until(lambda: helper.log_lines("INFO"))
    line = started(helper, "shared", "192.168.64.0/24", f"--socket '{path}'")
    version = run(BUILD / "vmnet-helper", "--version").stdout.split()[1]
    assert (line[1], line[2]) == (version, "0" if way is ROOT else "47001")
    helper.stop()
    assert helper.log_lines("INFO")[-1] == "INFO  [helper] ended: told to stop"
    assert len(helper.log_lines()) == 2


def test_of_other_networks(start):
    for options, mode, network in (
            (("--operation-mode=host",), "host", "192.168.128.0/24"),
            (("--operation-mode=host", "--network-id=2f8d5b1c-95a0-4a52-a1f2-0123456789ab"), "host",
             "2F8D5B1C-95A0-4A52-A1F2-0123456789AB"),
            (("--tap",), "shared", "192.168.64.0/24")):
        helper = start(*options)
        assert wait_until(lambda one=helper: one.log_lines("INFO"))
        started(helper, mode, network, f"--fd {helper.command[helper.command.index('--fd') + 1]}")


def test_end_of_the_vm(start):
    helper = start()
    helper.vm.close()
    assert helper.wait() == 0
    assert helper.log_lines("INFO")[-1] == "INFO  [helper] ended: the VM has gone"


def journal(fd):
    """JOURNAL_STREAM as systemd sets it, for whatever `fd` is."""
    status = os.fstat(fd)
    return {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}


@pytest.mark.parametrize("way", [ROOT, SETUID_COPY, CAPABLE_COPY], ids=lambda way: way.name)
def test_priorities_for_the_journal(host, folder, way):
    with open(folder / "log", "w+b") as log:
        run_to_end(host, "--verbose", "--operation-mode=bridged", "--shared-interface=no", stderr=log,
                   way=way, environment=journal(log.fileno()))
        with Helper(host, stderr=log, way=way, environment=journal(log.fileno())) as helper:
            helper.ready().stop()
        lines = (folder / "log").read_text().splitlines()
    kinds = {"DEBUG": "<7>", "INFO ": "<6>", "WARN ": "<4>", "ERROR": "<3>"}
    assert lines and all(line[:3] == kinds[line[3:8]] for line in lines), lines
    assert {line[:3] for line in lines} >= {"<3>", "<6>"}


def test_no_priorities_for_anybody_else(host, folder):
    """The variable is inherited where standard error is something else by now."""
    with open(folder / "journal", "wb") as other:
        with Helper(host, environment=journal(other.fileno())) as helper:
            helper.ready().stop()
            assert all(line[0] != "<" for line in helper.log_lines())


def test_vmnet_run_tells_the_journal_too(host, folder):
    with open(folder / "log", "w+b") as log:
        command = [*host.prefix(), *SETUID_COPY.command(SETUID_COPY.runner()), "--", "/nowhere"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
                              env={"PATH": os.environ["PATH"], **journal(log.fileno())}, timeout=30)
        assert done.returncode == 1
        lines = (folder / "log").read_text().splitlines()
    assert any(line.startswith("<3>ERROR [vmnet-run]") for line in lines), lines
    assert all(line[0] == "<" for line in lines), lines
