"""Images by address: downloaded once, resumed where a download was cut, checked, kept in the cache.

In the cache an image's file is named after its whole address. While it is being downloaded it ends in
`.part`, with what the server said of it (its length and version) in `.part.json`: an image that changed
on the server in between starts anew.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Iterator

from .report import Failure, Progress, megabytes, step

TIMEOUT = 30  # seconds without a byte
ATTEMPTS = 5  # in a row without progress
BLOCK = 1 << 20
AGENT = "vmnet-helper-example"
# What a connection does; the time-out has a type of its own before Python 3.10.
BROKEN = (urllib.error.URLError, http.client.HTTPException, TimeoutError, socket.timeout,
          ConnectionError, ssl.SSLError)


def is_address(image: str) -> bool:
    return bool(re.match(r"https?://", image))


def check_address(address: str) -> None:
    """An address that no request can be made for is refused here, by one rule."""
    try:
        parts = urllib.parse.urlsplit(address)
        good = bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not re.fullmatch(r"[!-~]+", address):
        raise Failure(f"--image '{address}': not an address; write it as a browser shows it, with "
                      "%20 for a space")


def reason(error: Exception) -> str:
    return str(getattr(error, "reason", "") or error or type(error).__name__)


def request(address: str, **headers: str):
    return urllib.request.urlopen(urllib.request.Request(
        address, headers={"User-Agent": AGENT, **headers}), timeout=TIMEOUT)


def read_page(address: str) -> str:
    """A small text, such as a list of checksums."""
    try:
        with request(address) as answer:
            return answer.read(16 << 20).decode(errors="replace")
    except (*BROKEN, OSError) as error:
        raise Failure(f"cannot read {address}: {reason(error)}; is there a network?") from None


def cache_path(folder: pathlib.Path, address: str) -> pathlib.Path:
    name = pathlib.PurePosixPath(urllib.parse.urlparse(address).path).name
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)[-80:] or "image"
    return folder / f"{hashlib.sha256(address.encode()).hexdigest()[:16]}-{plain}"


def parse_checksum(text: str) -> tuple[str, str]:
    """'sha256:HEX' or 'sha512:HEX'; the algorithm may be left out."""
    algorithm, _, digest = text.rpartition(":")
    lengths = {"sha256": 64, "sha512": 128}
    algorithm = algorithm or next((name for name, size in lengths.items() if size == len(digest)), "")
    if not re.fullmatch(r"[0-9a-fA-F]+", digest) or lengths.get(algorithm) != len(digest):
        raise Failure(f"--checksum '{text}': give sha256:HEX or sha512:HEX")
    return algorithm, digest.lower()


def digest_of_file(path: pathlib.Path, algorithm: str) -> str:
    hasher = hashlib.new(algorithm)
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            hasher.update(block)
    return hasher.hexdigest()


def check(path: pathlib.Path, algorithm: str, digest: str, what: str) -> None:
    """Fails where the file is not what it should be."""
    found = digest_of_file(path, algorithm)
    if found != digest:
        raise Failure(f"{what}: the {algorithm} checksum is {found[:16]}..., not {digest[:16]}...: the "
                      "download is damaged or not the distributor's")


@contextlib.contextmanager
def locked(folder: pathlib.Path) -> Iterator[None]:
    """One download at a time: who waited finds the image in the cache."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    opened = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            step("Waiting for another download")
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


