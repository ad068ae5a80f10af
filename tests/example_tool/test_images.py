"""Downloads from a server on loopback, and the distributors' lists of checksums."""

import hashlib
import http.client
import json
import threading

import pytest
from vmtool import create, distributions, images
from vmtool.report import Failure
from web_server import Server, parse

CONTENT = bytes(range(256)) * 20000  # 5 MB
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """serve(*options) serves CONTENT and returns its address."""
    monkeypatch.setattr(images.time, "sleep", lambda _: None)
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "disk.qcow2").write_bytes(CONTENT)
    servers = []

    def start(*options):
        server = Server(("127.0.0.1", 0), folder, parse(["", "0", str(folder), *options]))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}/disk.qcow2"

    start.folder = folder
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def files(cache):
    return sorted(path.name for path in cache.iterdir())


@pytest.mark.parametrize("options", [[], ["--no-length"], ["--no-ranges"]])
def test_download(serve, cache, options):
    path = images.fetch(cache, serve(*options), "sha256", DIGEST)
    assert path.read_bytes() == CONTENT and files(cache) == [path.name]


def test_the_cache_is_by_address(serve, cache):
    address = serve()
    path = images.fetch(cache, address)
    path.write_bytes(b"kept")
    assert images.fetch(cache, address) == path and path.read_bytes() == b"kept"
    assert images.fetch(cache, address + "?2") != path


def test_a_newer_image_at_the_same_address(serve, cache, capsys):
    """As Debian's "latest": the distributor's checksum is another one now."""
    address = serve()
    images.fetch(cache, address).write_bytes(b"of last month")
    assert images.fetch(cache, address, "sha256", DIGEST).read_bytes() == CONTENT
    assert "a newer image is there" in capsys.readouterr().out


def test_without_a_network_the_image_of_before(serve, cache, monkeypatch, capsys):
    address = serve()
    pages = {"read": lambda _: f"{hashlib.sha512(CONTENT).hexdigest()}  disk.qcow2\n"}

    def found(arch, read):
        text = read(f"{address}.sums")
        return distributions.Image(address, "sha512", distributions.digest_of(text, "disk.qcow2"))

    def offline(_):
        raise Failure("cannot read the page")

    monkeypatch.setitem(distributions.DISTRIBUTIONS, "debian", distributions.Distribution("d", found))
    monkeypatch.setattr(images, "read_page", lambda page: pages["read"](page))
    image = create.find("debian", "x86_64", cache)
    pages["read"] = offline
    with pytest.raises(Failure, match="cannot read the page"):
        create.find("debian", "x86_64", cache)  # known, but not here
    path = images.fetch(cache, image.address, image.algorithm, image.digest)
    assert create.find("debian", "x86_64", cache) == image and path.exists()
    assert "Taking the image of before" in capsys.readouterr().out
    with pytest.raises(Failure):
        create.find("debian", "aarch64", cache)


@pytest.mark.parametrize("options", [[], ["--no-ranges"]])
def test_cut_connection(serve, cache, options, capsys):
    path = images.fetch(cache, serve("--cut-after", "3000000", *options), "sha256", DIGEST)
    assert path.read_bytes() == CONTENT
    assert ("Resuming at 3 MB of 5 MB" in capsys.readouterr().out) == (not options)


def leave_part(cache, address, version, size=2000000):
    cache.mkdir()
    part = images.cache_path(cache, address)
    part.with_name(part.name + ".part").write_bytes(CONTENT[:size])
    part.with_name(part.name + ".part.json").write_text(json.dumps(
        {"total": len(CONTENT), "version": version}))


def test_image_that_changed_meanwhile_starts_anew(serve, cache, capsys):
    address = serve()
    leave_part(cache, address, '"of yesterday"')
    assert images.fetch(cache, address).read_bytes() == CONTENT
    assert "Resuming" not in capsys.readouterr().out


def test_part_without_its_facts_starts_anew(serve, cache):
    address = serve()
    leave_part(cache, address, None)
    assert images.fetch(cache, address).read_bytes() == CONTENT


def test_server_that_always_cuts(serve, cache, monkeypatch):
    """What has come is kept; another try goes on from there."""
    address = serve()
    attempts = []

    def cut(self, name, data):
        attempts.append(len(data))
        self.wfile.write(data[:1000000] if len(attempts) == 1 else b"")

    with monkeypatch.context() as patched:
        patched.setattr("web_server.Files.send", cut)
        with pytest.raises(Failure, match=r"cannot download .*: the connection ended at 1000000 of "
                                          r"5120000 bytes; 1 MB are kept for the next try"):
            images.fetch(cache, address)
    assert len(attempts) == 1 + images.ATTEMPTS
    assert images.fetch(cache, address, "sha256", DIGEST).read_bytes() == CONTENT


def test_wrong_checksum_is_thrown_away(serve, cache):
    with pytest.raises(Failure, match="damaged or not the distributor's"):
        images.fetch(cache, serve(), "sha256", "0" * 64)
    assert files(cache) == []


