"""Fetching over real sockets: the addresses that are connected to, and the servers' answers."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from urllib3.util import connection

from afterword.runtime.addresses import FetchError
from afterword.runtime.outbound import Fetcher
from tests.harness.web_servers import (
    Internet,
    Page,
    Server,
    certificate,
    drip,
    file,
    raw,
    redirect,
    serving,
)

pytestmark = pytest.mark.sockets

PUBLIC, OTHER, PUBLIC_6 = "93.184.215.14", "1.1.1.1", "2606:4700::1111"
METADATA = "169.254.169.254"
URL = "https://docs.example/a.txt"
TEXT = b"A refund takes five days."
OK = b"HTTP/1.1 200 OK\r\n"
ELSEWHERE = "after a redirect, "
NOT_FOUND = "the host was not found on the public internet; send the file itself instead."

type Serve = Callable[..., Server]


@pytest.fixture(scope="session")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a certificate that the fetcher trusts."""
    names = ("DNS:docs.example", "DNS:other.example", "DNS:xn--bcher-kva.example", f"IP:{PUBLIC_6}")
    return certificate(tmp_path_factory.mktemp("trusted"), *names)


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Internet:
    """Stand in for the public internet: addresses lead to servers on loopback, or nowhere."""
    internet = Internet()
    internet.hosts["docs.example"] = [[PUBLIC]]
    internet.hosts["other.example"] = [[OTHER]]
    monkeypatch.setattr(connection, "create_connection", internet.connect)
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    return internet


@pytest.fixture
def serve(internet: Internet, trusted: Path) -> Iterator[Serve]:
    """Return a function that starts a server at an address."""
    with ExitStack() as stack:

        def start(address: str = PUBLIC, chain: Path = trusted, **pages: Page) -> Server:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(chain)
            server = stack.enter_context(serving(tls))
            server.pages = {f"/{name.replace('_', '.')}": page for name, page in pages.items()}
            internet.servers[address] = server
            return server

        yield start


@pytest.fixture
def fetcher(internet: Internet, trusted: Path) -> Fetcher:
    """Return a fetcher on that internet."""
    return Fetcher((), internet.resolve, ssl.create_default_context(cafile=str(trusted)))


@pytest.fixture
def ended() -> Iterator[threading.Event]:
    """Return an event that happens when the test ends."""
    event = threading.Event()
    yield event
    event.set()


def refusal(fetcher: Fetcher, url: str = URL, seconds: float = 10.0) -> str:
    """Return why a file cannot be had."""
    with pytest.raises(FetchError) as refused:
        fetcher.fetch(url, seconds, 1_000)
    return str(refused.value)


def test_a_file_is_fetched(fetcher: Fetcher, internet: Internet, serve: Serve) -> None:
    """The host is asked for the file under its name, at its address, and past any proxy."""
    server = serve(a_txt=file(TEXT))
    assert fetcher.fetch(URL) == TEXT
    assert internet.connected == [(PUBLIC, 443)]
    assert server.requests == [("docs.example", "/a.txt")]
    (headers,) = server.headers
    assert {name.lower() for name in headers} == {"host", "user-agent", "accept", "accept-encoding"}


def test_a_name_is_resolved_once(fetcher: Fetcher, internet: Internet, serve: Serve) -> None:
    """A name that has an inner address the second time is never asked a second time."""
    canary = serve("127.0.0.1", a_txt=file(b"secret"))
    serve(a_txt=file(TEXT))
    internet.hosts["docs.example"] = [[PUBLIC], ["127.0.0.1"]]
    assert fetcher.fetch(URL) == TEXT
    assert (internet.asked, internet.connected) == (["docs.example"], [(PUBLIC, 443)])
    assert refusal(fetcher) == NOT_FOUND
    assert canary.connections == 0


