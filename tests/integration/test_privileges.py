"""The ways to privilege, whom the helper becomes, and what is left of privilege afterwards."""

import os
import pathlib
import signal
import subprocess

import pytest

from support.checks import assert_refused
from support.helper import Helper, run_to_end, status, wait_for_no_helper
from support.installation import (CAPABLE, CAPABLE_COPY, PREFIX, ROOT, SETUID_COPY, SUDO,
                                  WAYS, CAPABILITIES, set_capabilities)
from support.lab import INTERNET, as_user, run

IDS = {"root": "0", "alice": "47001"}
EVERY_WAY = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)


def tasks(pid):
    return [status(pid, task) for task in os.listdir(f"/proc/{pid}/task")]


@EVERY_WAY
def test_works_and_ends(plug, way):
    guest = plug(way=way)
    guest.dhcp()
    guest.ping(INTERNET.web)
    guest.helper.stop()


@EVERY_WAY
def test_worker_has_nothing_left(plug, way):
    guest = plug(way=way)
    guest.dhcp()
    user = IDS[way.runs_as]
    for task in tasks(guest.helper.worker()):
        assert task["Uid"].split() == [user] * 4
        assert task["Gid"].split() == [user] * 4
        assert task["Groups"] == ""
        # Emptying the bounding set takes CAP_SETPCAP, which file capabilities leave out; without
        # new privileges it bounds nothing.
        sets = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}
        for kind in sets - ({"CapBnd"} if way is CAPABLE_COPY else set()):
            assert int(task[kind], 16) == 0, kind
        assert task["NoNewPrivs"] == "1"
        assert task["Seccomp"] == "2"


@EVERY_WAY
def test_started_process_is_the_worker(plug, way):
    """Its name, process group and session stay; unless sudo started it, the real uid does."""
    helper = plug(way=way).helper
    worker = helper.worker()
    assert pathlib.Path(f"/proc/{worker}/comm").read_text() == "vmnet-helper\n"
    if not way.sudo:
        assert worker == helper.pid
        assert os.getpgid(worker) == os.getpgid(0) and os.getsid(worker) == os.getsid(0)
        assert status(worker)["Uid"].split()[0] == IDS[way.runs_as]


@EVERY_WAY
def test_keeper_is_out_of_the_users_reach(plug, way):
    """It is root's alone: alice could kill it, or stop it with the lock in its hands, which would keep
    everybody else waiting."""
    helper = plug(way=way).helper
    keeper = helper.keeper()
    held = status(keeper)
    assert os.getsid(keeper) == keeper
    assert held["Uid"].split() == ["0"] * 4
    for signal_name in ("STOP", "KILL"):
        done = run("setpriv", *as_user("alice")[1:], "kill", f"-{signal_name}", keeper, check=False)
        assert done.returncode != 0 and "permitted" in done.stderr


@EVERY_WAY
def test_keeper_has_not_the_vms_socket(plug, way):
    """No byte that a guest wrote can reach the privileged process."""
    helper = plug(way=way).helper
    wanted = f"socket:[{helper.own_inode}]"

    def held(pid):
        return {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}

    assert wanted in held(helper.worker())
    assert wanted not in held(helper.keeper())


@pytest.mark.parametrize("way", [SETUID_COPY, CAPABLE_COPY], ids=lambda way: way.name)
def test_user_cannot_debug_the_worker(plug, way):
    worker = plug(way=way).helper.worker()
    for what in ("mem", "environ", "maps"):
        done = run(*as_user("alice"), "head", "-c", "1", f"/proc/{worker}/{what}", check=False)
        assert done.returncode != 0, what
    traced = run(*as_user("alice"), "strace", "-p", worker, check=False, timeout=10)
    assert traced.returncode != 0 and "ermi" in traced.stderr


@pytest.mark.parametrize("way", [SETUID_COPY, CAPABLE_COPY], ids=lambda way: way.name)
@pytest.mark.parametrize("lie", ["0", "47002"])
def test_sudo_uid_is_believed_from_root_only(plug, way, lie):
    helper = plug(way=way, environment={"SUDO_UID": lie, "SUDO_GID": lie}).helper
    assert status(helper.worker())["Uid"].split() == [IDS["alice"]] * 4


