"""Fetching from files and from servers, friendly and hostile ones."""

import os
import socket
import tempfile
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.images.decode import ImageError
from components.images.fetch import FetchLimits, _is_public, fetch

LOCAL = FetchLimits(max_bytes=1000, timeout_s=1.0, allow_private=True)


class Handler(BaseHTTPRequestHandler):
    """Each path is a way to behave."""

    def do_GET(self):
        name = self.path.partition("?")[0].split("/")[1]
        getattr(self, name)()

    def answer(self, body=b"pixels", kind="image/png", status=200, **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def good(self):
        self.answer(self.path.encode())

    def html(self):
        self.answer(kind="text/html; charset=utf-8")

    def missing(self):
        self.answer(status=404)

    def large(self):
        self.answer(bytes(1001))

    def cut(self):
        self.answer(b"half", **{"Content-Length": "10"})

    def moved(self):
        self.answer(b"", status=302, Location="/good?x=1")

    def moved_far(self):
        raw = "/good/größe.jpg".encode().decode("latin-1")
        self.answer(b"", status=302, Location=raw)

    def circle(self):
        self.answer(b"", status=302, Location="/circle")

    def file(self):
        self.answer(b"", status=302, Location="file:///etc/passwd")

    def endless(self):
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        self.drip()

    def slow_header(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        self.drip()

    def drip(self):
        try:
            for _ in range(100):
                self.wfile.write(b"x")
                time.sleep(0.1)
        except OSError:
            pass

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_files_are_read_whole(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"12345")
    assert fetch(str(path)) == b"12345"
    with pytest.raises(ImageError, match="larger than 4 bytes"):
        fetch(str(path), FetchLimits(max_bytes=4))


def test_what_is_no_regular_file_is_neither_waited_for_nor_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "circle.png").symlink_to("circle.png")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket.png"))
    reasons = {
        "pipe.png": "is a pipe, device or socket",
        "circle.png": "cannot be read: Too many levels of symbolic links",
        "socket.png": "cannot be read: No such device or address",
        "": "is a folder",
        "b.png": "there is no such file",
        "x" * 300: "cannot be read: File name too long",
        "a\0b": "cannot be read: ValueError: embedded null byte",
        "/dev/zero": "is a pipe, device or socket",
        "nonsense://x/y.png": "cannot be read: ValueError: Unable to get filesystem",
    }
    for name, reason in reasons.items():
        with pytest.raises(ImageError) as caught:
            fetch(name if "://" in name else os.path.join(tmp_path, name))  # noqa: PTH118
        assert str(caught.value).startswith(reason)


def test_a_file_without_permission_is_an_error():
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to others
        path = Path(folder, "a.png")
        path.write_bytes(b"x")
        path.chmod(0)
        with as_nobody(folder), pytest.raises(ImageError, match="cannot be read: Permission"):
            fetch(str(path))


@contextmanager
def as_nobody(folder):
    """Without root's right to read everything."""
    Path(folder).chmod(0o755)
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_server_and_its_redirect(server):
    assert fetch(f"{server}/good?a=b", LOCAL) == b"/good?a=b"
    assert fetch(f"{server}/moved", LOCAL) == b"/good?x=1"


def test_addresses_as_people_write_them(server):
    for path in ("/good/a größe.jpg?x=ü", "/good/a%20gr%C3%B6%C3%9Fe.jpg?x=%C3%BC"):
        assert fetch(server + path, LOCAL) == b"/good/a%20gr%C3%B6%C3%9Fe.jpg?x=%C3%BC"
    assert fetch(f"{server}/moved_far", LOCAL) == b"/good/gr%C3%B6%C3%9Fe.jpg"
    plain = "/good/a.jpg?b=[1]&c='(*)'~:@!$,;+|"
    assert fetch(server + plain, LOCAL) == plain.encode()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("html", "'text/html', not an image"),
        ("missing", "answers 404"),
        ("large", "larger than 1000 bytes"),
        ("cut", "cut off: 6 bytes are missing"),
        ("circle", "more than 3 redirects"),
        ("file", "no web address"),
    ],
)
def test_what_is_not_an_image_is_an_error(server, path, message):
    with pytest.raises(ImageError, match=message):
        fetch(f"{server}/{path}", LOCAL)


