"""The example tool's parts, tested without a VM and without the lab."""

import pathlib
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(REPOSITORY / "examples"), str(pathlib.Path(__file__).parent)]
