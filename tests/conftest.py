"""Fixtures that all tests share: the template, AWS under moto, tenants, the log and a set clock."""

import gc
import io
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import botocore.endpoint
import pytest
from botocore.client import BaseClient
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from moto.core.botocore_stubber import BotocoreStubber

from afterword import clock
from afterword.generations.store import GenerationStore
from afterword.runtime import outbound, telemetry
from afterword.runtime.addresses import FetchError
from afterword.runtime.clients import clients
from afterword.services import services
from afterword.tenants.keys import Scope
from afterword.tenants.registry import Registry
from tests.harness import (
    roles,
    seeds,  # noqa: F401 - chooses the fresh seed before other processes start
)
from tests.harness.deployment import QUEUE_NAME, REFERENCES, REGION, Deployment, parsed_template
from tests.harness.stand_in_aws import (
    EventHandlers,
    count_messages,
    let_one_call_in_at_a_time,
    put_items,
    read_items,
    read_object_keys,
    stand_in_aws,
)

ROOT = Path(__file__).parent.parent
PACKAGES = {path.name for path in (ROOT / "layers/core/afterword").iterdir() if path.is_dir()}
FLOW = "mail-reply"
FLOW_DOCUMENT = json.dumps(
    {
        "id": FLOW,
        "name": "Replies to customers",
        "steps": [
            {"name": "reply", "instructions": "Answer the mail politely.", "max_tokens": 300}
        ],
    }
)
START = datetime(2026, 11, 10, 9, 0, tzinfo=UTC)
PUBLIC_ADDRESS = "93.184.215.14"
"""The address of all names of example.com in the tests."""
PARAMETERS = {
    "ModelProvider": "openai",
    "ModelId": "test-model",
    "ModelBaseUrl": "http://127.0.0.1:9/v1",
}
"""The template's parameters in the tests; the others keep their defaults."""

_CLIENTS_EVENTS = EventHandlers()
_TENANTS: dict[tuple[str, datetime | None], tuple[list[dict[str, Any]], str]] = {}
"""The items and the key of each tenant that was created, by its id and the set clock's moment."""

type Event = dict[str, Any]

roles.let_handlers_act_in_their_roles()


@dataclass
class SetClock:
    """A clock that stands still until it is moved on."""

    moment: datetime = START

    def __call__(self) -> datetime:
        """Return the moment at which it stands."""
        return self.moment

    def advance(self, **by: float) -> None:
        """Move on by that many seconds, minutes, …, as timedelta names them."""
        self.moment += timedelta(**by)


@dataclass(frozen=True)
class Tenant:
    """A tenant with a mail flow, and a key string that may submit and read."""

    id: str
    key: str

    def key_with(self, scope: Scope) -> str:
        """Create a key that may do only this, and return its string."""
        return services().registry.create_key(self.id, [scope])[1]


@dataclass
class LambdaContext:
    """The context that Lambda passes to a handler beside the event."""

    aws_request_id: str = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
    milliseconds: int = 60_000

    def get_remaining_time_in_millis(self) -> int:
        """Return the rest of the invocation's time."""
        return self.milliseconds


@dataclass(frozen=True)
class Call:
    """A call of an AWS operation, such as `dynamodb.PutItem`, with its parameters."""

    operation: str
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Stored:
    """How much there is in the table of generations, in the queue and in the bucket."""

    items: int
    messages: int
    objects: int


def pytest_collection_finish() -> None:
    """Leave the modules and the collected tests out of the garbage collector's work."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(autouse=True)
def no_sockets(request: pytest.FixtureRequest) -> None:
    """Let no test of a package open a socket; moto answers before botocore would open one."""
    is_of_package = request.path.parent.name in PACKAGES or request.path.parent == ROOT / "tests"
    if is_of_package and request.node.get_closest_marker("sockets") is None:
        request.getfixturevalue("socket_disabled")


@pytest.fixture(scope="session")
def template() -> Mapping[str, Any]:
    """Return the deployed template, parsed; the tests' table definitions come from here."""
    return parsed_template()


