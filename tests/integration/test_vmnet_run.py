"""vmnet-run against fake helpers: every clause of its contract that needs no network.

A fake vmnet-helper is a script beside a copy of vmnet-run. As root, vmnet-run starts it directly;
real sudo is met at the end, in a mount namespace with users and rules of its own.
"""

import json
import os
import pathlib
import pty
import pwd
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("VMNET_BUILD_DIR", ROOT / "build" / "release"))
JSON_LINE = '{"vmnet_mac_address":"0e:76:6d:00:00:01", "odd":  "spacing \\u00e9"}'
LIMIT = 60  # seconds until a hung test is given up; no assertion about speed

# Prints its line, waits for its end like the real one: SIGTERM, SIGINT, or the socket's peer gone.
HELPER = """\
import os, signal, socket, sys, time
log = open(os.environ["LOG"], "a", buffering=1)
def say(text): log.write(text + "\\n")
def end(number, frame):
    say(f"signal {number}")
    os._exit(0)
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, end)
say("args " + " ".join(sys.argv[1:]))
say(f"pid {os.getpid()}")
say(f"pgid {os.getpgrp()}")
%s
print(%r, flush=True)
%s
vm = socket.socket(fileno=3)
while True:
    time.sleep(0.05)
    try:
        vm.send(b"\\0" * 14, socket.MSG_DONTWAIT)
    except BlockingIOError:
        pass
    except OSError:
        say("peer gone")
        sys.exit(0)
"""


class Lab:
    """A folder with vmnet-run and a fake vmnet-helper."""

    def __init__(self, folder):
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.log = folder / "log"
        self.log.touch()
        self.run = self.bin / "vmnet-run"
        shutil.copy(BUILD / "vmnet-run", self.run)
        self.env = dict(os.environ, LOG=str(self.log))
        self.helper()

    def helper(self, before="", after=""):
        self.helper_script("#!/usr/bin/python3\n" + HELPER % (before, JSON_LINE, after))

    def helper_script(self, text):
        path = self.bin / "vmnet-helper"
        path.write_text(text)
        path.chmod(0o755)

    def start(self, *command, options=(), program=None, **popen):
        arguments = [str(program or self.run), *options, "--", *command]
        popen = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                     text=True, env=self.env) | popen
        return subprocess.Popen(arguments, **popen)

    def finish(self, *command, **start):
        process = self.start(*command, **start)
        out, err = process.communicate(timeout=LIMIT)
        return process.returncode, out, err

    def sh(self, script, **start):
        return self.finish("/bin/sh", "-c", script, **start)

    def log_text(self):
        return self.log.read_text()

    def wait_for_log(self, text):
        wait_until(lambda: text in self.log_text(), f"{text!r} in the log")

    def logged_pid(self, name="pid"):
        self.wait_for_log(f"{name} ")
        return int(re.search(rf"^{name} (\d+)", self.log_text(), re.M).group(1))


