"""Addresses that callers name: their syntax, and which IP addresses are public."""

import re
from ipaddress import ip_address, ip_network
from urllib.parse import quote, urlsplit

from afterword.errors import AfterwordError
from afterword.records import dataclass

MAX_URL = 8_000
"""Characters of a URL."""
HTTPS_PORT = 443

_HTTP_PORT = 80
_URL = re.compile(rf"[^\x00-\x20\x7f-\x9f\\]{{1,{MAX_URL}}}")
_IDNA_2003_ONLY = re.compile("[\u00df\u03c2\u200c\u200d]")
"""Characters that Python's IDNA (2003) maps to another name than browsers do: ß, ς, two joiners."""
_IN_A_PATH = "%/?:@!$&'()*+,;=~[]"

_INTERNET = tuple(map(ip_network, ("0.0.0.0/0", "2000::/3")))
"""Outside 2000::/3 IPv6 has no public addresses: ::1, IPv4-mapped ones, 64:ff9b::/96, fc00::/7,
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

_MALFORMED = "must be an address such as https://example.com/terms.pdf"


class FetchError(AfterwordError):
    """An address that cannot be fetched, or posted to; the message tells nothing of a private host.

    `why` is the cause alone, without `instead`, the advice to a caller of `fetch`.
    """

    def __init__(self, why: str, instead: str = "") -> None:
        super().__init__(f"{why}; {instead}" if instead else f"{why}.")
        self.why, self.instead = why, instead


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed URL with the IP addresses of its host, each checked."""

    scheme: str
    host: str
    port: int
    path: str
    addresses: tuple[str, ...]

    @property
    def host_header(self) -> str:
        """Return the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        standard = self.port == (HTTPS_PORT if self.scheme == "https" else _HTTP_PORT)
        return host if standard else f"{host}:{self.port}"


def parse_url(url: str) -> tuple[str, str, int, str]:
    """Return a URL's scheme, its host in ASCII, its port, and its path with the query.

    Raises FetchError for a malformed URL, or another scheme than http and https.
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
        raise FetchError("must have no user name and no password")
    if _IDNA_2003_ONLY.search(name):
        raise FetchError("must have its host in ASCII, as xn--…")
    try:
        host = name.encode("idna").decode().lower().removesuffix(".")
    except UnicodeError as error:
        raise FetchError(_MALFORMED) from error
    path = quote(parts.path or "/", safe=_IN_A_PATH)
    if parts.query:
        path += "?" + quote(parts.query, safe=_IN_A_PATH)
    standard = HTTPS_PORT if parts.scheme == "https" else _HTTP_PORT
    return parts.scheme, host, standard if port is None else port, path


def is_public(address: str) -> bool:
    """Whether an IP address is public.

    The `is_global` of `ipaddress` is too wide: true of 64:ff9b::/96, 2002::/16, fec0::/10 and
    multicast.
    """
    ip = ip_address(address)
    return any(ip in network for network in _INTERNET) and not any(
        ip in network for network in _NOT_PUBLIC
    )
