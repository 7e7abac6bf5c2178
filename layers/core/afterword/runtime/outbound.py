"""Outbound HTTP to addresses that callers name: fetches and webhooks (decision 0020).

Private addresses are refused in both directions (SSRF). A name is resolved once, each of its IP
addresses is checked, and the connection goes to a checked one. So a second resolution
cannot lead to a private address after the check (DNS rebinding). Each redirect is
checked like a new address.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from functools import cached_property, partial
from http import HTTPStatus
from http.client import HTTPException
from ipaddress import ip_address
from urllib.parse import urljoin

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse

from afterword.records import dataclass
from afterword.runtime.addresses import HTTPS_PORT, FetchError, Target, is_public, parse_url

MAX_BYTES = 10_000_000
"""Bytes of a fetched file."""
SECONDS = 20.0
"""For one fetch: names, connections, redirects and the file."""
MAX_REDIRECTS = 3
MAX_REPLY_BYTES = 65_536
"""Bytes that are read of the answer to a post."""

LOOK_UP_SECONDS = 5.0
"""For the addresses of a host that is registered."""

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
_NOT_FOUND = "the host was not found on the public internet"
"""The cause for a private host and for an unknown name alike, so that callers cannot probe."""
_INSTEAD = "send the file itself instead."
_PUBLIC_ALONE = "its name must resolve to public addresses alone."

type Resolve = Callable[[str, int], Sequence[str]]
"""Returns the IP addresses of a host; raises OSError without any."""


type Opened = Callable[[Callable[[], None]], None]
"""Takes a function that cuts a connection off, which another thread may call."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The head of an answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]


