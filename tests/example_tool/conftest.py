"""The example tool's parts, tested without a VM and without the lab."""

import pathlib
import signal
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(REPOSITORY / "examples"), str(pathlib.Path(__file__).parent)]


def pytest_configure():
    # A shell without job control starts what is in its background with it ignored, and the tool under
    # test would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
