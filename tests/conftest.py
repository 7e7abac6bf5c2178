"""Fixtures that all tests share: the template, AWS under moto, two tenants, and a set clock."""

import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws
from samtranslator.yaml_helper import yaml_parse

from afterword import clients, clock, services, settings, telemetry, worker
from afterword.keys import Scope
from afterword.models import provider
from afterword.registry import Registry
from afterword.store import GenerationStore

ROOT = Path(__file__).parent.parent
FLOW = "mail-reply"
START = datetime(2026, 11, 10, 9, 0, tzinfo=UTC)

FLOW_DOCUMENT = json.dumps(
    {
        "id": FLOW,
        "name": "Replies to customers",
        "steps": [{"name": "reply", "instructions": "Answer the mail politely.", "max_tokens": 300}],
    }
)


@dataclass
class SetClock:
    """A clock that stands still until it is moved on."""

    moment: datetime = START

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, **by: float) -> None:
        """Move on by that many seconds, minutes, …, as timedelta names them."""
        self.moment += timedelta(**by)


@dataclass(frozen=True)
class Tenant:
    """A tenant with a mail flow, and its key strings by what they may do."""

    id: str
    key: str
    submit_only: str
    read_only: str


@dataclass(frozen=True)
class LambdaContext:
    """What Lambda passes to a handler beside the event."""

    aws_request_id: str = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
    milliseconds: int = 60_000

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


@pytest.fixture(scope="session")
def template() -> Mapping[str, Any]:
    """The deployed template, parsed; table definitions for the tests come from here."""
    parsed: Mapping[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())
    return parsed


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """The product's clock, standing still at START."""
    set_clock = SetClock()
    monkeypatch.setattr(clock, "now", set_clock)
    return set_clock


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions' environment, as template.yaml sets it."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AFTERWORD_GENERATIONS_TABLE": "generations",
        "AFTERWORD_REGISTRY_TABLE": "registry",
        "AFTERWORD_BUCKET": "afterword-texts",
        "AFTERWORD_RETENTION_DAYS": "30",
        "AFTERWORD_MODEL_PROVIDER": "openai",
        "AFTERWORD_MODEL_ID": "test-model",
        "AFTERWORD_MODEL_URL": "http://127.0.0.1:9/v1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def aws(
    environment: None, template: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Every long-lived object built anew, over moto, with the template's tables, queue and bucket."""
    for cached in (
        settings.settings,
        clients._session,  # noqa: SLF001 - the one fixture that clears the caches
        clients.dynamodb,
        clients.sqs,
        clients.s3,
        clients.secrets_manager,
        clients.bedrock_runtime,
        services.registry,
        services.authenticator,
        services.store,
        services.queue,
        services.submitter,
        telemetry.logger,
        provider.model,
        worker.from_settings,
    ):
        cached.cache_clear()
    with mock_aws():
        resources = template["Resources"]
        for name, resource in (("generations", "GenerationsTable"), ("registry", "RegistryTable")):
            definition = deepcopy(resources[resource]["Properties"])
            for later in (
                "SSESpecification",
                "PointInTimeRecoverySpecification",
                "TimeToLiveSpecification",
            ):
                definition.pop(later, None)
            clients.dynamodb().create_table(TableName=name, **definition)
        url = clients.sqs().create_queue(QueueName="generate")["QueueUrl"]
        monkeypatch.setenv("AFTERWORD_QUEUE_URL", url)
        clients.s3().create_bucket(
            Bucket="afterword-texts",
            CreateBucketConfiguration={"LocationConstraint": "eu-west-1"},
        )
        yield


@pytest.fixture
def registry(aws: None) -> Registry:
    return services.registry()


@pytest.fixture
def store(aws: None) -> GenerationStore:
    return services.store()


@pytest.fixture
def make_tenant(registry: Registry) -> Callable[[str], Tenant]:
    """Create a tenant that has a mail flow."""

    def make(tenant_id: str) -> Tenant:
        registry.create_tenant(tenant_id, f"{tenant_id} Ltd")
        registry.put_flow(tenant_id, FLOW, FLOW_DOCUMENT)
        return Tenant(
            tenant_id,
            registry.create_key(tenant_id, [Scope.SUBMIT, Scope.READ])[1],
            registry.create_key(tenant_id, [Scope.SUBMIT])[1],
            registry.create_key(tenant_id, [Scope.READ])[1],
        )

    return make


@pytest.fixture
def tenant(make_tenant: Callable[[str], Tenant]) -> Tenant:
    return make_tenant("demo")


@pytest.fixture
def other_tenant(make_tenant: Callable[[str], Tenant]) -> Tenant:
    return make_tenant("other")


@pytest.fixture
def context() -> LambdaContext:
    return LambdaContext()


@pytest.fixture
def load_event() -> Callable[[str], dict[str, Any]]:
    """Read a sample event of `events/`."""

    def load(name: str) -> dict[str, Any]:
        event: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
        return event

    return load