def wait_until(condition, what):
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def state(pid):
    """R, S, T, Z ... of proc_pid_stat(5); X where there is no such process."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def alive(pid):
    return state(pid) not in "ZX"


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


def run_only(lab, *arguments):
    """vmnet-run with a command line of its own making."""
    done = subprocess.run([lab.run, *arguments], capture_output=True, text=True, env=lab.env,
                          timeout=LIMIT)
    return done.returncode, done.stdout, done.stderr


# The command line


@pytest.mark.parametrize("arguments, named", [
    (["--fd", "3"], "--fd '3'"),
    (["--fd=3"], "--fd '3'"),
    (["--f=3"], "--fd '3'"),
    (["-f3"], "-f '3'"),
    (["-vf3"], "-f '3'"),
    (["-f", "3"], "-f '3'"),
    (["--socket", "/tmp/x"], "--socket '/tmp/x'"),
    (["--soc=/tmp/x"], "--socket '/tmp/x'"),
    (["-s", "/tmp/x"], "-s '/tmp/x'"),
    (["-vs/tmp/x"], "-s '/tmp/x'"),
    (["--list-shared-interfaces"], "--list-shared-interfaces"),
    (["--list"], "--list-shared-interfaces"),
    (["--nonsense"], "--nonsense"),
    (["--operation-mode", "nat"], "--operation-mode 'nat'"),
    (["--start-address", "10.0.0.1\nx"], "--start-address '10.0.0.1\\nx'"),
    (["--operation-mode=bridged"], "--operation-mode 'bridged'"),
])
def test_bad_options_start_nothing(lab, arguments, named):
    status, out, err = run_only(lab, *arguments, "--", "/bin/sh", "-c", "echo started >> $LOG")
    assert (status, out) == (1, "")
    assert err.count("\n") == 1 and named in err
    assert lab.log_text() == ""


@pytest.mark.parametrize("arguments", [[], ["--"], ["--verbose"], ["true"], ["--verbose", "true"],
                                       ["--dns", "--"], ["--dns", "--", "true"], ["--", ""]])
def test_a_command_is_needed(lab, arguments):
    status, out, err = run_only(lab, *arguments)
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert lab.log_text() == ""


def test_help_and_version(lab):
    status, out, err = run_only(lab, "--help")
    assert (status, err) == (0, "")
    assert out.startswith("Usage: vmnet-run") and "--operation-mode" in out
    assert not re.search(r"--(fd|socket|list-shared-interfaces)\b.*  ", out)
    status, out, err = run_only(lab, "--version")
    assert (status, err) == (0, "")
    assert re.fullmatch(r"version: v\d+\.\d+\.\d+\S*\ncommit: \w+\n", out)
    assert run_only(lab, "--help", "--", "false")[0] == 0


def test_no_program_name_is_an_error(lab):
    pid = os.fork()
    if pid == 0:
        try:
            os.close(2)
            os.open("/dev/null", os.O_WRONLY)
            os.execve(lab.run, [], lab.env)  # Python refuses an empty argv
        except ValueError:
            os._exit(99)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (1, 99)


def test_the_helper_gets_the_options_unchanged(lab):
    options = ["--operation-mode=host", "--interface-id",
               "2f8d5b1c-95a0-4a52-a1f2-0123456789ab", "-v", "--dns", "192.0.2.1"]
    assert lab.sh("exit 0", options=options)[0] == 0
    assert f"args --fd=3 {' '.join(options)}\n" in lab.log_text()


# Exit statuses


@pytest.mark.parametrize("script, expected", [
    ("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137), ("kill -TERM $$", 143),
    ("kill -INT $$", 130), ("kill -USR1 $$", 138)])
def test_status_is_the_commands(lab, script, expected):
    assert lab.sh(script)[0] == expected


def test_command_is_found_by_path(lab):
    assert lab.finish("true")[0] == 0
    assert lab.finish("sh", "-c", "exit 3")[0] == 3


@pytest.mark.parametrize("command", ["/nonexistent/vm", "nonexistent-vm", "./plain", "/tmp"])
def test_a_command_that_cannot_be_executed(lab, command):
    (lab.folder / "plain").write_text("not a program")
    status, out, err = lab.finish(command, cwd=lab.folder)
    assert status == 1
    assert f"cannot run '{command}'" in err and err.count("\n") == 1
    assert "signal 15" in lab.log_text() or "peer gone" in lab.log_text()
    assert not alive(lab.logged_pid())


@pytest.mark.parametrize("script, detail", [
    ("#!/bin/sh\necho 'ERROR [network] no uplink' >&2; exit 1\n", "exit status 1"),
    ("#!/bin/sh\nexit 0\n", "exit status 0"),
    ("#!/bin/sh\nprintf '{\"half\": '; exit 1\n", "exit status 1"),
    ("#!/bin/sh\nkill -9 $$\n", "signal 9"),
])
def test_a_helper_that_fails(lab, script, detail):
    lab.helper_script(script)
    status, out, err = lab.sh("echo started >> $LOG")
    assert (status, out) == (1, "")
    assert detail in err
    assert ("no uplink" in err) == ("no uplink" in script)
    assert lab.log_text() == ""


def test_a_helper_that_floods_its_output_is_ended(lab):
    lab.helper_script("#!/bin/sh\nexec tr '\\0' x < /dev/zero\n")
    status, out, err = lab.sh("echo started >> $LOG")
    assert (status, out) == (1, "")
    assert lab.log_text() == ""


def test_a_helper_that_fails_but_leaves_its_output_open(lab):
    lab.helper_script("#!/bin/sh\nsleep 30 &\necho \"orphan $!\" >> $LOG\nexit 1\n")
    status, out, err = lab.sh("echo started >> $LOG")
    assert status == 1 and "exit status 1" in err
    assert not alive(lab.logged_pid("orphan"))


def test_no_helper(lab):
    (lab.bin / "vmnet-helper").unlink()
    status, out, err = lab.sh("echo started >> $LOG")
    assert (status, out) == (1, "")
    assert str(lab.bin / "vmnet-helper") in err and err.count("\n") == 1


def test_a_dead_helper_ends_the_command(lab):
    process = lab.start("/bin/sh", "-c", "echo command $$ >> $LOG; exec sleep 1000")
    command = lab.logged_pid("command")
    os.kill(lab.logged_pid(), signal.SIGKILL)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 1
    assert "vmnet-helper ended (signal 9)" in err
    assert not alive(command)


def test_a_helper_that_ends_by_itself_ends_the_command(lab):
    process = lab.start("/bin/sh", "-c", "echo command $$ >> $LOG; exec sleep 1000")
    command = lab.logged_pid("command")
    os.kill(lab.logged_pid(), signal.SIGTERM)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 1
    assert "vmnet-helper ended (exit status 0)" in err
    assert not alive(command)


def test_a_command_that_ignores_its_end_is_killed(lab):
    process = lab.start("/bin/sh", "-c", "trap '' TERM; echo command $$ >> $LOG; sleep 1000")
    command = lab.logged_pid("command")
    os.kill(lab.logged_pid(), signal.SIGKILL)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 1
    assert not alive(command)


def test_a_command_may_close_its_socket_before_it_ends(lab):
    status, out, err = lab.sh("exec 4>&-; sleep 1; exit 5")
    assert (status, err) == (5, "")


# Signals


@pytest.mark.parametrize("number, expected", [(signal.SIGTERM, 143), (signal.SIGINT, 130),
                                              (signal.SIGHUP, 129)])
@pytest.mark.parametrize("script", ["exec sleep 1000",
                                    "trap 'echo trapped >> $LOG; exit 7' TERM INT HUP; "
                                    "echo ready >> $LOG; while :; do sleep 0.05; done"])
def test_signals_reach_both(lab, number, expected, script):
    process = lab.start("/bin/sh", "-c", "echo command $$ >> $LOG; " + script)
    command = lab.logged_pid("command")
    if "trap" in script:
        lab.wait_for_log("ready")
    process.send_signal(number)
    out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, err) == (expected, "")
    log = lab.log_text()
    assert not alive(command) and not alive(lab.logged_pid())
    told = f"signal {number if number != signal.SIGHUP else signal.SIGTERM}"
    assert told in log or "peer gone" in log
    if "trap" in script:
        assert log.index("trapped") < log.index(told if told in log else "peer gone")


def test_a_signal_to_the_whole_group(lab):
    process = lab.start("/bin/sh", "-c", "trap 'exit 7' TERM; echo command $$ >> $LOG; "
                        "while :; do sleep 0.05; done")
    command = lab.logged_pid("command")
    assert os.getpgid(process.pid) == process.pid
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(timeout=LIMIT) == 143
    assert not alive(command)


def test_a_signal_before_the_network_is_there(lab):
    lab.helper(before="time.sleep(1000)")
    process = lab.start("/bin/sh", "-c", "echo command $$ >> $LOG")
    helper = lab.logged_pid()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, out) == (143, "")
    assert "command" not in lab.log_text() and "signal 15" in lab.log_text()
    assert not alive(helper)


def test_signals_blocked_or_ignored_by_the_parent(lab):
    def spoil():
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])

    process = lab.start("/bin/sh", "-c", "echo command $$ >> $LOG; exec sleep 1000",
                        preexec_fn=spoil)
    lab.logged_pid("command")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, err) == (130, "")
    assert lab.sh("exit 4", preexec_fn=spoil)[0] == 4


def test_a_stopped_command_can_be_ended(lab):
    process = lab.start("/bin/sh", "-c", "echo command $$ >> $LOG; exec sleep 1000")
    command = lab.logged_pid("command")
    os.kill(command, signal.SIGSTOP)
    wait_until(lambda: state(command) == "T", "the stop")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, err) == (143, "")


def test_kill_9_leaves_nothing(lab):
    process = lab.start("/bin/sh", "-c", "echo command $$ >> $LOG; exec sleep 1000")
    command, helper = lab.logged_pid("command"), lab.logged_pid()
    process.kill()
    process.wait(timeout=LIMIT)
    wait_until(lambda: not alive(command) and not alive(helper), "the end of both")


# The process group


def test_it_leads_a_process_group_with_both(lab):
    status, out, err = lab.sh("echo group $(ps -o pgid= -p $$) >> $LOG; "
                              "echo parent $PPID >> $LOG; exit 0")
    assert status == 0
    log = lab.log_text()
    group = re.search(r"group (\d+)", log).group(1)
    assert re.search(r"parent (\d+)", log).group(1) == group
    assert re.search(r"pgid (\d+)", log).group(1) == group


def test_what_remains_of_the_group_is_ended(lab):
    script = """
        (trap 'sleep 0.3; echo leftover ended >> $LOG; exit 0' TERM
         echo leftover ready >> $LOG
         while :; do sleep 0.05; done) &
        sleep 1000 &
        echo sleeper $! >> $LOG
        sh -c 'sleep 1000 & echo grandchild $! >> $LOG; wait' &
        while ! grep -q 'leftover ready' $LOG || ! grep -q grandchild $LOG; do sleep 0.05; done
        exit 6"""
    assert lab.sh(script)[0] == 6
    log = lab.log_text()
    assert "leftover ended" in log
    assert not alive(lab.logged_pid("sleeper")) and not alive(lab.logged_pid("grandchild"))
    # The network goes last.
    last = "signal 15" if "signal 15" in log else "peer gone"
    assert log.index("leftover ended") < log.index(last)


def test_the_helpers_own_processes_are_left_to_it(lab):
    lab.helper(before="""
