"""Fetches files from addresses that callers name, and posts webhooks to them (decision 0020).

Never from inside, and never to it.

A name is resolved once, each of its addresses is checked, and a checked address is what is
connected to: so a name cannot answer twice, with a public address for the check and an inner one
for the connection. Redirects are new addresses, checked anew.
"""

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from ipaddress import ip_address, ip_network
from urllib.parse import quote, urljoin, urlsplit

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse

from afterword.errors import AfterwordError

MAX_BYTES = 10_000_000
"""Of a file."""
SECONDS = 20.0
"""For all of it: names, connections, redirects and the file."""
MAX_REDIRECTS = 3
MAX_URL = 8_000
"""Characters."""
REPLY_BYTES = 65_536
"""Of the answer to what was posted."""

HTTPS_PORT = 443
_HTTP_PORT = 80
_CONNECT_SECONDS = 5.0
_CHUNK = 65_536
_HEADERS = {"User-Agent": "afterword/0.1.0", "Accept": "*/*", "Accept-Encoding": "identity"}
_POST_HEADERS = {"User-Agent": "afterword/0.1.0", "Accept-Encoding": "identity"}
_REDIRECTS = frozenset(
    {
        HTTPStatus.MOVED_PERMANENTLY,
        HTTPStatus.FOUND,
        HTTPStatus.SEE_OTHER,
        HTTPStatus.TEMPORARY_REDIRECT,
        HTTPStatus.PERMANENT_REDIRECT,
    }
)
_URL = re.compile(rf"[^\x00-\x20\x7f-\x9f\\]{{1,{MAX_URL}}}")
_IDNA_2003_ONLY = re.compile("[\u00df\u03c2\u200c\u200d]")
"""What Python's IDNA makes another name of than browsers do: ß, ς and two joiners."""
_IN_A_PATH = "%/?:@!$&'()*+,;=~[]"

_INTERNET = tuple(map(ip_network, ("0.0.0.0/0", "2000::/3")))
"""Outside of 2000::/3 IPv6 has no public addresses: ::1, IPv4-mapped ones, 64:ff9b::/96, fc00::/7,
fe80::/10, fec0::/10, ff00::/8, … https://www.iana.org/assignments/ipv6-address-space
"""
_NOT_PUBLIC = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this host
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # shared by carriers, and by clouds
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local: the credentials of instances and containers
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
            "2001::/23",  # protocol assignments; Teredo, which has an IPv4 address in it
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, which has an IPv4 address in it
            "3fff::/20",  # documentation
        ),
    )
)
"""https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry."""

type Resolve = Callable[[str, int], Sequence[str]]
"""Returns the IP addresses of a host; raises OSError if there are none."""


class FetchError(AfterwordError):
    """What is at an address cannot be had; the message says why, and nothing of an inner host.

    `why` is the reason alone, without what a caller of `fetch` had better do.
    """

    def __init__(self, why: str, instead: str = "") -> None:
        super().__init__(f"{why}; {instead}" if instead else f"{why}.")
        self.why, self.instead = why, instead