@pytest.fixture(scope="session")
def deployment(template: Mapping[str, Any]) -> Deployment:
    """Return the template with PARAMETERS, its functions calling an OpenAI-compatible model."""
    return Deployment(template, PARAMETERS)


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """Set the product's clock to START, where it stands still."""
    set_clock = SetClock()
    monkeypatch.setattr(clock, "now", set_clock)
    return set_clock


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, deployment: Deployment) -> None:
    """Set the environment of all the functions, as template.yaml has it, and nobody's AWS."""
    for name in list(os.environ):
        if name.startswith(("AFTERWORD_", "AWS_", "POWERTOOLS_")):
            monkeypatch.delenv(name)
    variables = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    for function in deployment.functions.values():
        variables |= function.environment
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def aws(
    environment: None,  # noqa: ARG001 - asked for its effect
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[None]:
    """Start with new long-lived objects, over moto with the template's tables, queue and bucket."""
    with fresh_aws(monkeypatch):
        yield


@contextmanager
def fresh_aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start as the fixture `aws` does, for a test that needs it several times."""
    for cached in (services, telemetry.logger):
        cached.cache_clear()
    forget_handlers()
    let_one_call_in_at_a_time(monkeypatch)
    find_examples_alone(monkeypatch)
    roles.enforce(monkeypatch)
    with stand_in_aws():
        yield


def forget_handlers() -> None:
    """Drop the event handlers that a test has registered with the AWS clients, and Bedrock's."""
    for name in ("bedrock_agent_runtime", "bedrock_runtimes", "s3vectors"):
        vars(clients()).pop(name, None)
    _CLIENTS_EVENTS.set_back(_all_clients())


def _all_clients() -> list[BaseClient]:
    return [
        clients().dynamodb,
        clients().sqs,
        clients().s3,
        clients().secrets_manager,
        clients().events,
        clients().ssm,
    ]


@pytest.fixture
def calls(aws: None) -> list[Call]:  # noqa: ARG001 - asked for its effect
    """Return a list that every call of AWS is added to from now on."""
    made: list[Call] = []

    def note(params: Mapping[str, Any], event_name: str, **_: object) -> None:
        made.append(Call(event_name.removeprefix("before-parameter-build."), dict(params)))

    for client in _all_clients():
        client.meta.events.register("before-parameter-build", note)
    return made


@pytest.fixture
def cut_off(aws: None) -> Callable[[str], None]:  # noqa: ARG001 - asked for its effect
    """Return a function that puts an operation, such as `sqs.SendMessage`, out of reach."""

    def cut(operation: str) -> None:
        def fail(**_: object) -> None:
            raise EndpointConnectionError(endpoint_url="https://aws.invalid")

        for client in _all_clients():
            client.meta.events.register(f"before-call.{operation}", fail)

    return cut


@pytest.fixture
def lose_answer(aws: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:  # noqa: ARG001 - asked for its effect
    """Return a function that loses the answer to an operation's next call, which botocore repeats.

    The operation is named as in `dynamodb.UpdateItem`.
    """
    lost: list[str] = []
    answer = BotocoreStubber.__call__

    def call(stubber: BotocoreStubber, event_name: str, request: Any, **_: object) -> Any:  # noqa: ANN401 - moto's own
        response = answer(stubber, event_name=event_name, request=request)
        operation = event_name.removeprefix("before-send.")
        if operation in lost:
            lost.remove(operation)
            raise ReadTimeoutError(endpoint_url="https://aws.invalid")
        return response

    monkeypatch.setattr(BotocoreStubber, "__call__", call)
    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda _: None))
    return lost.append


