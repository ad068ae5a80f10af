"""vmnet-run that starts its helper through real sudo."""

import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from support.fake_helper import JSON_LINE, LIMIT, SUDO_UID, Shell, SudoLab, alive, wait_until


@pytest.fixture
def sudo_lab():
    if os.getuid() != 0 or not pathlib.Path("/usr/bin/sudo").exists():
        pytest.skip("needs root and sudo")
    with tempfile.TemporaryDirectory(prefix="vmnet-run-") as folder:
        yield SudoLab(pathlib.Path(folder))


def test_sudo_starts_the_helper(sudo_lab):
    status, out, err = sudo_lab.sh("id -u; exit 7", options=["--verbose"])
    assert (status, out, err) == (7, f"{JSON_LINE}\n{SUDO_UID}\n", "")
    log = sudo_lab.log_text()
    assert "args --fd=3 --verbose\n" in log
    assert f"uid 0 sudo uid {SUDO_UID}\n" in log
    # The log file is the first free one, 4.
    assert re.search(r"^fds (.*)", log, re.M).group(1) == "0 1 2 3 4"
    assert not alive(sudo_lab.logged_pid())


@pytest.mark.parametrize("number, expected", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_sudo_signals_reach_the_helper(sudo_lab, number, expected):
    sudo_lab.sudo_helper(notices_peer=False)
    process = sudo_lab.start("sleep", "1000")
    helper = sudo_lab.logged_pid()
    wait_until(lambda: len(sudo_lab.log_text().splitlines()) >= 4, "the helper's start")
    time.sleep(0.5)
    process.send_signal(number)
    assert process.wait(timeout=LIMIT) == expected
    assert f"signal {int(number)}" in sudo_lab.log_text()
    assert not alive(helper)


def test_sudo_helper_that_dies(sudo_lab):
    process = sudo_lab.start("sleep", "1000")
    os.kill(sudo_lab.logged_pid(), signal.SIGKILL)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 1 and "vmnet-helper ended" in err


def test_sudo_refuses(sudo_lab):
    sudo_lab.rules(allowed=False)
    status, out, err = sudo_lab.sh("echo started >> $LOG")
    assert (status, out) == (1, "")
    assert "vmnet-helper did not start (exit status 1)" in err and "rule" in err
    assert sudo_lab.log_text() == ""


def test_kill_9_leaves_nothing_behind_sudo(sudo_lab):
    process = sudo_lab.start("/bin/sh", "-c", "echo command $$ >> $LOG; exec sleep 1000")
    command, helper = sudo_lab.logged_pid("command"), sudo_lab.logged_pid()
    process.kill()
    process.wait(timeout=LIMIT)
    wait_until(lambda: not alive(command) and not alive(helper), "the end of both")


def test_sudo_leaves_the_terminal_to_the_command(sudo_lab):
    pid, fd = pty.fork()
    if pid == 0:
        arguments = [*sudo_lab.prefix, str(sudo_lab.run), "--", "/bin/sh", "-c",
                     "stty -a | grep -c -- -icanon; echo ready; read line; echo got=$line; exit 5"]
        os.execvpe(arguments[0], arguments, sudo_lab.env)
    terminal = Shell.__new__(Shell)
    terminal.text, terminal.pid, terminal.fd = "", pid, fd
    terminal.expect("\r\n0\r\nready\r\n")
    terminal.type("typed")
    terminal.expect("got=typed")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    os.close(fd)
    assert "has no terminal" in sudo_lab.log_text()


def test_a_setuid_or_capable_helper_needs_no_sudo(sudo_lab):
    sudo_lab.rules(allowed=False)
    helper = sudo_lab.bin / "vmnet-helper"
    # The setuid bit of a script has no effect, so the helper here is a program.
    for prepare in (["chmod", "4755"], ["setcap", "cap_net_admin+ep"]):
        if not shutil.which(prepare[0]):
            continue
        shutil.copy("/usr/bin/printf", helper)
        helper.chmod(0o755)
        subprocess.run([*prepare, helper], check=True)
        status, out, err = sudo_lab.sh("exit 3")
        # printf makes no network: what counts is that it was not sudo that refused.
        assert "sudo" not in err and "vmnet-helper did not start" in err
