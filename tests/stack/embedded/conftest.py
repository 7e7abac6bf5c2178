"""One stack that most of these tests share."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.stack.embedded.driver import Dev, Tenant, running

FIRST = "test_submissions_are_accepted_while_processes_are_killed"
LAST = "test_killed_workers_and_models_lose_nothing"
"""The chaos begins before all other tests and is looked at after them, minutes later."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the begin of the chaos first, and its end last."""
    items.sort(key=lambda item: {FIRST: 0, LAST: 2}.get(item.name, 1))


@dataclass
class FileHost:
    """A web server on loopback, whose host the stack's functions may fetch from."""

    host: str
    files: dict[str, bytes] = field(default_factory=dict)


@pytest.fixture(scope="session")
def file_host() -> Iterator[FileHost]:
    """Serve files by their paths."""
    host = FileHost("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = host.files.get(self.path)
            self.send_response(200 if content is not None else 404)
            self.send_header("content-length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_args: object) -> None:
            """Keep the tests' output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        host.host = f"127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield host
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory, file_host: FileHost) -> Iterator[Dev]:
    """Start the stack that most tests share."""
    settings = {
        "AFTERWORD_FETCH_ALLOWED": file_host.host,
        "AFTERWORD_ALLOWED_ORIGINS": "https://app.example.com",
        "AFTERWORD_MODEL_CHECK": "1",
        "AFTERWORD_WARM": "1",
        "AFTERWORD_EMBEDDING": "demo",
    }
    with running(tmp_path_factory.mktemp("dev"), **settings) as dev:
        yield dev


@pytest.fixture(scope="session")
def tenant(dev: Dev) -> Tenant:
    return dev.tenants()[0]


@pytest.fixture(scope="session")
def other_tenant(dev: Dev) -> Tenant:
    return dev.tenants()[1]
