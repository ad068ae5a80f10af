"""A web server with a folder's files, which resumes downloads as distributors' servers do and can be
told to misbehave.

    web_server.py ADDRESS PORT FOLDER [--cut-after BYTES] [--slow] [--no-length] [--no-ranges]

    --cut-after N   the first connection of each file ends after N bytes
    --slow          4 MB a second
    --no-length     nothing tells how long a file is
    --no-ranges     always sends the whole file

Prints "ready" once it listens.
"""

import argparse
import http.server
import pathlib
import re
import time

BLOCK = 1 << 16


class Files(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.server.folder / self.path.partition("?")[0].lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        self.close_connection = True
        data = path.read_bytes()
        tag = f'"{path.stat().st_mtime_ns}-{len(data)}"'
        start = self.range_start(tag)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if not self.server.options.no_length:
            self.send_header("Content-Length", str(len(data) - start))
        self.send_header("ETag", tag)
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            self.send(path.name, data[start:])
        except (BrokenPipeError, ConnectionResetError):
            pass

    def range_start(self, tag):
        found = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", tag) == tag
        return int(found[1]) if found and same and not self.server.options.no_ranges else 0

    def send(self, name, data):
        options = self.server.options
        if options.cut_after and name not in self.server.cut:
            self.server.cut.add(name)
            data = data[:options.cut_after]
        for start in range(0, len(data), BLOCK):
            self.wfile.write(data[start:start + BLOCK])
            if options.slow:
                time.sleep(BLOCK / 4e6)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address, folder, options):
        super().__init__(address, Files)
        self.folder = pathlib.Path(folder)
        self.options = options
        self.cut = set()


def parse(words=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("folder")
    parser.add_argument("--cut-after", type=int, default=0)
    for name in ("--slow", "--no-length", "--no-ranges"):
        parser.add_argument(name, action="store_true")
    return parser.parse_args(words)


if __name__ == "__main__":
    given = parse()
    server = Server((given.address, given.port), given.folder, given)
    print("ready", flush=True)
    server.serve_forever()
