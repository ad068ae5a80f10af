"""vmnet-run beside a fake vmnet-helper: what its tests need, no network among it.

A fake helper is a script beside a copy of vmnet-run. As root, vmnet-run starts it directly; real
sudo is met in a mount namespace with users and rules of its own (SudoLab).
"""

import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import time

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


class FakeHelperLab:
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


class SudoLab(FakeHelperLab):
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
