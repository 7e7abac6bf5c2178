"""Servers on loopback that stand for the public internet."""

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

type Page = Callable[[BaseHTTPRequestHandler], None]
"""Answers a request."""


def file(content: bytes, status: int = 200, **headers: str) -> Page:
    """Return a page that is a file."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        sent = {"content-length": str(len(content)), **headers}
        for name, value in sent.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(content)

    return answer


def redirect(location: str, status: int = 302) -> Page:
    """Return a page that leads elsewhere."""
    return file(b"elsewhere", status, location=location)


def raw(*pieces: bytes) -> Page:
    """Return a page that is written as it is, and ends with the connection."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        for piece in pieces:
            request.wfile.write(piece)

    return answer


def drip(first: bytes, piece: bytes, ended: threading.Event) -> Page:
    """Return a page that goes on and on, until its connection breaks or the test ends."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        with contextlib.suppress(OSError):
            request.wfile.write(first)
            while not ended.wait(0.02):
                request.wfile.write(piece)

    return answer


@dataclass
class Server:
    """A web server: its pages by path, and the requests that it had, with their Host headers.

    `bodies` are what was posted to it.
    """

    port: int = 0
    pages: dict[str, Page] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0


@contextlib.contextmanager
def serving(tls: ssl.SSLContext | None) -> Iterator[Server]:
    """Serve pages on loopback, on a port of its own."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.requests.append((self.headers["host"], self.path))
            server.headers.append(dict(self.headers))
            server.pages[self.path](self)

        def do_POST(self) -> None:
            server.bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    class Listener(ThreadingHTTPServer):
        daemon_threads = True

        def get_request(self) -> tuple[socket.socket, object]:
            server.connections += 1
            return super().get_request()

        def finish_request(self, request: object, client_address: object) -> None:
            assert isinstance(request, socket.socket)
            with contextlib.suppress(OSError):  # one who does not trust the certificate hangs up
                if tls is None:
                    super().finish_request(request, client_address)
                    return
                with tls.wrap_socket(request, server_side=True) as wrapped:
                    super().finish_request(wrapped, client_address)

    with Listener(("127.0.0.1", 0), Handler) as listener:
        server.port = listener.server_port
        thread = threading.Thread(target=lambda: listener.serve_forever(0.01))
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()


def certificate(folder: Path, *names: str) -> Path:
    """Make a certificate for these names, signed by itself; the key is in the same file."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(  # noqa: S603 - names of ours
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=test", "-keyout", key, "-out", certificate),
            *("-addext", "subjectAltName=" + ",".join(names)),
            *("-addext", "keyUsage=critical,digitalSignature,keyCertSign"),
        ],
        check=True,
        capture_output=True,
    )
    certificate.write_text(certificate.read_text() + key.read_text())
    return certificate


@dataclass
class Internet:
    """The hosts' addresses, resolved each time anew, and the server at each address.

    `asked` are the hosts that were resolved, `connected` the addresses that were connected to.
    """

    hosts: dict[str, list[Sequence[str]]] = field(default_factory=dict)
    servers: dict[str, Server] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    connected: list[tuple[str, int]] = field(default_factory=list)

    def resolve(self, host: str, _port: int) -> Sequence[str]:
        """Return the next answer for a host; the last one stays."""
        self.asked.append(host)
        answers = self.hosts[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def connect(
        self, address: tuple[str, int], timeout: float, *_: object, **__: object
    ) -> socket.socket:
        """Connect to the server at an address, as urllib3 would."""
        self.connected.append(address)
        server = self.servers.get(address[0])
        if server is None:
            raise ConnectionRefusedError
        return socket.create_connection(("127.0.0.1", server.port), timeout)
