"""The units for systemd and the job for launchd. Neither runs in the lab: what they say is run by hand,
line by line, as these would."""

import json
import os
import pathlib
import plistlib
import re
import shlex
import shutil
import signal
import stat
import subprocess

import pytest

from support.helper import wait_for_no_helper
from support.installation import PREFIX
from support.lab import REPOSITORY, end, run
from support.snapshot import wait_until

ID = "2f8d5b1c-95a0-4a52-a1f2-0123456789ab"
UNITS = PREFIX / "share" / "doc" / "vmnet-helper" / "systemd"
ALICE = 47001


def is_alices_socket(path):
    return path.exists() and path.stat().st_uid == ALICE and stat.S_ISSOCK(path.stat().st_mode)


@pytest.mark.parametrize("kind", ["system", "user"])
def test_systemd_finds_no_fault(session_lab, kind, folder):
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze here")
    unit = folder / "vmnet-helper@vm.service"
    shutil.copy(UNITS / kind / "vmnet-helper@.service", unit)
    done = run("systemd-analyze", "verify", f"--{kind}", "--man=no", unit, check=False,
               env={**os.environ, "XDG_RUNTIME_DIR": str(folder), "HOME": str(folder)})
    assert done.returncode == 0 and done.stderr == "", done.stderr


def settings(kind, runtime):
    """The unit's settings (key -> values), with what systemd puts in for % and $OPTIONS."""
    text = (UNITS / kind / "vmnet-helper@.service").read_text()
    found = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", text, re.M):
        value = value.replace("%t", str(runtime)).replace("%i", "vm").replace("/run/vmnet", f"{runtime}/vmnet")
        found.setdefault(key, []).append(value.replace("$OPTIONS", f"--interface-id {ID}"))
    return found


@pytest.mark.parametrize("kind", ["system", "user"])
def test_a_units_life(host, alice_folder, kind):
    unit = settings(kind, alice_folder)
    made = alice_folder / unit["RuntimeDirectory"][0]
    made.mkdir(parents=True)
    shutil.chown(made, "alice", "alice")
    before, after = (shlex.split(unit[f"ExecStart{when}"][0]) for when in ("Pre", "Post"))
    # systemd starts the system's unit as User= with these capabilities, as setpriv does here.
    capabilities = "+" + ",+".join(word.lower().removeprefix("cap_") for word in
                                   unit.get("AmbientCapabilities", [""])[0].split())
    become = ["setpriv", "--reuid=alice", "--regid=alice", "--init-groups"]
    if kind == "system":
        become += [f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}"]
    host.run(*before, user="alice")
    standard_output = pathlib.Path(unit["StandardOutput"][0].removeprefix("file:"))
    with open(standard_output, "w") as output:
        helper = host.start(*become, *shlex.split(unit["ExecStart"][0]), stdout=output,
                            stdin=subprocess.DEVNULL)
    host.run(*after, user="alice")  # started is: the line is there
    assert json.loads(standard_output.read_text())["vmnet_interface_id"] == ID.upper()
    assert is_alices_socket(made / "vm.sock")
    if unit["KillMode"] == ["mixed"]:
        helper.send_signal(signal.SIGTERM)
    else:  # the user's signals reach the helper alone, not sudo and the keeper
        for line in run("pgrep", "-U", "alice", "-x", "vmnet-helper").stdout.split():
            os.kill(int(line), signal.SIGTERM)
    assert helper.wait(20) == 0
    end(helper)
    host.processes.remove(helper)
    assert wait_for_no_helper() and not (made / "vm.sock").exists()


def test_launchds_job(host, alice_folder):
    """With the ids in its environment the helper is alice's, started by root."""
    job = plistlib.loads((REPOSITORY / "packaging" / "macos" / "vmnet-helper.plist").read_bytes())
    made = alice_folder / "vm-network"
    made.mkdir(mode=0o700)
    shutil.chown(made, "alice", "alice")

    def here(text):
        return text.replace("/Users/alice", str(alice_folder)).replace("@VMNET_BIN@", "/opt/vmnet-helper/bin")

    environment = {"SUDO_UID": str(ALICE), "SUDO_GID": str(ALICE)}
    assert set(job["EnvironmentVariables"]) == set(environment)
    with open(here(job["StandardOutPath"]), "w") as output, \
            open(here(job["StandardErrorPath"]), "w") as log:
        helper = host.start(*map(here, job["ProgramArguments"]), env={**os.environ, **environment},
                            stdout=output, stderr=log, stdin=subprocess.DEVNULL)
    interface = pathlib.Path(here(job["StandardOutPath"]))
    assert wait_until(lambda: interface.read_text().endswith("\n"), 10)
    assert json.loads(interface.read_text())["vmnet_interface_id"] in job["ProgramArguments"][2]
    assert is_alices_socket(made / "vm.sock")
    helper.send_signal(signal.SIGTERM)
    assert helper.wait(20) == 0
    host.processes.remove(helper)
    assert wait_for_no_helper()
