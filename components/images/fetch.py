"""Reads image files by URI; from the web only as much, as long and from where it is allowed.

A list of addresses is input like any other: it must not be a way into the network of whoever runs
the job. So names are resolved here, every address has to be public, and the connection is made to
the address that was looked at: a second look-up could give another one. Redirects go the same way.
"""

import http.client
import ipaddress
import os
import socket
import ssl
import stat
import string
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, TypeVar
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from components.files import is_remote, open_file
from components.images.decode import ImageError

_quoted = partial(quote, safe=string.punctuation)
"""As browsers send what people write: spaces and letters beyond ASCII only are encoded."""
_T = TypeVar("_T")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""Addresses behind which a gateway reaches those of IPv4. Source: RFC 6052, section 2.1."""
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""The only IPv6 addresses that are given to anybody. Source: RFC 4291, section 2.4."""
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class FetchLimits:
    """What a fetch may cost."""

    max_bytes: int = 32 * 2**20
    """Of one file."""
    timeout_s: float = 20.0
    """Seconds for one file, redirects included; local files take what they take."""
    max_redirects: int = 3
    allow_private: bool = False
    """Also fetch from addresses that are not public: loopback, private networks, link-local."""


def fetch(uri: str, limits: FetchLimits | None = None) -> bytes:
    """Reads a local path, a URI of a Beam filesystem, or an http(s) address.

    A filesystem such as gs:// is asked with the credentials of whoever runs this.

    Raises:
      ImageError: it is missing, too large, too slow, not an image by its type, or not public.
    """
    limits = limits or FetchLimits()
    if is_web(uri):
        return _fetch_web(uri, limits)
    try:
        read = partial(_read, uri, limits.max_bytes + 1)
        deadline = time.monotonic() + limits.timeout_s
        content = _in_time(read, deadline, limits) if is_remote(uri) else read()
    except FileNotFoundError:
        raise ImageError("there is no such file") from None
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror or error}") from None
    except ImageError:
        raise
    except Exception as error:  # a name that no file can have, or whatever a remote store says
        raise ImageError(f"cannot be read: {type(error).__name__}: {error}") from None
    if len(content) > limits.max_bytes:
        raise ImageError(f"larger than {limits.max_bytes} bytes")
    return content


def is_web(uri: str) -> bool:
    """Whether it is an http(s) address."""
    return uri.lower().startswith(("http://", "https://"))


def open_regular(uri: str) -> BinaryIO:
    """Opens a file that ends: a pipe would be waited for, and a device be read for ever.

    Raises:
      ImageError: it is something else.
      OSError: it is missing or cannot be read.
    """
    if is_remote(uri):
        return open_file(uri)
    number = os.open(uri, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(number).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(number, "rb")
    os.close(number)
    raise ImageError("is a folder" if stat.S_ISDIR(mode) else "is a pipe, device or socket")


def _read(uri: str, most: int) -> bytes:
    with open_regular(uri) as file:
        return file.read(most)


def _in_time(work: Callable[[], _T], deadline: float, limits: FetchLimits) -> _T:
    """What the work gives; it is left alone when that is too late, and no exit waits for it."""
    future = Future[_T]()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    left = _left(deadline, limits)
    threading.Thread(target=run, daemon=True).start()  # those of a pool are waited for at the exit
    if not wait([future], left).done:
        raise ImageError(f"not there after {limits.timeout_s:g} s")
    return future.result()


def _fetch_web(url: str, limits: FetchLimits) -> bytes:
    deadline = time.monotonic() + limits.timeout_s
    try:
        for _ in range(limits.max_redirects + 1):
            found = _get(urlsplit(url), limits, deadline)
            if isinstance(found, bytes):
                return found
            url = urljoin(url, found)
            if urlsplit(url).scheme not in ("http", "https"):
                raise ImageError(f"redirects to {url!r}, which is no web address")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ImageError(f"cannot be fetched: {type(error).__name__}: {error}") from None
    raise ImageError(f"more than {limits.max_redirects} redirects")


def _get(url: SplitResult, limits: FetchLimits, deadline: float) -> bytes | str:
    """The content, or the address of a redirect."""
    if not url.hostname:
        raise ImageError("the address has no host")
    connection = http.client.HTTPConnection(url.hostname, _port(url))
    try:
        with _cut_at(deadline, limits, _socket(url, limits, deadline)) as connection.sock:
            path = url._replace(scheme="", netloc="", fragment="").geturl() or "/"
            connection.request("GET", _quoted(path), headers={"Accept": "image/*"})
            return _content(connection.getresponse(), limits)
    finally:
        connection.close()


def _content(response: http.client.HTTPResponse, limits: FetchLimits) -> bytes | str:
    if response.status in _REDIRECTS and (target := response.getheader("Location")):
        return _quoted(target.encode("latin-1"))  # the bytes: servers mean UTF-8
    if response.status != 200:
        raise ImageError(f"the server answers {response.status} {response.reason}")
    kind = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
    if not kind.startswith("image/") and kind != "application/octet-stream":
        raise ImageError(f"the server says that it is {kind or 'nothing'!r}, not an image")
    content = response.read(limits.max_bytes + 1)
    if len(content) > limits.max_bytes:
        raise ImageError(f"larger than {limits.max_bytes} bytes")
    if response.length:  # promised and not sent; of a chunked answer `read` says it itself
        raise ImageError(f"cut off: {response.length} bytes are missing")
    return content


@contextmanager
def _cut_at(deadline: float, limits: FetchLimits, sock: socket.socket) -> Iterator[socket.socket]:
    """Ends the connection at the deadline: a time-out of its own is one for each single byte."""
    too_late = threading.Event()

    def cut() -> None:
        too_late.set()
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(_left(deadline, limits), cut)
    timer.daemon = True
    timer.start()
    try:
        yield sock
    finally:
        timer.cancel()
        if too_late.is_set():  # instead of whatever the cut has looked like
            raise ImageError(f"not there after {limits.timeout_s:g} s") from None


def _socket(url: SplitResult, limits: FetchLimits, deadline: float) -> socket.socket:
    host = str(url.hostname)
    address = _in_time(partial(_address, host, _port(url), limits), deadline, limits)
    plain = socket.create_connection(address, timeout=_left(deadline, limits))
    if url.scheme == "http":
        return plain
    # The certificate is checked against the name, not against the address.
    return ssl.create_default_context().wrap_socket(plain, server_hostname=host)


def _port(url: SplitResult) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _address(host: str, port: int, limits: FetchLimits) -> tuple[str, int]:
    """An address of the host; all of them must be public, else the answer may be a trap."""
    found: list[Any] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not limits.allow_private and not _is_public(address):
            raise ImageError(
                f"{host} is at {address}, which is not public; allow_private=True or "
                "--allow-private allows it"
            )
    return addresses[0], port


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour
        if parsed in _NAT64:
            inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if inner is None:  # of what is no unicast, `is_global` says yes where it is not forbidden
            return parsed in _GLOBAL_UNICAST and parsed.is_global
        parsed = inner
    return parsed.is_global and not parsed.is_multicast


def _left(deadline: float, limits: FetchLimits) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise ImageError(f"not there after {limits.timeout_s:g} s")
    return left
