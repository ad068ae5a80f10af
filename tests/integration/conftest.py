"""What every end-to-end test starts from: the lab, a fresh host, and proof that nothing is left."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import zlib

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from support import installation, snapshot  # noqa: E402
from support.example_tool import Tool  # noqa: E402
from support.guest import Guest  # noqa: E402
from support.helper import Helper  # noqa: E402
from support.lab import REPOSITORY, WORK, Lab, require_lab  # noqa: E402
from support.native_tap import native_guest  # noqa: E402
from support.rules_lab import RULES_TOOL  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--shard", default="1/1", metavar="K/N",
                     help="run the K-th of N shares of the tests, chosen by name")


def pytest_configure(config):
    require_lab()
    # A shell without job control starts what is in its background with these ignored, and the
    # programs under test would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(config, items):
    share, shares = map(int, config.getoption("--shard").split("/"))
    other = [item for item in items if zlib.crc32(item.nodeid.encode()) % shares != share - 1]
    if other:
        config.hook.pytest_deselected(items=other)
        items[:] = [item for item in items if item not in set(other)]


@pytest.fixture(scope="session")
def session_lab():
    installation.install()
    installation.install_sudoers_rule()
    with Lab() as lab:
        yield lab


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """Ends a test that hangs: what is slow is marked so."""
    seconds = 1200 if item.get_closest_marker("slow") else 120

    def overdue(*_):
        raise TimeoutError(f"the test did not end within {seconds} s")

    signal.signal(signal.SIGALRM, overdue)
    signal.alarm(seconds)
    yield
    signal.alarm(0)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Lets fixtures see whether the test itself failed."""
    outcome = yield
    if call.when == "call":
        item.failed = outcome.get_result().failed


@pytest.fixture
def lab(session_lab, request):
    """The lab with a fresh host. After the test the host, the files and the processes must be as
    they were before it."""
    if session_lab.host is None:
        session_lab.make_host()
    else:
        session_lab.drop_host()
        session_lab.make_host()
    excluded = (WORK, REPOSITORY, "/run/netns", "/etc/netns", "/run/sudo", "/tmp/pytest-of-root")
    before = (snapshot.host_state(session_lab.host), snapshot.files(excluded),
              snapshot.processes())
    yield session_lab
    for namespace in session_lab.others:
        namespace.close()
    session_lab.others = []
    residue = []
    snapshot.wait_until(lambda: set(snapshot.processes()) <= set(before[2]), 3)
    for pid, command in snapshot.processes().items():
        if pid not in before[2]:
            residue.append(f"process {pid}: {command}")
            os.kill(pid, signal.SIGKILL)
    residue.append(snapshot.difference(before[0], snapshot.host_state(session_lab.host)))
    residue.append(snapshot.difference(before[1], snapshot.files(excluded)))
    session_lab.drop_host()
    left = "\n".join(part for part in residue if part)
    # What a failed test left is no news.
    if left and not getattr(request.node, "failed", True):
        pytest.fail(f"the test left something behind:\n{left}", pytrace=False)


@pytest.fixture
def host(lab):
    """The namespace where helpers run."""
    return lab.host


@pytest.fixture
def lan(lab):
    """A network behind another device of the host; it and the internet know each other."""
    yield lab.make_lan()
    lab.drop_lan()


@pytest.fixture
def start(host):
    """Starts a helper that is ended with the test: start(*options, way=..., path=...)."""
    started = []

    def launch(*options, ready=True, **arguments):
        helper = Helper(host, *options, **arguments)
        started.append(helper)
        return helper.ready() if ready else helper

    yield launch
    for helper in reversed(started):
        helper.__exit__()


@pytest.fixture
def held_lock(host):
    """The network's lock in somebody's hands; set it free by closing its standard input."""
    holder = host.start(RULES_TOOL, "lock", "1000", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout.readline().startswith(b"locked")
    yield holder
    holder.stdin.close()
    holder.wait(10)


@pytest.fixture
def plug(start):
    """Starts a helper with a stand-in VM on its socket: plug(*options) returns the Guest, whose
    `helper` is the Helper. The VM has no address yet."""

    def make(*options, mac=None, **arguments):
        helper = start(*options, **arguments)
        guest = Guest(helper.vm, mac or helper.json["vmnet_mac_address"])
        guest.helper = helper
        return guest

    return make


@pytest.fixture
def plug_tap(start):
    """As `plug`, with --tap: the VM holds the device itself."""
    guests = []

    def make(*options, mac=None, **arguments):
        guest = native_guest(start("--tap", *options, **arguments), mac)
        guests.append(guest)
        return guest

    yield make
    for guest in guests:
        guest.socket.close()


@pytest.fixture(params=["socket", "tap"])
def plug_either(request):
    """`plug` and `plug_tap` in turn: what holds for a VM holds for one that has its device itself."""
    return request.getfixturevalue({"socket": "plug", "tap": "plug_tap"}[request.param])


@pytest.fixture
def folder():
    """A folder where every user may make files, as /tmp is; gone after the test."""
    made = pathlib.Path(tempfile.mkdtemp(dir=WORK))
    made.chmod(0o1777)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def alice_folder():
    """A folder of alice's, gone after the test."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=WORK / "home" / "alice"))
    shutil.chown(folder, "alice", "alice")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def tool(host, alice_folder):
    """The example tool as alice uses it, with a home of its own."""
    made = Tool(host, alice_folder / "home")
    yield made
    made.close()