@dataclass(frozen=True, slots=True)
class Reply:
    """The head of an answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Target:
    """Where an address leads. Each of `addresses`, which are IP addresses, may be connected to."""

    scheme: str
    host: str
    port: int
    path: str
    addresses: tuple[str, ...]

    @property
    def host_header(self) -> str:
        """Return what the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        standard = self.port == (HTTPS_PORT if self.scheme == "https" else _HTTP_PORT)
        return host if standard else f"{host}:{self.port}"


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet.

    `ipaddress` alone does not tell: its is_global is true of 64:ff9b::/96, 2002::/16, fec0::/10
    and of multicast.
    """
    ip = ip_address(address)
    return any(ip in network for network in _INTERNET) and not any(
        ip in network for network in _NOT_PUBLIC
    )


class Fetcher:
    """Fetches from public hosts and posts to them, over HTTPS on port 443.

    `allowed` are hosts with their ports, such as `localhost:8000`, that may be anywhere and may
    speak plain HTTP: for development.
    """

    def __init__(
        self,
        allowed: Collection[str] = (),
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed = frozenset(allowed)
        self._resolve = resolve or _addresses
        self._tls = tls or ssl.create_default_context()

    def fetch(self, url: str, seconds: float = SECONDS, max_bytes: int = MAX_BYTES) -> bytes:
        """Return the file at a URL; raise FetchError if there is none to be had."""
        ends = time.monotonic() + seconds
        try:
            target = self.target(url, ends)
            for _ in range(MAX_REDIRECTS + 1):
                found = self._get(target, ends, max_bytes)
                if isinstance(found, bytes):
                    return found
                url = urljoin(url, found)
                target = self._next_target(url, ends)
        except TimeoutError as error:
            raise FetchError(_too_long(seconds), _INSTEAD) from error
        raise FetchError(f"it redirects more than {MAX_REDIRECTS} times")

    def post(self, url: str, body: bytes, headers: Mapping[str, str], seconds: float) -> Reply:
        """Send a body to a URL and return the answer, whatever its status: no redirect is followed.

        Of the answer's body REPLY_BYTES are read at most, and thrown away. Raises FetchError if
        nothing may be sent there, or there is no answer in time.
        """
        ends = time.monotonic() + seconds
        try:
            target = self.target(url, ends)
            with self._answer(target, ends, "POST", {**_POST_HEADERS, **headers}, body) as answer:
                reply = Reply(
                    answer.status, {name.lower(): text for name, text in answer.headers.items()}
                )
                with suppress(OSError, HTTPError, HTTPException):
                    _throw_away(answer, ends)
                return reply
        except TimeoutError as error:
            raise FetchError(_too_long(seconds)) from error

    def check(self, url: str) -> None:
        """Raise FetchError for a URL that `target` refuses wherever its host is found."""
        scheme, host, port, _ = parse_url(url)
        if self._check(scheme, host, port):
            return
        with suppress(ValueError):  # a name: who knows where it leads to when it is used
            if not is_public(str(ip_address(host))):
                raise FetchError(_NOT_FOUND)

    def target(self, url: str, ends: float) -> Target:
        """Return where a URL leads, resolved and checked.

        Raises FetchError if nothing may be fetched from there, TimeoutError after `ends`, which is
        monotonic.
        """
        scheme, host, port, path = parse_url(url)
        anywhere = self._check(scheme, host, port)
        addresses = self._look_up(host, port, ends)
        if not anywhere and not all(map(is_public, addresses)):
            raise FetchError(_NOT_FOUND, _INSTEAD)
        return Target(scheme, host, port, path, addresses)

    def _check(self, scheme: str, host: str, port: int) -> bool:
        """Return whether the host may be anywhere; raise FetchError unless it is over HTTPS."""
        anywhere = f"{host}:{port}" in self._allowed
        if not anywhere and (scheme != "https" or port != HTTPS_PORT):
            raise FetchError("it must be an https address, on port 443")
        return anywhere

    def _next_target(self, url: str, ends: float) -> Target:
        try:
            return self.target(url, ends)
        except FetchError as error:
            why = f"it redirects to another address, and {error.why}"
            raise FetchError(why, error.instead) from error

    def _look_up(self, host: str, port: int, ends: float) -> tuple[str, ...]:
        """Resolve a host. The system's resolver knows no deadline, so it is left to itself then."""
        answer: Future[Sequence[str]] = Future()

        def resolve() -> None:
            try:
                answer.set_result(self._resolve(host, port))
            except (OSError, UnicodeError):
                answer.set_exception(FetchError(_NOT_FOUND, _INSTEAD))

        threading.Thread(target=resolve, daemon=True).start()
        return tuple(answer.result(_left(ends)))

    def _get(self, target: Target, ends: float, max_bytes: int) -> bytes | str:
        """Return the file of a target, or where it redirects to."""
        with self._answer(target, ends, "GET", _HEADERS) as answer:
            location = answer.headers.get("location")
            if answer.status in _REDIRECTS and location:
                return location
            return _content(answer, ends, max_bytes)

    @contextmanager
    def _answer(
        self,
        target: Target,
        ends: float,
        method: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> Iterator[HTTPResponse]:
        """Send a request and return its answer, of which only the head is read."""
        try:
            with self._connection(target, ends) as connection:
                connection.request(
                    method,
                    target.path,
                    body=body,
                    headers={"Host": target.host_header, **headers},
                    preload_content=False,
                    decode_content=False,
                )
                with closing(connection.getresponse()) as answer:
                    _left(ends)  # headers that were cut off look like all of them
                    yield answer
        except (OSError, HTTPError, HTTPException) as error:
            if time.monotonic() >= ends:
                raise TimeoutError from error
            raise FetchError("the connection to its host broke", "try again.") from error

    @contextmanager
    def _connection(self, target: Target, ends: float) -> Iterator[HTTPConnection]:
        """Connect to the first address that answers, and cut the connection off at the end.

        A timeout of the socket alone would let a host send a byte now and then for ever.
        """
        connection = self._connected(target, ends)
        cut = threading.Timer(_left(ends), _cut, [connection.sock])
        cut.daemon = True
        cut.start()
        try:
            yield connection
        finally:
            cut.cancel()
            connection.close()

    def _connected(self, target: Target, ends: float) -> HTTPConnection:
        for address in target.addresses:
            connection = self._to(target, address, min(_CONNECT_SECONDS, _left(ends)))
            try:
                connection.connect()
            except ssl.SSLCertVerificationError as error:
                connection.close()
                raise FetchError("its host has no valid certificate for its name") from error
            except (OSError, HTTPError):
                connection.close()
            else:
                connection.timeout = _left(ends)
                return connection
        raise FetchError("its host does not answer")

    def _to(self, target: Target, address: str, seconds: float) -> HTTPConnection:
        if target.scheme == "http":
            return HTTPConnection(address, target.port, timeout=seconds)
        return HTTPSConnection(
            address,
            target.port,
            timeout=seconds,
            ssl_context=self._tls,
            server_hostname=target.host,
        )


_INSTEAD = "send the file itself instead."
_NOT_FOUND = "its host is not found on the public internet"
"""Of a host inside and of one that is nowhere: neither is told from the other."""
_MALFORMED = "it is no address such as https://example.com/terms.pdf"


def parse_url(url: str) -> tuple[str, str, int, str]:
    """Return a URL's scheme, its host in ASCII, its port, and its path with the query.

    Raises FetchError if it is none of http or https.
    """
    if not _URL.fullmatch(url):
        raise FetchError(_MALFORMED)
    try:
        parts = urlsplit(url)
        name, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise FetchError(_MALFORMED) from error
    if parts.scheme not in {"http", "https"} or not name:
        raise FetchError(_MALFORMED)
    if parts.username is not None or parts.password is not None:
        raise FetchError("it must have no user name and no password in it")
    if _IDNA_2003_ONLY.search(name):
        raise FetchError("its host must be written in ASCII, as xn--…")
    try:
        host = name.encode("idna").decode().lower().removesuffix(".")
    except UnicodeError as error:
        raise FetchError(_MALFORMED) from error
    path = quote(parts.path or "/", safe=_IN_A_PATH)
    if parts.query:
        path += "?" + quote(parts.query, safe=_IN_A_PATH)
    standard = HTTPS_PORT if parts.scheme == "https" else _HTTP_PORT
    return parts.scheme, host, standard if port is None else port, path


def _addresses(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _content(response: HTTPResponse, ends: float, max_bytes: int) -> bytes:
    if response.status != HTTPStatus.OK:
        raise FetchError(
            f"it answers with status {response.status}",
            f"it must be open to everyone, or {_INSTEAD}",
        )
    if response.headers.get("content-encoding", "identity") != "identity":
        raise FetchError("its host sends it compressed, unasked", _INSTEAD)
    content = bytearray()
    while chunk := response.read1(_CHUNK):
        content += chunk
        if len(content) > max_bytes:
            raise FetchError(f"the file has more than {max_bytes:,} bytes")
        _left(ends)
    _left(ends)  # a connection that was cut off may look like the end
    return bytes(content)


def _throw_away(response: HTTPResponse, ends: float) -> None:
    read = 0
    while read < REPLY_BYTES and (chunk := response.read1(REPLY_BYTES - read)):
        read += len(chunk)
        _left(ends)


def _too_long(seconds: float) -> str:
    return f"it takes longer than {seconds:g} seconds"


def _left(ends: float) -> float:
    """Return the seconds that are left; raise TimeoutError if there are none."""
    seconds = ends - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _cut(sock: socket.socket) -> None:
    """End a connection that another thread reads; SSLSocket's own shutdown is not made for that."""
    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
