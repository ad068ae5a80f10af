"""What a namespace, the file system and the process table look like, to compare before and after."""

import difflib
import os
import pathlib
import re
import time

HOST_STATE = ("nft list ruleset; ip -d addr; ip route; ip -6 route; ip neigh show nud permanent; "
              "sysctl -a --pattern 'forward|accept_ra'")
WATCHED_FOLDERS = ("/run", "/tmp", "/var/tmp", "/dev/shm", "/opt", "/etc", "/dev/net")
# Counters that run by themselves: bridge timers and the lifetimes of learned addresses and routes.
RUNNING = re.compile(r"(\w+_timer +[\d.]+|(valid|preferred)_lft \d+sec|expires \d+sec)")


def host_state(namespace):
    """The snapshot of docs: rules, addresses, routes and forwarding settings, as text."""
    text = namespace.run("sh", "-c", HOST_STATE).stdout
    return RUNNING.sub("<timer>", text)


def files(excluded=()):
    """Paths with type and size of what lies in the folders a helper might write to."""
    found = {}
    for top in WATCHED_FOLDERS:
        for folder, folders, names in os.walk(top):
            if any(folder == str(path) or folder.startswith(f"{path}/") for path in excluded):
                folders.clear()
                continue
            for name in names + folders:
                path = os.path.join(folder, name)
                if path in map(str, excluded):
                    continue
                try:
                    status = os.lstat(path)
                except FileNotFoundError:
                    continue
                size = 0 if name in folders else status.st_size
                found[path] = (oct(status.st_mode), status.st_uid, size)
    return found


def processes():
    """pid -> command line of every process of the lab, zombies left out."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z" and command:
            found[int(entry.name)] = command
    return found


def difference(before, after):
    """A readable diff of two texts or of two dicts, empty when they are equal."""
    if before == after:
        return ""
    if isinstance(before, dict):
        before, after = ("\n".join(f"{key}: {value}" for key, value in sorted(state.items()))
                         for state in (before, after))
    return "\n".join(difflib.unified_diff(before.splitlines(), after.splitlines(),
                                          "before", "after", lineterm="", n=1))


def wait_until(condition, seconds=5.0, step=0.01):
    """Polls until `condition()` is true and returns its last value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(step)
    return value