import subprocess
child = subprocess.Popen(["/bin/sh", "-c", "trap 'echo child hit >> $LOG' TERM; "
                          "echo helper child $$ >> $LOG; while :; do sleep 0.05; done"],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
while "helper child" not in open(os.environ["LOG"]).read(): time.sleep(0.05)
def end(number, frame):
    say("helper ends")
    os._exit(0)
signal.signal(signal.SIGTERM, end)
""", after="while True: time.sleep(1)")
    assert lab.sh("exit 2")[0] == 2
    log = lab.log_text()
    assert log.index("helper ends") < log.index("child hit"), log
    assert not alive(int(re.search(r"helper child (\d+)", log).group(1)))


def test_what_left_the_group_stays(lab):
    status, _, _ = lab.sh("setsid sleep 1000 < /dev/null > /dev/null 2>&1 4>&- & "
                          "echo daemon $! >> $LOG; sleep 0.2; exit 0")
    daemon = lab.logged_pid("daemon")
    assert status == 0 and alive(daemon)
    os.kill(daemon, signal.SIGKILL)


def test_a_pipeline_is_not_ended(lab):
    # A shell with job control puts a pipeline into one group, led by its first program.
    script = (f"set -m; {lab.run} -- /bin/sh -c 'exit 0' | "
              "(trap 'echo hit >> $LOG' TERM; sleep 1; cat; echo whole >> $LOG)")
    done = subprocess.run(["bash", "-c", script], env=lab.env, capture_output=True, text=True,
                          timeout=LIMIT)
    assert done.stdout == JSON_LINE + "\n"
    assert "whole" in lab.log_text() and "hit" not in lab.log_text()


# Descriptors, output


def fds_of(text):
    return sorted(int(n) for n in text.split())


def test_descriptors_of_both(lab):
    lab.helper(before="say('fds ' + ' '.join(sorted(n for n in os.listdir('/proc/self/fd') "
                      "if os.path.exists('/proc/self/fd/' + n))))\n"
                      "say('stdin ' + os.readlink('/proc/self/fd/0'))")
    with open("/etc/hosts") as stray:
        os.dup2(stray.fileno(), 33)
        script = ("import os, stat, socket\n"
                  "fds = [n for n in os.listdir('/proc/self/fd') "
                  "if os.path.exists('/proc/self/fd/' + n)]\n"
                  "open(os.environ['LOG'], 'a').write('command fds ' + ' '.join(fds) + '\\n')\n"
                  "vm = socket.socket(fileno=4)\n"
                  "assert vm.family == socket.AF_UNIX and vm.type == socket.SOCK_DGRAM\n"
                  "assert vm.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) >= 212992\n"
                  "assert len(vm.recv(100)) == 14\n")
        try:
            status, out, err = lab.finish("/usr/bin/python3", "-c", script, pass_fds=[33])
        finally:
            os.close(33)
    assert (status, err) == (0, "")
    log = lab.log_text()
    # The fake helper's own: its log file is the first free one, 4.
    helper_fds = set(re.search(r"^fds (.*)", log, re.M).group(1).split())
    assert helper_fds == {"0", "1", "2", "3", "4"}, helper_fds
    assert "stdin /dev/null" in log
    assert set(re.search(r"command fds (.*)", log).group(1).split()) == {"0", "1", "2", "4"}


# --tap

SEND_TAP = ("socket.send_fds(socket.socket(fileno=os.dup(3)), [b'TAP'], "
            "[os.open('/dev/zero', os.O_RDWR)])")


def test_tap_goes_to_the_command_and_the_socket_stays(lab):
    lab.helper(after=SEND_TAP)
    status, out, err = lab.sh("readlink /proc/$$/fd/4; readlink /proc/$PPID/fd/* | grep -c socket;"
                              "readlink /proc/$PPID/fd/* | grep -c zero; ls /proc/$$/fd | wc -l",
                              options=["--tap"])
    # vmnet-run keeps its end of the socket and no copy of the device.
    assert (status, err) == (0, "")
    assert out.split("\n")[1:4] == ["/dev/zero", "1", "0"]
    assert "args --tap --fd=3" in lab.log_text() or "args --fd=3 --tap" in lab.log_text()
    lab.wait_for_log("signal")


@pytest.mark.parametrize("sent, reason", [
    ("socket.socket(fileno=os.dup(3)).send(b'TAP')", "sent no TAP device"),
    ("sys.exit(1)", "ended early"),
])
def test_tap_that_does_not_come(lab, sent, reason):
    lab.helper(after=sent)
    status, out, err = lab.sh("echo started >> $LOG", options=["--tap"])
    assert status == 1 and reason in err and "started" not in lab.log_text()


def test_end_before_the_tap_comes(lab):
    process = lab.start("/bin/sh", "-c", "echo started >> $LOG", options=["--tap"])
    assert process.stdout.readline() == JSON_LINE + "\n"
    process.terminate()
    process.communicate(timeout=LIMIT)
    assert process.returncode == 143 and "started" not in lab.log_text()


def test_the_line_passes_unchanged_and_first(lab):
    status, out, err = lab.sh("echo from the VM; exit 0")
    assert (status, out, err) == (0, JSON_LINE + "\nfrom the VM\n", "")


def test_a_long_line_in_pieces(lab):
    line = json.dumps({"long": "x" * 20000})
    lab.helper_script(textwrap.dedent(f"""\
        #!/usr/bin/python3
        import os, sys, time
        line = {line!r}
        sys.stdout.write(line[:100]); sys.stdout.flush(); time.sleep(0.3)
        sys.stdout.write(line[100:] + chr(10)); sys.stdout.flush()
        time.sleep(1000)
        """))
    status, out, err = lab.sh("exit 0")
    assert (status, out) == (0, line + "\n")


def test_stdin_is_the_commands(lab):
    process = lab.start("cat", stdin=subprocess.PIPE)
    out, err = process.communicate("typed\n", timeout=LIMIT)
    assert out == JSON_LINE + "\ntyped\n"


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_descriptors(lab, closed):
    script = f"{lab.run} -- /bin/sh -c 'ls /proc/self/fd > /dev/null; echo ran >> $LOG; exit 5' {closed}"
    done = subprocess.run(["/bin/sh", "-c", script], env=lab.env, timeout=LIMIT,
                          stdout=subprocess.PIPE, text=True)
    assert done.returncode == 5
    assert "ran" in lab.log_text()


def test_output_that_cannot_be_written(lab):
    with open("/dev/full", "w") as full:
        process = lab.start("/bin/sh", "-c", "echo ran >> $LOG", stdout=full)
        _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 1 and "standard output" in err
    assert "ran" not in lab.log_text() and not alive(lab.logged_pid())


def test_output_without_reader(lab):
    reader, writer = os.pipe()
    os.close(reader)
    process = lab.start("/bin/sh", "-c", "echo ran >> $LOG", stdout=writer)
    os.close(writer)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 1 and "EPIPE" in err
    assert "ran" not in lab.log_text() and not alive(lab.logged_pid())


def test_output_that_is_stuck_can_be_ended(lab):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        pass
    os.set_blocking(writer, True)
    process = lab.start("/bin/sh", "-c", "echo ran >> $LOG", stdout=writer)
    lab.logged_pid()
    time.sleep(0.5)
    process.terminate()
    process.communicate(timeout=LIMIT)
    os.close(reader)
    os.close(writer)
    assert process.returncode == 143 and "ran" not in lab.log_text()


# How vmnet-run itself is found


def test_found_through_links_and_path(lab, tmp_path):
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "first").symlink_to(lab.run)
    (other / "run-vm").symlink_to("first")
    assert lab.sh("exit 3", program=other / "run-vm")[0] == 3
    env = dict(lab.env, PATH=f"{other}:{lab.env['PATH']}")
    assert lab.sh("exit 3", program="run-vm", env=env)[0] == 3
    env = dict(lab.env, PATH=f"{lab.bin}:{lab.env['PATH']}")
    assert lab.sh("exit 3", program="vmnet-run", env=env)[0] == 3
    assert lab.sh("exit 3", program="./vmnet-run", cwd=lab.bin)[0] == 3
    # A helper that only PATH would find is none.
    (lab.bin / "vmnet-helper").rename(other / "vmnet-helper")
    env = dict(lab.env, PATH=f"{other}:{lab.env['PATH']}")
    assert lab.sh("exit 3", env=env)[0] == 1


def test_setuid_is_refused(lab):
    if os.getuid() != 0:
        pytest.skip("needs root")
    with tempfile.TemporaryDirectory(prefix="vmnet-run-") as folder:
        os.chmod(folder, 0o755)
        program = pathlib.Path(folder) / "vmnet-run"
        shutil.copy(BUILD / "vmnet-run", program)
        program.chmod(0o4755)
        nobody = pwd.getpwnam("nobody").pw_uid
        done = subprocess.run([program, "--version"], user=nobody, capture_output=True, text=True,
                              timeout=LIMIT)
    assert (done.returncode, done.stdout) == (1, "")
    assert "setuid" in done.stderr


# The terminal


class Shell:
    """An interactive bash on a terminal of its own."""

    def __init__(self, lab):
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            env = dict(lab.env, PS1="", PS2="", TERM="dumb")
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"], env)
        self.type("stty -echo; echo hel'lo'")
        self.expect("hello\r\n")

    def type(self, line, end="\n"):
        os.write(self.fd, (line + end).encode())

    def expect(self, text):
        deadline = time.monotonic() + LIMIT
        while text not in self.text:
            assert time.monotonic() < deadline, f"no {text!r} in {self.text!r}"
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.fd, 4096).decode(errors="replace")
                except OSError:
                    raise AssertionError(f"no {text!r} in {self.text!r}") from None
        self.text = self.text.partition(text)[2]

    def close(self):
        os.close(self.fd)
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)


@pytest.fixture
def shell(lab):
    shell = Shell(lab)
    yield shell
    shell.close()


READER = "/bin/sh -c 'echo ready; read line; echo got=$line; exit 5'"


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


# sudo


SUDO_USER = "vmnet-lab-user"
SUDO_UID = 61234

# As the real helper: starts as root, becomes the user, keeps the name and the process.
SUDO_HELPER = """\
#!/usr/bin/python3
import os, signal, socket, sys, time
log = open(os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + "/log", "a", buffering=1)
def say(text): log.write(text + "\\n")
def end(number, frame):
    say(f"signal {number}")
    os._exit(0)
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, end)
fds = [n for n in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + n)]
say("args " + " ".join(sys.argv[1:]))
say("fds " + " ".join(sorted(fds)))
try:
    os.open("/dev/tty", os.O_RDWR)
    say("has a terminal")
