"""Addresses that files may not be fetched from, before anything is connected to."""

import socket
import ssl
import time

import pytest

from afterword.runtime.addresses import FetchError, Target, is_public
from afterword.runtime.outbound import Fetcher

PUBLIC = "93.184.215.14"
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing is connected to here."""
INSIDE = [
    "0.0.0.0",  # noqa: S104 - nothing binds to it
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.170",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:93.184.215.14",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::5db8:d70e",
    "64:ff9b:1::7f00:1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:5db8:d70e::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
OUTSIDE = ["1.1.1.1", PUBLIC, "100.128.0.1", "172.32.0.1", "2606:4700::1111", "2a00:1450:4001::1"]
NOT_FOUND = "the host was not found on the public internet; send the file itself instead."
NO_ADDRESS = "must be an address such as https://example.com/terms.pdf."
NOT_HTTPS = "must be an https address on port 443."


def target(url: str, *addresses: str, allowed: str = "") -> Target:
    """Return where a URL leads whose host has these addresses, or PUBLIC."""
    fetcher = Fetcher({allowed}, lambda _host, _port: addresses or (PUBLIC,), NO_TLS)
    return fetcher.target(url, time.monotonic() + 10)


def refusal(url: str, *addresses: str) -> str:
    """Return why nothing is fetched from a URL."""
    with pytest.raises(FetchError) as refused:
        target(url, *addresses)
    return str(refused.value)


@pytest.mark.parametrize("address", INSIDE)
def test_an_inner_address_is_refused(address: str) -> None:
    """A host with an address that is not of the public internet is not fetched from."""
    assert not is_public(address)
    assert refusal("https://docs.example/a.txt", address) == NOT_FOUND


@pytest.mark.parametrize("address", OUTSIDE)
def test_a_public_address_is_taken(address: str) -> None:
    """An address next to an inner network, like all the rest, is the public internet."""
    assert is_public(address)
    assert target("https://docs.example/a.txt", address).addresses == (address,)


def test_one_inner_address_among_others_is_enough() -> None:
    """A host that has an inner address beside a public one is refused."""
    assert refusal("https://docs.example/", PUBLIC, "10.0.0.1") == NOT_FOUND
    assert target("https://docs.example/", PUBLIC, "1.1.1.1").addresses == (PUBLIC, "1.1.1.1")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", NO_ADDRESS),
        ("docs.example/a.txt", NO_ADDRESS),
        ("//docs.example/a.txt", NO_ADDRESS),
        ("https:///a.txt", NO_ADDRESS),
        ("https://", NO_ADDRESS),
        ("file:///etc/passwd", NO_ADDRESS),
        ("ftp://docs.example/a.txt", NO_ADDRESS),
        ("gopher://docs.example:443/_GET", NO_ADDRESS),
        ("data:text/plain,hello", NO_ADDRESS),
        ("https://docs.example:port/", NO_ADDRESS),
        ("https://docs.example:99999/", NO_ADDRESS),
        ("https://[::1/", NO_ADDRESS),
        ("https://docs..example/", NO_ADDRESS),
        (f"https://{'a' * 64}.example/", NO_ADDRESS),
        (f"https://docs.example/{'a' * 8_000}", NO_ADDRESS),
        ("https://docs.example\\@inner.example/", NO_ADDRESS),
        ("https://docs.example/a b", NO_ADDRESS),
        (" https://docs.example/", NO_ADDRESS),
        ("https://docs.example/\r\nHost: inner", NO_ADDRESS),
        ("https://docs.exa\tmple/", NO_ADDRESS),
        ("https://docs.example/\x00", NO_ADDRESS),
        ("http://docs.example/", NOT_HTTPS),
        ("https://docs.example:8443/", NOT_HTTPS),
        ("http://docs.example:443/", NOT_HTTPS),
        ("https://docs.example:0/", NOT_HTTPS),
        ("https://user@docs.example/", "must have no user name and no password."),
        ("https://user:secret@docs.example/", "must have no user name and no password."),
        ("https://@docs.example/", "must have no user name and no password."),
        ("https://faß.example/", "must have its host in ASCII, as xn--…."),
    ],
)
def test_an_address_of_another_form_is_refused(url: str, message: str) -> None:
    """A URL other than https on port 443 without credentials is refused, with the reason."""
    assert refusal(url) == message


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://docs.example", "docs.example", "/"),
        ("https://docs.example:443/a.txt?b=c#d", "docs.example", "/a.txt?b=c"),
        ("HTTPS://DOCS.Example./a", "docs.example", "/a"),
        (
            "https://bücher.example/größe?ä=ö",
            "xn--bcher-kva.example",
            "/gr%C3%B6%C3%9Fe?%C3%A4=%C3%B6",
        ),
        ("https://docs.example/a%20b/%2F?c=%26", "docs.example", "/a%20b/%2F?c=%26"),
        ("https://docs.example?a", "docs.example", "/?a"),
        ("https://93.184.215.14/", "93.184.215.14", "/"),
    ],
)
def test_an_address_is_read_once(url: str, host: str, path: str) -> None:
    """The host that is resolved is the one that is asked, with the path as it was written."""
    assert target(url) == Target("https", host, 443, path, (PUBLIC,))


def test_the_host_header_has_what_a_server_expects() -> None:
    """The port is there unless it is the standard one, and brackets around IPv6."""
    headers = [
        Target("https", "docs.example", 443, "/", ()).host_header,
        Target("http", "localhost", 8000, "/", ()).host_header,
        Target("https", "2606:4700::1111", 443, "/", ()).host_header,
    ]
    assert headers == ["docs.example", "localhost:8000", "[2606:4700::1111]"]


def test_a_host_that_is_nowhere_looks_like_one_inside() -> None:
    """Whether a name is known inside cannot be told from the refusal."""

    def resolve(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(FetchError, match=NOT_FOUND):
        Fetcher((), resolve, NO_TLS).fetch("https://intranet/")


def test_hosts_that_are_allowed_may_be_anywhere() -> None:
    """An allowed host and port may be inside and without TLS, and no other port or host."""
    url = "http://localhost:8000/a.txt"
    found = target(url, "127.0.0.1", allowed="localhost:8000")
    assert found == Target("http", "localhost", 8000, "/a.txt", ("127.0.0.1",))
    for other in ("http://localhost:8001/", "http://127.0.0.1:8000/", "https://localhost/"):
        with pytest.raises(FetchError):
            target(other, "127.0.0.1", allowed="localhost:8000")


@pytest.mark.parametrize("address", INSIDE)
def test_an_inner_address_is_none_for_webhooks(address: str) -> None:
    """An address that is written out is refused before it is ever used."""
    host = f"[{address.partition('%')[0]}]" if ":" in address else address
    with pytest.raises(FetchError, match="the host was not found on the public internet"):
        Fetcher((), tls=NO_TLS).check(f"https://{host}/")


@pytest.mark.parametrize("address", INSIDE)
def test_a_name_that_leads_inside_is_none_for_webhooks(address: str) -> None:
    """A name with a private address, alone or among others, is refused like an unknown one."""
    for addresses in ([address], [PUBLIC, address], []):

        def resolve(_host: str, _port: int, found: list[str] = addresses) -> list[str]:
            if not found:
                raise OSError
            return found

        with pytest.raises(FetchError) as refused:
            Fetcher((), resolve, NO_TLS).check("https://hooks.example/")
        assert str(refused.value) == (
            "the host was not found on the public internet;"
            " its name must resolve to public addresses alone."
        )
        assert Fetcher((), resolve, NO_TLS).is_private("hooks.example") is bool(addresses)


def test_a_public_name_may_be_registered() -> None:
    """A host is looked up as it will be asked, but for one that is allowed anywhere."""
    asked = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return [PUBLIC]

    fetcher = Fetcher({"a:8000"}, resolve, NO_TLS)
    for url in ("https://hooks.example/", f"https://{PUBLIC}/", "http://a:8000/"):
        fetcher.check(url)
    assert not fetcher.is_private("a:8000")
    assert not fetcher.is_private("other.example:8443")
    assert asked == [("hooks.example", 443), ("other.example", 8443)]
