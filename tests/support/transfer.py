"""Bytes through two kernels' TCP and UDP, compared by SHA-256 at both ends.

  transfer.py serve                              on port 9000, both families; prints "ready"
  transfer.py upload|download HOST SIZE [SEED]   exit status 0 where the digests are equal
  transfer.py datagrams HOST COUNT               of 0 to 9000 bytes, each echoed and compared
  transfer.py burst HOST SIZE COUNT              datagrams of SIZE bytes, segmented by the kernel or
                                                 its device (UDP_SEGMENT); prints how many came

What is sent is random, in writes of random sizes, so that segments of every size come about. Both
ends make it from the seed.
"""

import hashlib
import random
import socket
import socketserver
import struct
import sys
import threading

PORT = 9000
SOL_UDP, UDP_SEGMENT = 17, 103
BLOCK = 1 << 20


def chunks(size, seed):
    """`size` random bytes in pieces of 1 byte to 256 KiB."""
    source = random.Random(seed)
    block = memoryview(source.randbytes(BLOCK))
    while size:
        longest = source.choice((3, 1460, 5000, 65536, 1 << 18, 1 << 18))
        start = source.randrange(BLOCK)
        part = block[start:start + min(size, source.randint(1, longest))]
        size -= len(part)
        yield part


def expected(size, seed):
    digest = hashlib.sha256()
    for part in chunks(size, seed):
        digest.update(part)
    return digest.hexdigest()


def received(connection, size):
    digest = hashlib.sha256()
    while size:
        part = connection.recv(min(size, BLOCK))
        if not part:
            raise ConnectionError(f"{size} bytes are missing")
        digest.update(part)
        size -= len(part)
    return digest.hexdigest()


class Transfers(socketserver.BaseRequestHandler):
    """A request is one line: the client's command without the host."""

    def handle(self):
        line = b""
        while not line.endswith(b"\n"):
            line += self.request.recv(1)
        command, size, seed = line.decode().split()
        if command == "upload":
            self.request.sendall(received(self.request, int(size)).encode())
        else:
            for part in chunks(int(size), int(seed)):
                self.request.sendall(part)


class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def burst_datagram(number, size):
    return struct.pack("!I", number) + random.Random(number).randbytes(size - 4)


def serve_datagrams():
    """Echoes datagrams. Those of a burst begin with "burst": it is counted and checked instead,
    until "report SIZE" asks for the count."""
    opened = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    opened.bind(("::", PORT))
    burst = []
    while True:
        data, sender = opened.recvfrom(65536)
        if data == b"burst":
            burst = []
        if data.startswith(b"report "):
            size = int(data[7:])
            right = sum(part == burst_datagram(int.from_bytes(part[:4], "big"), size)
                        for part in burst)
            opened.sendto(f"{len(burst)} {right}".encode(), sender)
        elif data[:1] == b"\0":
            burst.append(data)
        else:
            opened.sendto(data, sender)


def serve():
    server = Server(("::", PORT), Transfers)
    threading.Thread(target=serve_datagrams, daemon=True).start()
    print("ready", flush=True)
    server.serve_forever()


def transfer(command, host, size, seed):
    with socket.create_connection((host, PORT), timeout=120) as connection:
        connection.sendall(f"{command} {size} {seed}\n".encode())
        if command == "upload":
            for part in chunks(size, seed):
                connection.sendall(part)
            connection.shutdown(socket.SHUT_WR)
            got = b"".join(iter(lambda: connection.recv(64), b"")).decode()
        else:
            got = received(connection, size)
    if got != expected(size, seed):
        sys.exit(f"{command} of {size} bytes (seed {seed}): the digests differ")


def datagram_socket(host):
    family = socket.getaddrinfo(host, PORT)[0][0]
    opened = socket.socket(family, socket.SOCK_DGRAM)
    opened.connect((host, PORT))
    return opened


def ask(opened, data):
    """Sends a datagram and returns the answer; UDP may lose one."""
    opened.settimeout(1)
    for _ in range(5):
        opened.send(data)
        try:
            return opened.recv(65536)
        except TimeoutError:
            continue
    sys.exit(f"no answer to a datagram of {len(data)} bytes")


def datagrams(host, count):
    source = random.Random(count)
    opened = datagram_socket(host)
    for _ in range(count):
        data = source.randbytes(source.choice((0, 1, 2, 7, 1472, 1473, source.randrange(9000))))
        data = b"x" + data
        if ask(opened, data) != data:
            sys.exit(f"a datagram of {len(data)} bytes came back different")


def burst(host, size, count):
    opened = datagram_socket(host)
    if ask(opened, b"burst") != b"burst":
        sys.exit("the server is not ready")
    at_once = min(60_000 // size, 40)
    for first in range(0, count, at_once):
        parts = [burst_datagram(number, size) for number in range(first, min(count, first + at_once))]
        opened.setsockopt(SOL_UDP, UDP_SEGMENT, size)
        opened.send(b"".join(parts))
        opened.setsockopt(SOL_UDP, UDP_SEGMENT, 0)
    print(ask(opened, f"report {size}".encode()).decode())


def main():
    command, *words = sys.argv[1:]
    if command == "serve":
        serve()
    elif command == "datagrams":
        datagrams(words[0], int(words[1]))
    elif command == "burst":
        burst(words[0], int(words[1]), int(words[2]))
    else:
        transfer(command, words[0], int(words[1]), int((words + ["1"])[2]))


if __name__ == "__main__":
    main()