except OSError:
    say("has no terminal")
say(f"uid {os.getuid()} sudo uid {os.environ['SUDO_UID']}")
say(f"pid {os.getpid()}")
os.setgroups([])
os.setresgid(%d, %d, %d)
os.setresuid(%d, %d, %d)
print(%r, flush=True)
vm = socket.socket(fileno=3)
while %r:
    time.sleep(0.05)
    try:
        vm.send(b"0" * 14, socket.MSG_DONTWAIT)
    except BlockingIOError:
        pass
    except OSError:
        say("peer gone")
        sys.exit(0)
while True: time.sleep(1)
"""


class SudoLab(Lab):
    """vmnet-run started by a user of its own, who may start the helper through sudo or may not.

    Users and rules exist in a private mount namespace only.
    """

    def __init__(self, folder):
        folder.chmod(0o755)
        super().__init__(folder)
        self.log.chmod(0o666)
        self.sudo_helper()
        etc = folder / "etc"
        etc.mkdir()
        line = f"{SUDO_USER}:x:{SUDO_UID}:"
        self.append("passwd", f"{line}{SUDO_UID}::/nonexistent:/bin/sh\n")
        self.append("group", line + "\n")
        self.append("shadow", f"{SUDO_USER}:*:19000:0:99999:7:::\n")
        self.rules(allowed=True)
        binds = " && ".join(f"mount --bind {etc / name} /etc/{name}"
                            for name in ("passwd", "group", "shadow", "sudoers"))
        self.prefix = ["unshare", "-m", "--propagation", "private", "sh", "-c",
                       binds + ' && exec "$@"', "sh", "setpriv", f"--reuid={SUDO_UID}",
                       f"--regid={SUDO_UID}", "--clear-groups", "--inh-caps=-all"]

    def append(self, name, line):
        path = self.folder / "etc" / name
        shutil.copy(f"/etc/{name}", path)
        with path.open("a") as file:
            file.write(line)

    def rules(self, allowed):
        helper = self.bin / "vmnet-helper"
        path = self.folder / "etc" / "sudoers"
        path.unlink(missing_ok=True)
        path.write_text("Defaults use_pty\nroot ALL=(ALL:ALL) ALL\n" + allowed * (
            f"Defaults!{helper} closefrom_override\n"
            f"{SUDO_USER} ALL=(root) NOPASSWD: {helper}\n"))
        path.chmod(0o440)

    def sudo_helper(self, notices_peer=True):
        ids = (SUDO_UID,) * 6
        self.helper_script(SUDO_HELPER % (*ids, JSON_LINE, notices_peer))

    def start(self, *command, options=(), **popen):
        arguments = [*self.prefix, str(self.run), *options, "--", *command]
        popen = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                     text=True, env=self.env) | popen
        return subprocess.Popen(arguments, **popen)


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