def find_examples_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give names of example.com a public address, and others none; literals are themselves."""

    def resolve(host: str, _port: int) -> list[str]:
        if host.endswith(".example.com"):
            return [PUBLIC_ADDRESS]
        with suppress(ValueError):
            return [str(ip_address(host))]
        if host == "localhost":
            return ["127.0.0.1", "::1"]
        raise OSError

    monkeypatch.setattr(outbound, "_resolve_host", resolve)


@pytest.fixture
def no_internet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be fetched, and ask no name server; examples can still be registered."""
    find_examples_alone(monkeypatch)

    def refuse(*_: object) -> NoReturn:
        raise FetchError("the host did not answer")

    monkeypatch.setattr(outbound.Fetcher, "_connect", refuse)


@pytest.fixture
def stored(aws: None) -> Callable[[], Stored]:  # noqa: ARG001 - asked for its effect
    """Return a function that counts what is stored."""
    return lambda: Stored(
        items=len(read_items("GenerationsTable")),
        messages=count_messages(QUEUE_NAME),
        objects=len(read_object_keys("Bucket")),
    )


@pytest.fixture
def read_item(aws: None) -> Callable[[str, str], dict[str, Any]]:  # noqa: ARG001 - for its effect
    """Return a function that reads a generation's item as DynamoDB has it."""

    def read(tenant: str, generation_id: str) -> dict[str, Any]:
        return dict(
            clients().dynamodb.get_item(
                TableName=REFERENCES["GenerationsTable"],
                Key={"pk": {"S": f"{tenant}#{generation_id}"}},
                ConsistentRead=True,
            )["Item"]
        )

    return read


@pytest.fixture
def log(aws: None) -> Iterator[io.StringIO]:  # noqa: ARG001 - asked for its effect
    """Return the stream of the log lines written from now on."""
    written = io.StringIO()
    handler = telemetry.logger().registered_handler
    assert isinstance(handler, logging.StreamHandler)
    before = handler.setStream(written)
    yield written
    handler.setStream(before)


@pytest.fixture
def log_lines(log: io.StringIO) -> Callable[[], list[dict[str, Any]]]:
    """Return a function that gives the lines logged so far, parsed."""
    return lambda: [json.loads(line) for line in log.getvalue().splitlines()]


@pytest.fixture
def registry(aws: None) -> Registry:  # noqa: ARG001 - asked for its effect
    """Return the registry."""
    return services().registry


@pytest.fixture
def store(aws: None) -> GenerationStore:  # noqa: ARG001 - asked for its effect
    """Return the store of generations."""
    return services().store


@pytest.fixture
def make_tenant(registry: Registry) -> Callable[[str], Tenant]:
    """Return a function that creates a tenant with a mail flow.

    The first of an id is created by the registry, and later ones by copies of its items: most tests
    need a tenant.
    """

    def make(tenant_id: str) -> Tenant:
        moment = clock.now() if isinstance(clock.now, SetClock) else None
        if (tenant_id, moment) not in _TENANTS:
            others = read_items("RegistryTable")
            registry.create_tenant(tenant_id, f"{tenant_id} Ltd")
            registry.put_flow(tenant_id, FLOW, FLOW_DOCUMENT)
            key = registry.create_key(tenant_id, [Scope.SUBMIT, Scope.READ])[1]
            items = [item for item in read_items("RegistryTable") if item not in others]
            _TENANTS[tenant_id, moment] = (items, key)
            return Tenant(tenant_id, key)
        items, key = _TENANTS[tenant_id, moment]
        put_items("RegistryTable", items)
        return Tenant(tenant_id, key)

    return make


@pytest.fixture
def tenant(make_tenant: Callable[[str], Tenant]) -> Tenant:
    """Create the tenant of the sample events."""
    return make_tenant("demo")


@pytest.fixture
def other_tenant(make_tenant: Callable[[str], Tenant]) -> Tenant:
    """Create another tenant, with a flow of the same id."""
    return make_tenant("other")


@pytest.fixture
def context() -> LambdaContext:
    """Return a Lambda context with a minute left."""
    return LambdaContext()


@pytest.fixture
def load_event() -> Callable[[str], Event]:
    """Return a function that reads a sample event of `events/`."""

    def load(name: str) -> Event:
        event: Event = json.loads((ROOT / "events" / f"{name}.json").read_text())
        return event

    return load