class Fetcher:
    """An HTTP client for public hosts, over HTTPS on port 443.

    `allowed` are hosts with their ports, such as `localhost:8000`, for development: these may be
    private, and may speak plain HTTP.
    """

    def __init__(
        self,
        allowed: Collection[str] = (),
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed = frozenset(allowed)
        self._resolve = resolve or _resolve_host
        self._given_tls = tls

    def fetch(self, url: str, seconds: float = SECONDS, max_bytes: int = MAX_BYTES) -> bytes:
        """Return the file at a URL; raise FetchError."""
        ends = time.monotonic() + seconds
        try:
            target = self.target(url, ends)
            for _ in range(MAX_REDIRECTS + 1):
                outcome = self._get(target, ends, max_bytes)
                if isinstance(outcome, bytes):
                    return outcome
                url = urljoin(url, outcome)
                target = self._next_target(url, ends)
        except TimeoutError as error:
            raise FetchError(_describe_timeout(seconds), _INSTEAD) from error
        raise FetchError(f"must not redirect more than {MAX_REDIRECTS} times")

    def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        seconds: float,
        opened: Opened | None = None,
    ) -> Reply:
        """Send a body to a URL and return the answer, whatever its status.

        No redirect is followed. At most MAX_REPLY_BYTES of the answer's body are read, and dropped.
        `opened` gets a function that cuts the connection off. Raises FetchError for a refused
        address, or without an answer in time.
        """
        ends = time.monotonic() + seconds
        try:
            target = self.target(url, ends)
            sent = {**_POST_HEADERS, **headers}
            with self._send(target, ends, "POST", sent, body, opened) as answer:
                reply = Reply(
                    answer.status, {name.lower(): text for name, text in answer.headers.items()}
                )
                with suppress(OSError, HTTPError, HTTPException):
                    _drain(answer, ends)
                return reply
        except TimeoutError as error:
            raise FetchError(_describe_timeout(seconds)) from error

    def check(self, url: str) -> None:
        """Raise FetchError for a URL whose host is private, or is not found now."""
        scheme, host, port, _ = parse_url(url)
        if self._check(scheme, host, port):
            return
        try:
            addresses = self._find(host, port)
        except TimeoutError as error:
            why = f"the host was not found in {LOOK_UP_SECONDS:g} seconds"
            raise FetchError(why, "try again.") from error
        except FetchError as error:
            raise FetchError(_NOT_FOUND, _PUBLIC_ALONE) from error
        if not all(map(is_public, addresses)):
            raise FetchError(_NOT_FOUND, _PUBLIC_ALONE)

    def _find(self, host: str, port: int) -> Sequence[str]:
        """Return the IP addresses of a host; raise TimeoutError, or FetchError without any."""
        with suppress(ValueError):
            return [str(ip_address(host))]
        return self._look_up(host, port, time.monotonic() + LOOK_UP_SECONDS)

    def is_private(self, host: str) -> bool:
        """Whether a host, with or without a port, is known to be private, and is not allowed."""
        _, name, port, _ = parse_url(f"https://{host}/")
        if f"{name}:{port}" in self._allowed:
            return False
        try:
            addresses = self._find(name, port)
        except (TimeoutError, FetchError):
            return False
        return not all(map(is_public, addresses))

    def target(self, url: str, ends: float) -> Target:
        """Return the target of a URL, resolved and checked.

        Raises FetchError for a refused address, TimeoutError after `ends`, a monotonic time.
        """
        scheme, host, port, path = parse_url(url)
        may_be_private = self._check(scheme, host, port)
        addresses = self._look_up(host, port, ends)
        if not may_be_private and not all(map(is_public, addresses)):
            raise FetchError(_NOT_FOUND, _INSTEAD)
        return Target(scheme, host, port, path, addresses)

    def _check(self, scheme: str, host: str, port: int) -> bool:
        """Return whether the host may be private; raise FetchError without HTTPS."""
        may_be_private = f"{host}:{port}" in self._allowed
        if not may_be_private and (scheme != "https" or port != HTTPS_PORT):
            raise FetchError("must be an https address on port 443")
        return may_be_private

    def _next_target(self, url: str, ends: float) -> Target:
        try:
            return self.target(url, ends)
        except FetchError as error:
            why = f"after a redirect, {error.why}"
            raise FetchError(why, error.instead) from error

    def _look_up(self, host: str, port: int, ends: float) -> tuple[str, ...]:
        """Resolve a host in a thread, since the system's resolver knows no deadline."""
        answer: Future[Sequence[str]] = Future()

        def resolve() -> None:
            try:
                answer.set_result(self._resolve(host, port))
            except (OSError, UnicodeError):
                answer.set_exception(FetchError(_NOT_FOUND, _INSTEAD))

        threading.Thread(target=resolve, daemon=True).start()
        return tuple(answer.result(_remaining(ends)))

    def _get(self, target: Target, ends: float, max_bytes: int) -> bytes | str:
        """Return the file of a target, or the location of its redirect."""
        with self._send(target, ends, "GET", _HEADERS) as answer:
            location = answer.headers.get("location")
            if answer.status in _REDIRECTS and location:
                return location
            return _read_content(answer, ends, max_bytes)

    @contextmanager
    def _send(  # noqa: PLR0913, PLR0917 - the parts of a request
        self,
        target: Target,
        ends: float,
        method: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        opened: Opened | None = None,
    ) -> Iterator[HTTPResponse]:
        """Send a request and yield its answer, with the head read alone."""
        try:
            with self._open(target, ends) as connection:
                if opened is not None:
                    opened(partial(_cut, connection.sock))
                connection.request(
                    method,
                    target.path,
                    body=body,
                    headers={"Host": target.host_header, **headers},
                    preload_content=False,
                    decode_content=False,
                )
                with closing(connection.getresponse()) as answer:
                    _remaining(ends)  # headers that were cut off look complete
                    yield answer
        except (OSError, HTTPError, HTTPException) as error:
            if time.monotonic() >= ends:
                raise TimeoutError from error
            raise FetchError("the connection to the host broke", "try again.") from error

    @contextmanager
    def _open(self, target: Target, ends: float) -> Iterator[HTTPConnection]:
        """Connect to the first address that answers, and cut the connection off at `ends`.

        A timeout of the socket alone would let a host send single bytes for ever.
        """
        connection = self._connect(target, ends)
        cut = threading.Timer(_remaining(ends), _cut, [connection.sock])
        cut.daemon = True
        cut.start()
        try:
            yield connection
        finally:
            cut.cancel()
            connection.close()

    def _connect(self, target: Target, ends: float) -> HTTPConnection:
        for address in target.addresses:
            connection = self._build_connection(
                target, address, min(_CONNECT_SECONDS, _remaining(ends))
            )
            try:
                connection.connect()
            except ssl.SSLCertVerificationError as error:
                connection.close()
                raise FetchError("the host has no valid certificate for its name") from error
            except (OSError, HTTPError):
                connection.close()
            else:
                connection.timeout = _remaining(ends)
                return connection
        raise FetchError("the host did not answer")

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Read the trusted authorities, which takes tens of milliseconds, for the first host."""
        return self._given_tls or ssl.create_default_context()

    def _build_connection(self, target: Target, address: str, seconds: float) -> HTTPConnection:
        if target.scheme == "http":
            return HTTPConnection(address, target.port, timeout=seconds)
        return HTTPSConnection(
            address,
            target.port,
            timeout=seconds,
            ssl_context=self._tls,
            server_hostname=target.host,
        )


def _resolve_host(host: str, port: int) -> list[str]:
    results = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in results))


def _read_content(response: HTTPResponse, ends: float, max_bytes: int) -> bytes:
    if response.status != HTTPStatus.OK:
        raise FetchError(
            f"the host answered with status {response.status}",
            f"make the file public, or {_INSTEAD}",
        )
    if response.headers.get("content-encoding", "identity") != "identity":
        raise FetchError("the host compressed the file unasked", _INSTEAD)
    content = bytearray()
    while chunk := response.read1(_CHUNK):
        content += chunk
        if len(content) > max_bytes:
            raise FetchError(f"must have a file of at most {max_bytes:,} bytes")
        _remaining(ends)
    _remaining(ends)  # a connection that was cut off may look like the end
    return bytes(content)


def _drain(response: HTTPResponse, ends: float) -> None:
    read = 0
    while read < MAX_REPLY_BYTES and (chunk := response.read1(MAX_REPLY_BYTES - read)):
        read += len(chunk)
        _remaining(ends)


def _describe_timeout(seconds: float) -> str:
    return f"the host took longer than {seconds:g} seconds"


def _remaining(ends: float) -> float:
    """Return the remaining seconds; raise TimeoutError after `ends`."""
    seconds = ends - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _cut(sock: socket.socket) -> None:
    """End a connection that another thread reads, which SSLSocket's own shutdown cannot."""
    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
