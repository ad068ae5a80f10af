"""The servers of the lab's internet: HTTP, DNS and echo, on every address, IPv4 and IPv6.

HTTP (80)   /            a greeting with the client's address as the server saw it
            /bytes/N     N bytes of a fixed pattern
            POST         answers with the SHA-256 of what it was sent
DNS (53)    www.lab.example A and AAAA; other names do not exist
echo (7)    TCP and UDP
Prints "ready" once all listen.
"""

import hashlib
import http.server
import ipaddress
import socket
import socketserver
import struct
import threading

NAMES = {b"www.lab.example": ("198.51.100.80", "2001:db8:80::80")}
PATTERN = bytes(range(33, 127)) * 697  # 65,518 printable bytes, no power of two
TYPE_A, TYPE_AAAA, NXDOMAIN = 1, 28, 3


def plain(address):
    """An IPv4 client of a dual-stack socket without its ::ffff: prefix."""
    parsed = ipaddress.ip_address(address)
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path.startswith("/bytes/"):
            size = int(self.path.removeprefix("/bytes/"))
            self.answer((PATTERN * (size // len(PATTERN) + 1))[:size])
        elif self.path == "/":
            self.answer(f"hello from the internet, {plain(self.client_address[0])}\n".encode())
        else:
            self.answer(b"no such page\n", 404)

    def do_POST(self):
        digest = hashlib.sha256()
        left = int(self.headers["Content-Length"])
        while left:
            part = self.rfile.read(min(left, 65536))
            if not part:
                return
            digest.update(part)
            left -= len(part)
        self.answer((digest.hexdigest() + "\n").encode())

    def log_message(self, *_):
        pass


class WebServer(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = 128

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        socketserver.TCPServer.server_bind(self)


class EchoTcp(socketserver.BaseRequestHandler):
    def handle(self):
        while part := self.request.recv(65536):
            self.request.sendall(part)


class EchoServer(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def udp_socket(port):
    """A dual-stack UDP socket that learns the address each datagram was sent to."""
    opened = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    opened.bind(("::", port))
    return opened


def serve_udp(opened, answer):
    """Answers every datagram from the address it was sent to."""
    while True:
        data, control, _, sender = opened.recvmsg(65536, 256)
        reply = answer(data)
        source = [item for item in control if item[1] == socket.IPV6_PKTINFO]
        if reply is not None:
            # Interface 0: the reply takes the route, not the address's own device.
            source = [(level, kind, packed[:16] + bytes(4)) for level, kind, packed in source]
            try:
                opened.sendmsg([reply], source, 0, sender)
            except OSError:
                pass  # the client's route is gone


def answer_name(query):
    """A DNS reply (RFC 1035) to a query with one question."""
    if len(query) < 17 or query[2] & 0x80:
        return None
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]])
        at += query[at] + 1
    question = query[12:at + 5]
    kind = struct.unpack_from("!H", query, at + 1)[0]
    addresses = NAMES.get(b".".join(labels).lower())
    records = []
    if addresses and kind in (TYPE_A, TYPE_AAAA):
        packed = ipaddress.ip_address(addresses[kind == TYPE_AAAA]).packed
        records.append(struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(packed)) + packed)
    flags = 0x8580 | (0 if addresses else NXDOMAIN)
    return query[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + question + \
        b"".join(records)


def main():
    jobs = [WebServer(("::", 80), Web).serve_forever, EchoServer(("::", 7), EchoTcp).serve_forever]
    names, echo = udp_socket(53), udp_socket(7)
    jobs += [lambda: serve_udp(names, answer_name), lambda: serve_udp(echo, lambda data: data)]
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
