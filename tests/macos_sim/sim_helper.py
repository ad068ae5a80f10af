"""A helper on the simulated system, and frames for it.

Every broken rule of the simulated system ends the helper with status 86, so each test that asks for
status 0 or 1 proves that none was broken.
"""

import json
import os
import pathlib
import signal
import socket
import struct
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
HELPER = pathlib.Path(os.environ.get("MACOS_SIM_BUILD", ROOT / "build/macos-sim")) / "vmnet-helper"
GATEWAY = bytes.fromhex("0e0000000001")
STATION = bytes.fromhex("0e0000000002")
VM = bytes.fromhex("020000000042")
BROADCAST = b"\xff" * 6
ID = "6A1C2E30-0000-4000-8000-000000000001"


class Helper:
    def __init__(self, *options, sim=""):
        self.vm, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.vm.settimeout(10)
        with end:
            self.process = subprocess.Popen(
                [HELPER, f"--fd={end.fileno()}", *options], pass_fds=[end.fileno()], text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "MACOS_SIM": sim})

    def ready(self):
        line = self.process.stdout.readline()
        assert line, self.finish()
        return json.loads(line)

    def finish(self):
        """Exit status and standard error."""
        _, errors = self.process.communicate(timeout=30)
        self.vm.close()
        return self.process.returncode, errors

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.finish()

    def exchange(self, frame):
        self.vm.send(frame)
        return self.vm.recv(70000)


def frame(target, kind, payload):
    return target + VM + struct.pack("!H", kind) + payload


def arp_request(address):
    return frame(BROADCAST, 0x0806, struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, VM,
                                                socket.inet_aton("192.168.64.9"), b"\0" * 6,
                                                socket.inet_aton(address)))


def ping(address):
    icmp = struct.pack("!BBHHH", 8, 0, 0xf7fe, 0, 1)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 1, 0,
                         socket.inet_aton("192.168.64.9"), socket.inet_aton(address))
    return frame(GATEWAY, 0x0800, header + icmp)


def refused(*options, sim=""):
    helper = Helper(*options, sim=sim)
    output = helper.process.stdout.readline()
    status, errors = helper.finish()
    assert status == 1 and output == "", (status, errors, output)
    assert errors.count("ERROR") == 1
    return errors


def works(helper):
    helper.ready()
    assert helper.exchange(frame(STATION, 0x88b6, b"hello" * 20))[14:] == b"hello" * 20
    status, errors = helper.stop()
    assert status == 0, errors
    return errors