def test_an_unreachable_address_is_followed_by_the_next(
    fetcher: Fetcher, internet: Internet, serve: Serve
) -> None:
    """Where one address of a host does not answer, as IPv6 often does not, the next is tried."""
    serve(a_txt=file(TEXT))
    internet.hosts["docs.example"] = [[PUBLIC_6, PUBLIC]]
    assert fetcher.fetch(URL) == TEXT
    assert internet.connected == [(PUBLIC_6, 443), (PUBLIC, 443)]
    internet.hosts["docs.example"] = [[PUBLIC_6]]
    assert refusal(fetcher) == "the host did not answer."


def test_names_beyond_ascii_and_plain_addresses(
    fetcher: Fetcher, internet: Internet, serve: Serve
) -> None:
    """An international name is asked for by its ASCII form, and an address has a certificate."""
    server = serve(a_txt=file(TEXT))
    internet.servers[PUBLIC_6] = server
    internet.hosts["xn--bcher-kva.example"] = [[PUBLIC]]
    internet.hosts[PUBLIC_6] = [[PUBLIC_6]]
    assert fetcher.fetch("https://bücher.example/a.txt") == TEXT
    assert fetcher.fetch(f"https://[{PUBLIC_6}]/a.txt") == TEXT
    hosts = [host for host, _ in server.requests]
    assert hosts == ["xn--bcher-kva.example", f"[{PUBLIC_6}]"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(
    fetcher: Fetcher, internet: Internet, serve: Serve, status: int
) -> None:
    """A file that has moved is fetched from where it is, on its own host or on another."""
    serve(a_txt=redirect("/b.txt", status), b_txt=redirect("//other.example/c.txt", status))
    serve(OTHER, c_txt=file(TEXT))
    assert fetcher.fetch(URL) == TEXT
    assert internet.connected == [(PUBLIC, 443), (PUBLIC, 443), (OTHER, 443)]


def test_redirects_end(fetcher: Fetcher, internet: Internet, serve: Serve) -> None:
    """Three redirects are followed, and no fourth."""
    serve(a_txt=redirect("/a.txt"))
    assert refusal(fetcher) == "must not redirect more than 3 times."
    assert len(internet.connected) == 4


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("https://inner.example/", NOT_FOUND),
        (f"https://{METADATA}/latest/meta-data/", NOT_FOUND),
        ("http://docs.example/", "must be an https address on port 443."),
        ("https://docs.example:22/", "must be an https address on port 443."),
        ("file:///etc/passwd", "must be an address such as https://example.com/terms.pdf."),
        ("https://a:b@docs.example/", "must have no user name and no password."),
    ],
)
def test_a_redirect_into_an_inner_network_is_not_followed(
    fetcher: Fetcher, internet: Internet, serve: Serve, location: str, message: str
) -> None:
    """Where a redirect leads is checked like the first address, and the canary stays alone."""
    canary = serve("127.0.0.1", a_txt=file(b"secret"))
    internet.servers[METADATA] = canary
    internet.hosts |= {"inner.example": [["127.0.0.1"]], METADATA: [[METADATA]]}
    serve(a_txt=redirect(location))
    assert refusal(fetcher) == ELSEWHERE + message
    assert internet.connected == [(PUBLIC, 443)]
    assert canary.connections == 0


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "017700000001",
        "0177.0.0.1",
        "0",
        "127.0.0.1.",
        "127。0。0。1",
        "\uff11\uff12\uff17.0.0.1",  # in full-width digits
        "①②⑦.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:0:0:1]",
        "[64:ff9b::127.0.0.1]",
        "169.254.169.254",
        "2852039166",
        "[fd00:ec2::254]",
    ],
)
def test_other_ways_to_write_an_inner_address(host: str) -> None:
    """However an inner address is written, the system's own resolver says what it is."""
    with pytest.raises(FetchError, match=NOT_FOUND):
        Fetcher().target(f"https://{host}/latest/meta-data/", time.monotonic() + 10)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"])
def test_loopback_is_never_touched(scheme: str, host: str) -> None:
    """A service on this machine is not reached, by the system's own resolver and sockets."""
    with serving(None) as canary:
        canary.pages["/"] = file(b"secret")
        with pytest.raises(FetchError, match="on port 443"):
            Fetcher().fetch(f"{scheme}://{host}:{canary.port}/")
        assert canary.connections == 0


