"""Fixtures of the functional tests: events with a key in them, and whole results to expect."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import pytest

from afterword.engine import waiting
from afterword.generations import Status
from afterword.limits import Limits, shards
from afterword.models import provider
from afterword.runtime import deadline
from afterword.runtime import queue as queues
from afterword.runtime.outbound import Fetcher
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, Event, SetClock, Tenant
from tests.harness import unless
from tests.harness.administration import Administration
from tests.harness.api import invoke
from tests.harness.chats import Chats
from tests.harness.contents import Contents
from tests.harness.deployment import REFERENCES
from tests.harness.fake_embeddings import FakeEmbeddings
from tests.harness.fake_model import FakeModel
from tests.harness.genai_stack import CHAT, CHAT_DOCUMENT, FORM, FORM_DOCUMENT, Client
from tests.harness.native_generations import Native
from tests.harness.response_headers import NO_STORE
from tests.harness.stand_in_aws import read_items
from tests.harness.webhooks import Queue as WebhookQueue
from tests.harness.webhooks import Receiver, Webhooks

HEADERS = {"content-type": "application/json", **NO_STORE}
"""The keys of every HTTP result."""

type Result = Mapping[str, Any]


def refusal(status: int, message: str, **headers: str) -> Result:
    """Return the whole result of an error in Dialonce's shape."""
    phrase = HTTPStatus(status).phrase
    return {
        "statusCode": status,
        "headers": {**HEADERS, **headers},
        "body": json.dumps({"statusCode": status, "message": message, "error": phrase}),
    }


def unauthorized(message: str) -> Result:
    """Return the whole result of a request without a good key."""
    return refusal(401, message, **{"www-authenticate": "Bearer"})


NO_SUCH_GENERATION = refusal(404, "There is no such generation.")
NO_SUCH_COMPANY = refusal(404, "There is no such company.")
TRY_AGAIN = refusal(503, "Try again in a moment.", **{"retry-after": "1"})


@pytest.fixture
def submission_event(tenant: Tenant, load_event: Callable[[str], Event]) -> Event:
    """Return the sample event of a submission, with the tenant's key."""
    event = load_event("submit_mail_generation")
    event["headers"]["authorization"] = f"Bearer {tenant.key}"
    return event


@pytest.fixture
def their_submission_event(other_tenant: Tenant, load_event: Callable[[str], Event]) -> Event:
    """Return the sample event of a submission, as the other tenant sends it."""
    event = load_event("submit_mail_generation")
    event["headers"]["authorization"] = f"Bearer {other_tenant.key}"
    event["pathParameters"]["companyCuid"] = other_tenant.id
    return event


@pytest.fixture
def reading_event(tenant: Tenant, load_event: Callable[[str], Event]) -> Callable[[str], Event]:
    """Return a function that gives the sample event of a reading, for a generation's id."""

    def make(generation_id: str) -> Event:
        event = load_event("get_mail_generation")
        event["headers"]["authorization"] = f"Bearer {tenant.key}"
        event["pathParameters"]["processCuid"] = generation_id
        return event

    return make


@pytest.fixture
def message_event(load_event: Callable[[str], Event]) -> Callable[[str], Event]:
    """Return a function that gives the worker's sample event, for a generation's id."""

    def make(generation_id: str) -> Event:
        event = load_event("generate")
        event["Records"][0]["body"] = json.dumps({"tenant": "demo", "id": generation_id})
        return event

    return make


@pytest.fixture
def use_model(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeModel], None]:
    """Return a function that replaces the deployment's model by a stand-in."""

    def use(model: FakeModel) -> None:
        for built in ("model", "worker"):
            vars(services()).pop(built, None)
        monkeypatch.setattr(provider, "build_model", lambda *_: model)

    return use


@pytest.fixture
def use_embeddings(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeEmbeddings], None]:
    """Return a function that gives the deployment an embedding model, a stand-in."""

    def use(model: FakeEmbeddings) -> None:
        monkeypatch.setenv("AFTERWORD_EMBEDDING_PROVIDER", "openai")
        monkeypatch.setenv("AFTERWORD_EMBED_QUEUE_URL", REFERENCES["EmbedQueue"])
        monkeypatch.setattr(provider, "build_embedding_model", lambda *_: model)
        services.cache_clear()

    return use


type ClientFor = Callable[..., Client]
"""A function of a tenant, a flow and scopes."""


@pytest.fixture
def client_for(load_event: Callable[[str], Event]) -> ClientFor:
    """Return a function that makes a client of GenAI Stack's API, with a key for one flow."""

    def make(
        tenant: Tenant,
        flow: str = FLOW,
        scopes: Collection[Scope] = frozenset({Scope.SUBMIT, Scope.READ}),
    ) -> Client:
        key = services().registry.create_key(tenant.id, scopes, flow=flow)[1]
        return Client(load_event, tenant.id, flow, key)

    return make


@pytest.fixture
def client(tenant: Tenant, client_for: ClientFor, set_clock: SetClock) -> Client:  # noqa: ARG001 - its clock
    """Return a client of the app that is the mail flow, which asks for one text."""
    return client_for(tenant)