@pytest.mark.parametrize("path", ["endless", "slow_header"])
def test_a_server_that_drips_is_left(server, path):
    started = time.monotonic()
    with pytest.raises(ImageError, match="not there after 1 s"):
        fetch(f"{server}/{path}", LOCAL)
    assert time.monotonic() - started < 4


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "10.0.0.1", "192.168.1.1", "169.254.169.254", "[::1]",
        "[::ffff:127.0.0.1]", "0.0.0.0", "[fe80::1]", "100.64.0.1", "224.0.0.1", "2130706433",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_refused(host):
    with pytest.raises(ImageError, match=r"not public|cannot be fetched"):
        fetch(f"http://{host}:9/x.png")


@pytest.mark.parametrize(
    ("asked", "uri"),
    [
        ("components.images.fetch.open_file", "gs://bucket/x.png"),
        ("socket.getaddrinfo", "http://example.org/x.png"),
    ],
)
def test_a_store_or_name_server_that_does_not_answer_is_left(monkeypatch, asked, uri):
    over = threading.Event()
    monkeypatch.setattr(asked, lambda *_, **__: over.wait(30))
    before = {*threading.enumerate()}
    try:
        with pytest.raises(ImageError, match=r"not there after 0.1 s"):
            fetch(uri, FetchLimits(timeout_s=0.1))
        [left] = {*threading.enumerate()} - before
        assert left.daemon  # or else the exit would wait for it
    finally:
        over.set()


def test_which_addresses_are_public():
    for address in (
        "64:ff9b::127.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::808:808", "::127.0.0.1", "::8.8.8.8",
        "fec0::1", "fec0::1%eth0", "2002:7f00:1::", "ff0e::1", "2001:db8::1", "::ffff:10.0.0.1",
    ):  # fmt: skip
        assert not _is_public(address)
    for address in ("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"):
        assert _is_public(address)


@pytest.mark.parametrize("addresses", [("8.8.8.8", "10.0.0.1"), ("10.0.0.1", "8.8.8.8")])
def test_a_host_with_any_address_that_is_not_public_is_refused(monkeypatch, addresses):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 80)) for one in addresses]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: found)
    with pytest.raises(ImageError, match=r"two.test is at 10.0.0.1, which is not public"):
        fetch("http://two.test/x.png", FetchLimits(timeout_s=1))


def test_the_address_that_was_looked_at_is_the_one_that_is_asked(server, monkeypatch):
    look_up, asked = socket.getaddrinfo, []

    def changing(host, *arguments, **options):
        asked.append(host)
        known = asked.count("changes.test") == 1 and host == "changes.test"
        return look_up("127.0.0.1" if known else host, *arguments, **options)

    monkeypatch.setattr("socket.getaddrinfo", changing)
    address = server.replace("127.0.0.1", "changes.test")
    assert fetch(f"{address}/good", LOCAL) == b"/good"
    assert asked == ["changes.test", "127.0.0.1"]


def test_a_redirect_into_the_network_is_refused(server, monkeypatch):
    looks = iter([True, False])  # what the redirect leads to is looked at anew
    monkeypatch.setattr("components.images.fetch._is_public", lambda address: next(looks))
    with pytest.raises(ImageError, match="not public"):
        fetch(f"{server}/moved", FetchLimits(timeout_s=1))
    assert list(looks) == []


@pytest.mark.parametrize(
    "url", ["http://", "http://[bad/", "http://x:99999/", "https://127.0.0.1:1/"]
)
def test_addresses_that_make_no_sense(url):
    with pytest.raises(ImageError):
        fetch(url, LOCAL)
