"""What vmnet-run starts: it waits for the VM's command line, which the tool can only write once it has
read vmnet-run's JSON line, and becomes it.

    python3 exec_when_told.py LOG

The command line is a JSON list on standard input; an end of file instead means that there is none.
"""

import json
import os
import sys


def main() -> None:
    line = sys.stdin.readline()
    if not line:
        sys.exit(1)
    arguments = json.loads(line)
    log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        os.execvp(arguments[0], arguments)
    except OSError as error:
        sys.exit(f"{arguments[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