def test_an_allowed_host_is_reached() -> None:
    """The same service is reached by plain HTTP if its host and port are allowed."""
    with serving(None) as server:
        server.pages["/"] = file(TEXT)
        url = f"http://localhost:{server.port}/"
        fetcher = Fetcher({f"localhost:{server.port}"})
        assert fetcher.fetch(url) == TEXT
        assert server.requests == [(f"localhost:{server.port}", "/")]


def test_a_certificate_has_to_be_for_the_host(
    fetcher: Fetcher, internet: Internet, serve: Serve
) -> None:
    """A certificate that is trusted, but for another name, is refused before anything is asked."""
    server = serve(a_txt=file(TEXT))
    internet.hosts["third.example"] = [[PUBLIC]]
    message = "the host has no valid certificate for its name."
    assert refusal(fetcher, "https://third.example/a.txt") == message
    assert server.requests == []


def test_a_certificate_has_to_be_trusted(internet: Internet, serve: Serve) -> None:
    """A self-signed certificate for the name is refused before any request."""
    server = serve(a_txt=file(TEXT))
    message = "the host has no valid certificate for its name."
    assert refusal(Fetcher((), internet.resolve)) == message
    assert server.requests == []


@pytest.mark.parametrize("status", [204, 206, 304, 401, 403, 404, 500, 302])
def test_only_a_whole_file_is_taken(fetcher: Fetcher, serve: Serve, status: int) -> None:
    """Any status but 200, and a redirect to nowhere, is told, and nothing else of the answer."""
    serve(a_txt=raw(b"HTTP/1.1 %d Whatever\r\ncontent-length: 0\r\n\r\n" % status))
    instead = "make the file public, or send the file itself instead."
    assert refusal(fetcher) == f"the host answered with status {status}; {instead}"


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(file(b"x" * 1_001), id="a length"),
        pytest.param(raw(OK, b"\r\n", b"x" * 1_001), id="until the connection ends"),
        pytest.param(
            raw(OK, b"transfer-encoding: chunked\r\n\r\n", (b"1f4\r\n" + b"x" * 500 + b"\r\n") * 3),
            id="chunks",
        ),
    ],
)
def test_a_file_that_is_too_large(fetcher: Fetcher, serve: Serve, page: Page) -> None:
    """A file that is longer than is taken is left, whatever its host says of its length."""
    serve(a_txt=page)
    assert refusal(fetcher) == "must have a file of at most 1,000 bytes."


def test_the_largest_file(fetcher: Fetcher, serve: Serve) -> None:
    """A file of just as many bytes as are taken is taken."""
    serve(a_txt=file(b"x" * 1_000), b_txt=file(b""))
    assert fetcher.fetch(URL, 10.0, 1_000) == b"x" * 1_000
    assert fetcher.fetch("https://docs.example/b.txt", 10.0, 1_000) == b""


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        pytest.param(b"", b"", id="no answer"),
        pytest.param(b"HTTP/1.1 ", b"2", id="a status", marks=pytest.mark.long),
        pytest.param(OK, b"x-a: b\r\n", id="headers", marks=pytest.mark.long),
        pytest.param(OK + b"content-length: 999\r\n\r\n", b"x", id="a body with a length"),
        pytest.param(OK + b"\r\n", b"x", id="a body without a length"),
        pytest.param(
            OK + b"transfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n", id="a body in chunks"
        ),
    ],
)
def test_a_slow_drip_ends_at_the_deadline(
    fetcher: Fetcher, serve: Serve, ended: threading.Event, first: bytes, piece: bytes
) -> None:
    """A host that sends a byte now and then is cut off when the total time is over."""
    serve(a_txt=drip(first, piece, ended))
    started = time.monotonic()
    expected = "the host took longer than 0.3 seconds; send the file itself instead."
    assert refusal(fetcher, seconds=0.3) == expected
    assert time.monotonic() - started < 2


