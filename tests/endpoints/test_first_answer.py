"""The first request of a process finds open connections, and one that went stale is replaced."""

import gc
import json
import sys
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from types import ModuleType, SimpleNamespace
from typing import Any

import botocore.endpoint
import botocore.session
import pytest

from afterword.handlers import http
from afterword.runtime import cold_start
from afterword.runtime.clients import Clients
from afterword.runtime.settings import Settings
from afterword.services import Services
from bench.cases import ENDED, environment, populate
from bench.certificates import Certificates, write_certificates
from bench.stub import Stub, Tls
from functions.get_generation import app as get_generation
from tests.conftest import ROOT, LambdaContext

pytestmark = pytest.mark.sockets


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return a server's certificate and its root."""
    return write_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def peers(certificates: Certificates) -> Iterator[tuple[Stub, Tls]]:
    """Serve AWS on loopback, without and with TLS, until the test ends."""
    with Stub() as stub, Tls(stub, str(certificates.server)) as tls:
        threads = [threading.Thread(target=server.serve_forever) for server in (stub, tls)]
        for thread in threads:
            thread.start()
        yield stub, tls
        for server in (stub, tls):
            server.shutdown()
        for thread in threads:
            thread.join()


@pytest.fixture
def started(
    peers: tuple[Stub, Tls], certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Services]:
    """Return a function that builds the services of a new process, which calls the peer by TLS."""
    _, tls = peers
    settings = environment(f"https://127.0.0.1:{tls.server_port}")
    for name, value in settings.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates.root))
    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda _: None))

    def start(**changes: str) -> Services:
        session = botocore.session.Session()
        clients = Clients(lambda service, config: session.create_client(service, config=config))
        built = Services(clients, Settings({**settings, **changes}))
        for module in (http, get_generation):
            monkeypatch.setattr(module, "services", lambda: built)
        return built

    return start


@pytest.fixture
def in_lambda(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin the start of a process in Lambda, with its collector, which is on again afterwards."""
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setitem(sys.modules, "awslambdaric", ModuleType("awslambdaric"))
    cold_start.begin()
    yield
    gc.enable()


def read_generation(key: str) -> dict[str, Any]:
    """Ask for the generation that the peer has."""
    event = json.loads((ROOT / "events/get_generation.json").read_text())
    event["headers"] = {"authorization": f"Bearer {key}"}
    event["pathParameters"] = {"id": ENDED}
    return get_generation.handler(event, LambdaContext())


@pytest.mark.usefixtures("in_lambda")
def test_a_start_in_lambda_opens_all_connections_of_the_first_request(
    peers: tuple[Stub, Tls], started: Callable[..., Services]
) -> None:
    """Two connections, one call that the role has, and no handshake is left to a submission."""
    stub, tls = peers
    services = started()
    cold_start.end(lambda: services.prepare(submits=True))
    assert [target for target, _ in stub.seen] == ["DynamoDB_20120810.GetItem"]
    assert tls.handshakes == 2
    services.registry.get_key("another")
    services.queue.send("demo", ENDED)
    assert tls.handshakes == 2


@pytest.mark.usefixtures("in_lambda")
def test_an_endpoint_that_only_reads_opens_one_connection(
    peers: tuple[Stub, Tls], started: Callable[..., Services]
) -> None:
    """No endpoint connects to a service that it has no business with."""
    services = started()
    cold_start.end(lambda: services.prepare(submits=False))
    assert peers[1].handshakes == 1


@pytest.mark.usefixtures("in_lambda")
def test_the_setting_turns_the_connections_off(
    peers: tuple[Stub, Tls], started: Callable[..., Services]
) -> None:
    """With ConnectAtStart false a start calls nobody, and the first request connects."""
    stub, tls = peers
    key, _ = populate(f"http://127.0.0.1:{stub.server_port}")
    stub.seen.clear()
    services = started(AFTERWORD_CONNECT_AT_START="false")
    cold_start.end(lambda: services.prepare(submits=True))
    assert (stub.seen, tls.handshakes) == ([], 0)
    assert read_generation(key)["statusCode"] == HTTPStatus.OK
    assert tls.handshakes == 1


@pytest.mark.usefixtures("in_lambda")
def test_a_start_without_aws_is_no_failure(
    started: Callable[..., Services], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance that cannot connect, or lacks a setting, starts all the same."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://127.0.0.1:9")
    services = started()
    cold_start.end(lambda: services.prepare(submits=True))
    cold_start.begin()
    lacking = started(AFTERWORD_REGISTRY_TABLE="")
    cold_start.end(lambda: lacking.prepare(submits=True))
    assert gc.isenabled()


@pytest.mark.usefixtures("in_lambda")
def test_a_start_waits_for_no_peer_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that takes too long is left behind: Lambda gives a start ten seconds."""
    monkeypatch.setattr(cold_start, "CONNECT_SECONDS", 0.01)
    answered = threading.Event()
    cold_start.end(lambda: [answered.wait, answered.wait])
    assert gc.isenabled()
    answered.set()


def test_a_connection_that_went_stale_in_a_freeze_is_replaced(
    peers: tuple[Stub, Tls], started: Callable[..., Services]
) -> None:
    """Sockets that the peer closed between two invocations cost a handshake, and no error."""
    stub, tls = peers
    key, _ = populate(f"http://127.0.0.1:{stub.server_port}")
    started()
    first = read_generation(key)
    tls.close_connections()
    assert read_generation(key) == first
    assert (first["statusCode"], tls.handshakes) == (HTTPStatus.OK, 2)


def test_a_connection_that_breaks_under_a_request_is_replaced(
    peers: tuple[Stub, Tls], started: Callable[..., Services], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that forgot a connection resets it when the request comes: botocore tries again."""
    stub, tls = peers
    key, _ = populate(f"http://127.0.0.1:{stub.server_port}")
    started()
    first = read_generation(key)
    answer = tls.answer

    def reset(_target: str, _body: str) -> object:
        monkeypatch.setattr(tls, "answer", answer)
        raise ConnectionResetError

    monkeypatch.setattr(tls, "answer", reset)
    assert read_generation(key) == first
    assert tls.handshakes == 2
