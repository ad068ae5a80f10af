"""The VM's end of a stream: frames one behind the other, each behind its length. It has the calls of
a socket that Guest uses, and so stands in for one of datagrams."""

import socket
import struct
import time


def framed(*frames):
    """What a stream carries for these frames."""
    return b"".join(struct.pack("!I", len(frame)) + frame for frame in frames)


class Stream:
    def __init__(self, connected):
        self.socket = connected

    @classmethod
    def to(cls, path, seconds=3.0):
        """A client of the helper's socket at `path`."""
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        opened.settimeout(seconds)
        opened.connect(str(path))
        opened.settimeout(None)
        return cls(opened)

    def fileno(self):
        return self.socket.fileno()

    def send(self, frame):
        self.socket.sendall(framed(frame))
        return len(frame)

    def send_slowly(self, data, pause=0.0005):
        """Byte by byte: each is a read of its own."""
        for byte in data:
            self.socket.sendall(bytes([byte]))
            time.sleep(pause)

    def recv(self, _size):
        """One frame; b"" at the end. Takes no byte of the next one, so that select() tells of it."""
        head = self.exactly(4)
        return self.exactly(struct.unpack("!I", head)[0]) if head else b""

    def exactly(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                assert not data, "the stream ended inside a frame"
                return b""
            data += part
        return data

    def at_end(self, seconds=3.0):
        """Whether the other end closes, whatever comes before."""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(65536):
                pass
            return True
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def close(self):
        self.socket.close()