@pytest.mark.parametrize("uid, gid", [
    ("-1", "47001"), ("4294967295", "47001"), ("", "47001"), ("999999", "47001"), ("0x0", "0"),
    ("47001", "-1"), ("47001", "4294967295"), ("47001", ""), (" 47001", "47001"), ("+1", "1"),
    ("47001\n", "47001"), ("alice", "alice"), ("4295014297", "47001"), ("47001", None),
    (None, "47001")])
def test_strict_ids(host, uid, gid):
    """setresuid(-1, -1, -1) succeeds and changes nothing: such ids must never reach it."""
    lies = {name: value for name, value in (("SUDO_UID", uid), ("SUDO_GID", gid))
            if value is not None}
    assert_refused(run_to_end(host, way=ROOT, environment=lies), ["SUDO_"])


def test_sudo_by_root_itself(plug):
    """Root through sudo: SUDO_UID is 0, the helper stays uid 0 without capabilities."""
    helper = plug(way=ROOT, environment={"SUDO_UID": "0", "SUDO_GID": "0"}).helper
    held = status(helper.worker())
    assert held["Uid"].split() == ["0"] * 4 and int(held["CapEff"], 16) == 0


@pytest.mark.parametrize("missing", CAPABILITIES.split(","))
def test_missing_capability(host, missing):
    """Named in the error where it is needed; else the helper works and still ends up with none."""
    program = CAPABLE / "bin" / "vmnet-helper"
    set_capabilities(program, ",".join(name for name in CAPABILITIES.split(",")
                                       if name != missing))
    helper = Helper(host, way=CAPABLE_COPY)
    try:
        if helper.read_line(20):
            assert missing != "cap_net_admin"
            assert int(status(helper.worker())["CapPrm"], 16) == 0
            helper.stop()
        else:
            assert helper.wait() == 1
            assert_refused((1, helper.rest_of_stdout(), helper.stderr()), [missing.upper()])
    finally:
        helper.__exit__()
        set_capabilities(program, CAPABILITIES)


def test_user_who_is_no_sudoer(host):
    done = host.run("sudo", "--non-interactive", PREFIX / "bin" / "vmnet-helper", "--version",
                    user="mallory", check=False)
    assert done.returncode != 0


def test_sigterm_to_sudo_ends_the_helper(plug):
    """minikube signals the pid it started, which is sudo's."""
    helper = plug(way=SUDO).helper
    helper.stop(signal.SIGTERM)
    assert wait_for_no_helper()


def test_user_can_end_a_setuid_helper(plug):
    helper = plug(way=SETUID_COPY).helper
    run(*as_user("alice"), "kill", "-TERM", helper.pid)
    assert helper.wait() == 0


def test_installed_files():
    """Root's, not writable by others; a sudoers rule that sudo accepts."""
    for name in ("vmnet-helper", "vmnet-run"):
        found = (PREFIX / "bin" / name).stat()
        assert (found.st_uid, found.st_gid) == (0, 0) and found.st_mode & 0o022 == 0
    rules = list((PREFIX / "share" / "doc" / "vmnet-helper" / "sudoers.d").iterdir())
    assert rules
    for rule in rules:
        run("visudo", "-c", "-f", rule)
        text = rule.read_text()
        assert "NOPASSWD" in text and "closefrom_override" in text and "%kvm" in text


def test_helper_of_another_network_namespace_socket(lab, host):
    """A VM's socket made in another network namespace (a container's): root serves it."""
    other = lab.namespace("container")
    code = ("import os, socket, sys\n"
            "a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
            "os.set_inheritable(a.fileno(), True)\n"
            "if os.fork() == 0:\n"
            "    b.close(); os.execvp('nsenter', ['nsenter', '--net=/run/netns/host', sys.argv[1],"
            " '--fd', str(a.fileno())])\n"
            "a.close(); sys.stdin.read()\n")
    process = other.start("/usr/bin/python3", "-c", code, ROOT.helper(), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE)
    assert process.stdout.readline().startswith(b"{")
    process.stdin.close()
    assert wait_for_no_helper(5), "the VM's end was not noticed"
    process.wait(10)
    process.stdout.close()