@pytest.fixture
def contents_of(load_event: Callable[[str], Event]) -> Callable[[Tenant], Contents]:
    """Return a function that makes a client of a tenant's contents, with a key for all of it."""

    def make(tenant: Tenant) -> Contents:
        scopes = [Scope.ADMIN, Scope.READ]
        return Contents(load_event, services().registry.create_key(tenant.id, scopes)[1])

    return make


@pytest.fixture
def contents(
    tenant: Tenant,
    contents_of: Callable[[Tenant], Contents],
    set_clock: SetClock,  # noqa: ARG001 - its clock
) -> Contents:
    """Return a client of the contents of the sample events' tenant."""
    return contents_of(tenant)


@pytest.fixture
def webhooks(
    tenant: Tenant,
    load_event: Callable[[str], Event],
    set_clock: SetClock,  # noqa: ARG001 - its clock
) -> Webhooks:
    """Return a client of the webhooks of the sample events' tenant."""
    return Webhooks(load_event, tenant.key_with(Scope.ADMIN))


@pytest.fixture
def receiver(aws: None, monkeypatch: pytest.MonkeyPatch) -> Receiver:  # noqa: ARG001 - its effect
    """Return the receiver of all requests to webhooks from now on."""
    receiver = Receiver()
    monkeypatch.setattr(Fetcher, "post", lambda _, *sent: receiver.post(*sent[:4]))
    return receiver


@pytest.fixture
def webhook_queue(
    load_event: Callable[[str], Event], monkeypatch: pytest.MonkeyPatch
) -> WebhookQueue:
    """Return the queue that the sender is given its messages by."""
    queue = WebhookQueue(load_event)
    monkeypatch.setattr(queues.Queue, "change_visibility", lambda _, *hidden: queue.hide(*hidden))
    monkeypatch.setattr(queues.Queue, "send_later", lambda _, *sent: queue.delay(*sent))
    return queue


@pytest.fixture
def form(tenant: Tenant, client_for: ClientFor, set_clock: SetClock) -> Client:  # noqa: ARG001 - its clock
    """Return a client of an app that asks for inputs of all kinds."""
    services().registry.put_flow(tenant.id, FORM, FORM_DOCUMENT)
    return client_for(tenant, FORM)


@pytest.fixture
def chat(tenant: Tenant, client_for: ClientFor, set_clock: SetClock) -> Client:  # noqa: ARG001 - its clock
    """Return a client of an app that is a conversation."""
    services().registry.put_flow(tenant.id, CHAT, CHAT_DOCUMENT)
    return client_for(tenant, CHAT)


@pytest.fixture
def chats(chat: Client) -> Chats:
    """Return a client of the chat sessions of an app that is a conversation."""
    return Chats(chat)


@pytest.fixture
def work_while_waiting(
    monkeypatch: pytest.MonkeyPatch,
    set_clock: SetClock,
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
) -> Callable[[FakeModel | None], None]:
    """Return a function that lets a model answer while clients wait, or for None nothing."""

    def sleep(seconds: float) -> None:
        set_clock.advance(seconds=seconds)
        for item in read_items("GenerationsTable"):
            if working and item.get("status", {}).get("S") == Status.QUEUED:
                invoke("generate", message_event(item["id"]["S"]))

    working: list[FakeModel] = []
    passing = SimpleNamespace(monotonic=lambda: set_clock().timestamp(), sleep=sleep)

    def use(model: FakeModel | None) -> None:
        monkeypatch.setattr(waiting, "time", passing)
        monkeypatch.setattr(deadline, "time", passing)
        working[:] = [] if model is None else [model]
        if model is not None:
            use_model(model)

    return use


@pytest.fixture
def administration_of(load_event: Callable[[str], Event]) -> Callable[..., Administration]:
    """Return a function that makes a client of the native API with a key for all scopes."""

    def make(tenant: Tenant, flow: str | None = None) -> Administration:
        return Administration(
            load_event, services().registry.create_key(tenant.id, Scope, flow=flow)[1]
        )

    return make


@pytest.fixture
def administration(
    set_clock: SetClock,  # noqa: ARG001 - its clock
    tenant: Tenant,
    administration_of: Callable[..., Administration],
) -> Administration:
    """Return such a client of the tenant, at START."""
    return administration_of(tenant)


@pytest.fixture
def native(
    tenant: Tenant,
    load_event: Callable[[str], Event],
    set_clock: SetClock,  # noqa: ARG001 - its clock
) -> Native:
    """Return a client of the native API's generations, with the tenant's key."""
    return Native(load_event, tenant.key)


@pytest.fixture
def greedy_tenant(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """Give the tenant a limit of reads, and all tenants' slots further items; no count may fail.

    So each right over the quotas is used, and the lack of one is seen.
    """
    services().registry.set_limits(tenant.id, Limits(reads_per_minute=1_000))
    monkeypatch.setattr(shards, "MAIN_SLOTS", 0)
    yield
    messages = {record.getMessage() for record in caplog.get_records("call")}
    assert "could not count reads" not in messages


@pytest.fixture
def visitor(
    tenant: Tenant,
    load_event: Callable[[str], Event],
    set_clock: SetClock,  # noqa: ARG001 - its clock
) -> unless.Visitor:
    """Return a client of a tenant whose only chat is the help center."""
    unless.put_flow(tenant.id)
    return unless.Visitor(load_event, tenant.id, tenant.key)
