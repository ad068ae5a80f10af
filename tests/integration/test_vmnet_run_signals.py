"""vmnet-run against fake helpers: signals and the process group."""

import os
import re
import signal
import subprocess

import pytest

from support.fake_helper import JSON_LINE, LIMIT, FakeHelperLab, alive, state, wait_until


@pytest.fixture
def lab(tmp_path):
    return FakeHelperLab(tmp_path)


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
