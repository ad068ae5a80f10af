"""vmnet-run on a terminal: jobs, scripts, interrupt, suspend."""

import os
import pty
import time

import pytest

from support.fake_helper import FakeHelperLab, Shell, state, wait_until


@pytest.fixture
def lab(tmp_path):
    return FakeHelperLab(tmp_path)


@pytest.fixture
def shell(lab):
    shell = Shell(lab)
    yield shell
    shell.close()


READER = "/bin/sh -c 'echo command $$ >> $LOG; echo ready; read line; echo got=$line; exit 5'"


def write_script(lab, text):
    script = lab.folder / "script"
    script.write_text("#!/bin/sh\n" + text)
    script.chmod(0o755)
    return script


def test_terminal_of_a_job(lab, shell):
    shell.type(f"{lab.run} -- {READER}; echo status=$?")
    shell.expect("ready\r\n")
    shell.type("typed")
    shell.expect("got=typed")
    shell.expect("status=5")


def test_terminal_of_a_script(lab, shell):
    script = write_script(lab, f"{lab.run} -- {READER}; echo status=$?\nread line; "
                               "echo script got=$line\n")
    shell.type(f"{script}; echo script status=$?")
    shell.expect("ready\r\n")
    shell.type("typed")
    shell.expect("got=typed")
    shell.expect("status=5")
    shell.type("more")
    shell.expect("script got=more")
    shell.expect("script status=0")


@pytest.mark.parametrize("redirection", ["", "< /dev/tty"])
def test_a_scripts_background_leaves_it_the_terminal(lab, shell, redirection):
    script = write_script(lab, f"{lab.run} -- sleep 1000 {redirection} &\nwhile ! grep -q pid $LOG; do "
                               "sleep 0.05; done\necho ready; read line; echo script got=$line\n"
                               "kill $!; wait $!; echo status=$?\n")
    shell.type(str(script))
    shell.expect("ready\r\n")
    shell.type("typed")
    shell.expect("script got=typed")
    shell.expect("status=143")


@pytest.mark.parametrize("through_script", [False, True])
def test_interrupt_from_the_terminal(lab, shell, through_script):
    command = f"{lab.run} -- /bin/sh -c 'echo ready; exec sleep 1000'"
    if through_script:
        command = str(write_script(lab, command + "; exit $?\n"))
    shell.type(command)
    shell.expect("ready\r\n")
    shell.type("\x03", end="")
    shell.type("echo status=$?")
    shell.expect("status=130")


@pytest.mark.parametrize("through_script", [False, True])
def test_suspend_and_continue(lab, shell, through_script):
    command = f"{lab.run} -- {READER}"
    if through_script:
        command = str(write_script(lab, command + "\nexit $?\n"))
    shell.type(command)
    shell.expect("ready\r\n")
    shell.type("\x1a", end="")
    shell.expect("Stopped")
    # The shell waits for its own child only: until the reader has stopped too, a read that it is in
    # still takes a key.
    reader = lab.logged_pid("command")
    wait_until(lambda: state(reader) == "T", "the reader's stop")
    shell.type("echo at the sh'ell'")
    shell.expect("at the shell")
    shell.type("fg")
    time.sleep(0.5)
    shell.type("typed")
    shell.expect("got=typed")
    shell.type("echo status=$?")
    shell.expect("status=5")


def test_suspend_where_no_shell_continues(lab, tmp_path):
    """Its parent leads the session and knows no jobs: Ctrl-Z must not stop it for ever."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe("/bin/sh", ["sh", "-c", f"{lab.run} -- {READER}; echo status=$?"], lab.env)
    terminal = Shell.__new__(Shell)
    terminal.text, terminal.pid, terminal.fd = "", pid, fd
    try:
        terminal.expect("ready\r\n")
        terminal.type("\x1a", end="")
        time.sleep(1)
        terminal.type("typed")
        terminal.expect("got=typed")
        terminal.expect("status=5")
    finally:
        terminal.close()