def test_a_slow_resolver_ends_at_the_deadline(ended: threading.Event) -> None:
    """A name server that does not answer does not hold up the request."""

    def resolve(_host: str, _port: int) -> list[str]:
        ended.wait()
        return [PUBLIC]

    expected = "the host took longer than 0.1 seconds; send the file itself instead."
    assert refusal(Fetcher((), resolve), seconds=0.1) == expected


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(raw(b""), id="nothing"),
        pytest.param(raw(b"SSH-2.0-OpenSSH_9.2\r\n"), id="another protocol"),
        pytest.param(raw(b"HTTP/1.1 OK\r\n\r\n"), id="no status"),
        pytest.param(raw(OK, b"content-length: 9\r\n\r\nshort"), id="cut off"),
        pytest.param(raw(OK, b"transfer-encoding: chunked\r\n\r\n5\r\nsho"), id="a chunk cut off"),
        pytest.param(raw(OK, b"transfer-encoding: chunked\r\n\r\nzz\r\n"), id="no chunk"),
        pytest.param(raw(OK, b"x-a: " + b"x" * 70_000 + b"\r\n\r\n"), id="a long header"),
        pytest.param(raw(OK, b"x-a: b\r\n" * 200, b"\r\n"), id="many headers"),
    ],
)
def test_an_answer_that_is_none(fetcher: Fetcher, serve: Serve, page: Page) -> None:
    """A broken HTTP answer is told as a broken connection, and no part of it is taken."""
    serve(a_txt=page)
    assert refusal(fetcher) == "the connection to the host broke; try again."


def test_a_file_is_not_unpacked(fetcher: Fetcher, serve: Serve) -> None:
    """A file that is sent compressed without being asked for is refused and not unpacked."""
    serve(a_txt=file(b"\x1f\x8b", content_encoding="gzip"), b_txt=file(TEXT))
    expected = "the host compressed the file unasked; send the file itself instead."
    assert refusal(fetcher) == expected


# --- what webhooks do: posting --------------------------------------------------------------------

HOOK = "https://docs.example/hook"
SENT = b'{"type": "webhook.test"}'
HEADERS = {"content-type": "application/json", "webhook-id": "msg_1"}


def post_refusal(fetcher: Fetcher, url: str = HOOK, seconds: float = 10.0) -> str:
    """Return in a few words why nothing is posted."""
    with pytest.raises(FetchError) as refused:
        fetcher.post(url, SENT, HEADERS, seconds)
    return refused.value.why


def test_a_body_is_posted(fetcher: Fetcher, internet: Internet, serve: Serve) -> None:
    """The host gets the very bytes under its name, at its checked address, and past any proxy."""
    server = serve(hook=file(b"thanks", 202, retry_after="5"))
    reply = fetcher.post(HOOK, SENT, HEADERS, 10.0)
    assert (reply.status, reply.headers["retry-after"]) == (202, "5")
    assert (server.bodies, server.requests) == ([SENT], [("docs.example", "/hook")])
    assert internet.connected == [(PUBLIC, 443)]
    (headers,) = server.headers
    sent = {name.lower(): text for name, text in headers.items()}
    assert sent.keys() == {"host", "user-agent", "accept-encoding", "content-length", *HEADERS}
    assert {name: sent[name] for name in HEADERS} == HEADERS


def test_a_host_is_resolved_once_for_a_post(
    fetcher: Fetcher, internet: Internet, serve: Serve
) -> None:
    """A name that turns inside after the check is connected to at its checked address."""
    canary = serve("127.0.0.1", hook=file(b""))
    server = serve(hook=file(b""))
    internet.hosts["docs.example"] = [[PUBLIC], ["127.0.0.1"]]
    assert fetcher.post(HOOK, SENT, HEADERS, 10.0).status == 200
    assert post_refusal(fetcher) == "the host was not found on the public internet"
    assert (internet.connected, len(server.bodies)) == ([(PUBLIC, 443)], 1)
    assert canary.connections == 0