class Download:
    """The download of one image into its `.part` file."""

    def __init__(self, address: str, target: pathlib.Path):
        self.address = address
        self.part = target.with_name(target.name + ".part")
        self.facts_file = target.with_name(target.name + ".part.json")
        self.facts: dict = {}
        self.begun = time.monotonic()
        self.received = 0

    def have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def headers(self) -> dict[str, str]:
        """Asks for the rest, but only of the version that the first part is of."""
        with contextlib.suppress(OSError, ValueError):
            self.facts = json.loads(self.facts_file.read_text())
        version = self.facts.get("version")
        if not version or not self.have():
            return {}
        return {"Range": f"bytes={self.have()}-", "If-Range": version}

    def forget(self) -> None:
        for path in (self.part, self.facts_file):
            path.unlink(missing_ok=True)

    def begin(self, answer) -> str:
        """Looks at what the server sends; returns how to open the part."""
        length = answer.headers.get("Content-Length")
        if answer.status == 206:
            found = re.match(r"bytes (\d+)-\d+/(\d+)$", answer.headers.get("Content-Range", ""))
            if not found or int(found[1]) != self.have():
                self.forget()
                raise http.client.HTTPException("the server sends another part than asked for")
            self.facts["total"] = int(found[2])
            return "ab"
        tag = answer.headers.get("ETag", "")
        version = answer.headers.get("Last-Modified") if tag.startswith("W/") or not tag else tag
        self.facts = {"total": int(length) if length else None, "version": version}
        self.forget()
        self.need_room(self.facts["total"])
        self.facts_file.write_text(json.dumps(self.facts))
        return "wb"

    def need_room(self, total: int | None) -> None:
        free = shutil.disk_usage(self.part.parent).free
        if total and total > free:
            raise Failure(f"no space for {self.address}: it needs {megabytes(total)}, "
                          f"{self.part.parent} has {megabytes(free)}")

    def attempt(self) -> None:
        """One connection; returns when the image is complete."""
        with request(self.address, **self.headers()) as answer:
            mode = self.begin(answer)
            total, bar = self.facts["total"], Progress(self.facts["total"])
            done = self.have() if mode == "ab" else 0
            if done:
                step(f"Resuming at {megabytes(done)} of {megabytes(total)}")
            with open(self.part, mode) as file, contextlib.closing(bar):
                while block := answer.read(BLOCK):
                    file.write(block)
                    done += len(block)
                    self.received += len(block)
                    bar.show(done, self.received / max(0.001, time.monotonic() - self.begun))
        if total is not None and done != total:
            raise http.client.HTTPException(f"the connection ended at {done} of {total} bytes")

    def complete_already(self) -> bool:
        return bool(self.facts.get("total")) and self.have() == self.facts["total"]

    def run(self) -> None:
        left = ATTEMPTS
        while True:
            before = self.have()
            try:
                return self.attempt()
            except urllib.error.HTTPError as error:
                if error.code == 416 and self.complete_already():
                    return None
                if error.code < 500 and error.code not in (408, 416, 429):
                    raise Failure(f"cannot download {self.address}: {error.code} "
                                  f"{error.reason}") from None
                if error.code == 416:
                    self.forget()
                trouble: Exception = error
            except BROKEN as error:
                trouble = error
            except OSError as error:
                self.give_up(error)
            left = ATTEMPTS if self.have() > before else left - 1
            if left == 0:
                kept = f"; {megabytes(self.have())} are kept for the next try" if self.have() else ""
                raise Failure(f"cannot download {self.address}: {reason(trouble)}{kept}")
            time.sleep(0.2 * (ATTEMPTS - left + 1))

    def give_up(self, error: OSError) -> None:
        """What is wrong is this machine's: a full disk gets its room back."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            self.forget()
        raise Failure(f"cannot download {self.address}: {self.part.parent}: "
                      f"{error.strerror or error}") from None


def fetch(folder: pathlib.Path, address: str, algorithm: str = "", digest: str = "") -> pathlib.Path:
    """The image's file, from the cache or else downloaded into it; checked where there is a digest.
    Distributors publish new images at an old address: the digest tells."""
    target = cache_path(folder, address)
    with locked(folder):
        if target.exists():
            if not digest or digest_of_file(target, algorithm) == digest:
                step(f"Using the downloaded {target.name}")
                return target
            step("What is downloaded is not what the checksum is of; a newer image is there")
            target.unlink()
        download = Download(address, target)
        step(f"Downloading {address}")
        download.run()
        if digest:
            try:
                check(download.part, algorithm, digest, address)
            except Failure:
                download.forget()
                raise
            step(f"Checked: {algorithm} {digest[:16]}...")
        else:
            step("Not checked: no checksum was given (--checksum)")
        download.part.replace(target)
        download.facts_file.unlink(missing_ok=True)
        step(f"Downloaded {megabytes(target.stat().st_size)}")
    return target
