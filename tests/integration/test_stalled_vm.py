"""A VM that sends but stops reading: the other direction goes on, memory stays flat, and all is as
before once it reads again."""

import json
import pathlib
import socket
import threading

from scapy.layers.inet import UDP

from support.helper import CLONE_NEWNET, LIBC
from support.lab import TIMEOUT
from support.snapshot import wait_until

PORT = 9000
BURST = 64
ROUNDS = 200


def udp_socket(namespace):
    """A datagram socket of the namespace, in the hands of this process."""
    made = []

    def make():
        if LIBC.setns(namespace.descriptor(), CLONE_NEWNET) == 0:
            made.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    made[0].settimeout(TIMEOUT)
    return made[0]


def resident(pid):
    """KiB."""
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4


def drops(helper):
    lines = [line for line in helper.log_lines("INFO") if "[stats]" in line]
    return json.loads(lines[-1].partition("[stats] ")[2])["host"]["drops"] if lines else 0


def test_other_direction_goes_on(host, plug):
    guest = plug("--stats-interval=1")
    guest.dhcp()
    # The host is not to ask a VM that does not answer.
    host.ip(f"neigh replace {guest.ip} lladdr {guest.mac} dev vmnet-shared0 nud permanent")
    with udp_socket(host) as receiver, udp_socket(host) as sender:
        receiver.bind((guest.gateway, PORT))
        before = None
        for number in range(ROUNDS):
            for _ in range(BURST):
                sender.sendto(bytes(1400), (guest.ip, PORT))
            guest.send(bytes(guest.packet_to(guest.gateway, UDP(sport=PORT, dport=PORT) /
                                             number.to_bytes(4, "big"))))
            assert receiver.recv(100) == number.to_bytes(4, "big"), f"frame {number} did not come"
            if number == ROUNDS // 4:
                before = resident(guest.helper.worker())
        assert resident(guest.helper.worker()) - before < 1024, "KiB"
        assert wait_until(lambda: drops(guest.helper) > 0), "it was never out of room"
        guest.drain()
        guest.ping(guest.gateway)
        for size in (1, 1400):
            sender.sendto(bytes(size), (guest.ip, PORT))
            guest.expect(lambda p, size=size: UDP in p and len(p[UDP].payload) == size)