@pytest.mark.parametrize("addresses", [["127.0.0.1"], [PUBLIC, "127.0.0.1"], [METADATA], ["::1"]])
def test_nothing_is_posted_inside(
    fetcher: Fetcher, internet: Internet, serve: Serve, addresses: list[str]
) -> None:
    """A host with any inner address is not posted to, and the canary stays alone."""
    canary = serve("127.0.0.1", hook=file(b""))
    internet.hosts["docs.example"] = [addresses]
    assert post_refusal(fetcher) == "the host was not found on the public internet"
    assert (internet.connected, canary.connections) == ([], 0)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["https://127.0.0.1/hook", "https://other.example/hook"])
def test_a_redirect_is_the_answer_to_a_post(
    fetcher: Fetcher, internet: Internet, serve: Serve, status: int, location: str
) -> None:
    """No redirect is followed: the redirect itself is the answer."""
    canary = serve("127.0.0.1", hook=file(b""))
    other = serve(OTHER, hook=file(b""))
    serve(hook=redirect(location, status))
    assert fetcher.post(HOOK, SENT, HEADERS, 10.0).status == status
    assert internet.connected == [(PUBLIC, 443)]
    assert (canary.connections, other.connections) == (0, 0)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"]
)
def test_loopback_is_never_posted_to(scheme: str, host: str) -> None:
    """A service on this machine is not reached, by the system's own resolver and sockets."""
    with serving(None) as canary:
        for port in (f":{canary.port}", ""):
            assert post_refusal(Fetcher(), f"{scheme}://{host}{port}/") in {
                "must be an https address on port 443",
                "the host was not found on the public internet",
            }
        assert canary.connections == 0


def test_an_answer_is_not_waited_for_after_its_head(
    fetcher: Fetcher, serve: Serve, ended: threading.Event
) -> None:
    """A host that says 200 and goes on for ever has taken the webhook, within the time for it."""
    serve(hook=drip(OK + b"\r\n", b"x", ended))
    started = time.monotonic()
    assert fetcher.post(HOOK, SENT, HEADERS, 0.5).status == 200
    assert time.monotonic() - started < 2


def test_no_more_of_an_answer_is_read_than_its_cap(fetcher: Fetcher, serve: Serve) -> None:
    """Of an answer without an end 64 KB are read, and then it is left."""
    endless = (b"x" * 65_536 for _ in range(100_000))
    serve(hook=raw(OK + b"\r\n", *[next(endless) for _ in range(64)]))
    started = time.monotonic()
    assert fetcher.post(HOOK, SENT, HEADERS, 10.0).status == 200
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        pytest.param(b"", b"", id="no answer"),
        pytest.param(b"HTTP/1.1 ", b"2", id="a status"),
        pytest.param(OK, b"x-a: b\r\n", id="headers"),
    ],
)
def test_a_host_that_hangs_ends_at_the_deadline(
    fetcher: Fetcher, serve: Serve, ended: threading.Event, first: bytes, piece: bytes
) -> None:
    """A host that does not come to the end of its answer's head is cut off."""
    serve(hook=drip(first, piece, ended))
    started = time.monotonic()
    assert post_refusal(fetcher, seconds=0.3) == "the host took longer than 0.3 seconds"
    assert time.monotonic() - started < 2


def test_another_thread_cuts_a_connection_off(
    fetcher: Fetcher, serve: Serve, ended: threading.Event
) -> None:
    """A post to a host that hangs ends as soon as its sender gives it up."""
    serve(hook=drip(b"", b"", ended))
    started = time.monotonic()
    with pytest.raises(FetchError, match="the connection to the host broke"):
        fetcher.post(HOOK, SENT, HEADERS, 10.0, lambda cut: threading.Timer(0.1, cut).start())
    assert time.monotonic() - started < 5


def test_a_host_that_hangs_up(fetcher: Fetcher, serve: Serve) -> None:
    """A connection that ends without an answer is a failure."""
    serve(hook=raw(b""))
    assert post_refusal(fetcher) == "the connection to the host broke"
