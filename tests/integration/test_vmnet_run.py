"""vmnet-run against fake helpers: command line, exit statuses, descriptors, output."""

import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import textwrap
import time

import pytest

from support.fake_helper import BUILD, JSON_LINE, LIMIT, FakeHelperLab, alive


@pytest.fixture
def lab(tmp_path):
    return FakeHelperLab(tmp_path)


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
    (["--socket=/tmp/x"], "--socket '/tmp/x'"),
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


@pytest.mark.parametrize("arguments", [[], ["--"], ["--verbose"], ["true", "--", "true"], ["--verbose=", "true"],
                                       ["--enable-tso", "yes", "-v", "--", "true"], ["--dns", "--"], ["--dns", "--", "true"], ["--", ""]])
def test_a_command_is_needed(lab, arguments):
    status, out, err = run_only(lab, *arguments)
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert lab.log_text() == ""


def test_dashes_before_the_command_may_be_left_out(lab):
    assert run_only(lab, "/bin/sh", "-c", "exit 3")[0] == 3
    assert run_only(lab, "-v", "--operation-mode", "host", "/bin/sh", "-c", 'exit "$2"', "--", "--fd", "5")[0] == 5
    assert run_only(lab, "--operation-mode=host", "/bin/true")[0] == 0


def test_help_and_version(lab):
    status, out, err = run_only(lab, "--help")
    assert (status, err) == (0, "")
    assert out.startswith("Usage: vmnet-run") and "--operation-mode" in out
    assert not re.search(r"--(fd|socket|list-shared-interfaces)[ ,].*  ", out)
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