def test_server_that_sends_another_part(serve, cache, monkeypatch):
    address = serve()
    leave_part(cache, address, '"x"')
    answers = []

    class Answer:
        status, headers = 206, {"Content-Range": "bytes 0-9/5120000"}

    download = images.Download(address, images.cache_path(cache, address))
    download.headers()
    with pytest.raises(http.client.HTTPException, match="another part"):
        answers.append(download.begin(Answer()))
    assert download.have() == 0  # and so the next attempt asks for all


def test_nobody_there(cache, monkeypatch):
    monkeypatch.setattr(images.time, "sleep", lambda _: None)
    with pytest.raises(Failure, match=r"cannot download http://127.0.0.1:9/x: .*refused"):
        images.fetch(cache, "http://127.0.0.1:9/x")
    with pytest.raises(Failure, match="is there a network"):
        images.read_page("http://127.0.0.1:9/x")


@pytest.mark.parametrize("text, expected", [
    (f"sha256:{'A' * 64}", ("sha256", "a" * 64)), ("b" * 64, ("sha256", "b" * 64)),
    ("c" * 128, ("sha512", "c" * 128)), (f"sha512:{'d' * 128}", ("sha512", "d" * 128))])
def test_checksums(text, expected):
    assert images.parse_checksum(text) == expected


@pytest.mark.parametrize("text", ["", "sha256:", f"sha256:{'a' * 63}", f"md5:{'a' * 32}", "z" * 64,
                                  f"sha512:{'a' * 64}"])
def test_no_checksums(text):
    with pytest.raises(Failure, match="give sha256:HEX"):
        images.parse_checksum(text)


# The catalog: pages as the distributors have them, with digests made up

def pages(content):
    def read(address):
        return content[next(part for part in content if address.endswith(part))]
    return read


def test_debian_and_ubuntu():
    debian = distributions.debian("aarch64", pages({"/SHA512SUMS": (
        f"{'1' * 128}  debian-13-generic-amd64.qcow2\n{'2' * 128}  debian-13-generic-arm64.qcow2\n")}))
    assert debian.address.endswith("/debian-13-generic-arm64.qcow2") and debian.digest == "2" * 128
    ubuntu = distributions.ubuntu("x86_64", pages({"/SHA256SUMS": (
        f"{'3' * 64} *ubuntu-26.04-server-cloudimg-amd64.img\n"
        f"{'4' * 64} *ubuntu-26.04-server-cloudimg-amd64.img.manifest\n")}))
    assert (ubuntu.algorithm, ubuntu.digest) == ("sha256", "3" * 64)


def fedora_entry(version, arch="x86_64", variant="Cloud", name="Generic"):
    link = f"https://example.org/{version}/Fedora-Cloud-Base-{name}-{version}.{arch}.qcow2"
    return {"version": version, "arch": arch, "variant": variant, "link": link, "sha256": version * 32}


def test_fedora_takes_the_newest_release():
    page = json.dumps([fedora_entry("41"), fedora_entry("42"), fedora_entry("43 Beta"),
                       fedora_entry("44", arch="aarch64"), fedora_entry("45", variant="Server"),
                       fedora_entry("46", name="AmazonEC2")])
    found = distributions.fedora("x86_64", pages({"releases.json": page}))
    assert "/42/" in found.address and found.digest == "42" * 32
    for broken in ("", "[]", "{}", '[{"version": 1}]'):
        with pytest.raises(Failure, match="no Cloud image"):
            distributions.fedora("x86_64", pages({"releases.json": broken}))


def test_alpine_takes_the_newest_release():
    listing = "".join(f'<a href="{name}">{name}</a>\n' for name in (
        "nocloud_alpine-3.23.9-aarch64-uefi-cloudinit-r0.qcow2",
        "nocloud_alpine-3.23.10-aarch64-uefi-cloudinit-r0.qcow2",
        "nocloud_alpine-3.23.10-aarch64-uefi-cloudinit-r0.qcow2.sha512",
        "nocloud_alpine-3.23.11-aarch64-uefi-tiny-r0.qcow2",
        "generic_alpine-3.23.12-aarch64-uefi-cloudinit-r0.qcow2",
        "nocloud_alpine-3.23.13-x86_64-bios-cloudinit-r0.qcow2"))
    found = distributions.alpine("aarch64", pages({"/cloud/": listing, ".sha512": "5" * 128 + "\n"}))
    assert found.address.endswith("/nocloud_alpine-3.23.10-aarch64-uefi-cloudinit-r0.qcow2")
    assert found.digest == "5" * 128
    for listing, digest in (("<html>", "5" * 128), (listing, "<html>")):
        with pytest.raises(Failure):
            distributions.alpine("x86_64", pages({"/cloud/": listing, ".sha512": digest}))


def test_bsd_checksums_and_missing_ones():
    assert distributions.digest_of(f"SHA256 (a.img) = {'6' * 64}\n", "a.img") == "6" * 64
    with pytest.raises(Failure, match="do not name a.img"):
        distributions.digest_of(f"{'6' * 64}  other-a.img\n", "a.img")
