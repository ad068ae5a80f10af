"""vfkit's and krunkit's control: a small REST service on a Unix socket."""

from __future__ import annotations

import http.client
import json
import pathlib
import socket


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: pathlib.Path):
        super().__init__("localhost", timeout=5)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def ask_to_stop(path: pathlib.Path) -> bool:
    """POST /vm/state: the guest's power button."""
    connection = UnixConnection(path)
    try:
        connection.request("POST", "/vm/state", json.dumps({"state": "Stop"}),
                           {"Content-Type": "application/json"})
        return connection.getresponse().status in (200, 202)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
