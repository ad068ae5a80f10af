"""Records the frames of a device in a namespace: `with Sniffer(lab.internet, "uplink1") as seen`.

As a program (run inside the namespace) it prints each frame of a device as a line of hex digits.
"""

import socket
import subprocess
import sys
import threading

ETH_P_ALL = 3


class Sniffer:
    def __init__(self, namespace, device):
        from support.lab import PYTHON, SUPPORT
        self.frames = []
        self.namespace = namespace
        self.command = [PYTHON, SUPPORT / "sniffer.py", device]

    def __enter__(self):
        self.process = self.namespace.start(*self.command, stdout=subprocess.PIPE, text=True,
                                            stdin=subprocess.DEVNULL)
        assert self.process.stdout.readline() == "ready\n"
        self.reader = threading.Thread(target=self.collect, daemon=True)
        self.reader.start()
        return self

    def collect(self):
        for line in self.process.stdout:
            self.frames.append(bytes.fromhex(line))

    def packets(self):
        """What was recorded until now, as scapy packets."""
        from scapy.layers.l2 import Ether
        import scapy.layers.inet  # noqa: F401 - teaches Ether what it carries
        import scapy.layers.inet6  # noqa: F401 - and IPv6
        return [Ether(frame) for frame in list(self.frames)]

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()


def main():
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    opened.bind((sys.argv[1], 0))
    print("ready", flush=True)
    while True:
        print(opened.recv(70000).hex(), flush=True)


if __name__ == "__main__":
    main()
