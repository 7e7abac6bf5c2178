"""The subjects of the fuzz tests: the endpoints, with a tenant, its key and its generation."""

import json
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from urllib.parse import quote, urlencode

import pytest

from afterword import clock
from afterword.dialects import genai_stack, native, promptitude, unless
from afterword.engine import waiting
from afterword.generations import Status
from afterword.knowledge import Draft
from afterword.runtime.clients import clients
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, FLOW_DOCUMENT, Call, Event, Tenant
from tests.fuzz.contract import SUBMISSION, Operation
from tests.fuzz.gateway import Gateway, HttpRequest, HttpResponse
from tests.harness.api import QUESTION
from tests.harness.belongings import generation_parameters, make_belongings, submitted
from tests.harness.classes import give_classes, submit_classification
from tests.harness.deployment import DEFAULT_ROUTE, REFERENCES, Deployment
from tests.harness.fake_model import completion
from tests.harness.stand_in_aws import Everything, made_once, read_everything

MANY = 20
WAITING = (genai_stack.NAME, native.NAME, promptitude.NAME, unless.NAME)
"""Dialects whose clients wait for a generation's end."""
OWNED = ("/v1/content", "/v1/flows", "/v1/keys", "/v1/usage", "/v1/webhooks")
"""Operations that a key for one flow may not do, or not all of it."""
READS = re.compile(r"\w+\.(Get|BatchGet|Query|Scan|List)\w*")


def read_kept() -> Everything:
    """Return all that is stored but the counts of limits, which a refusal may change."""
    return read_everything(without=["QuotasTable"])


def has_many(there: Everything) -> bool:
    """Return whether there are many generations and contents, or objects of these."""
    items = sum(len(there.items[name]) for name in ("GenerationsTable", "ContentsTable"))
    objects = sum(len(there.objects[name]) for name in ("Bucket", "ContentsBucket"))
    return items > MANY or objects > MANY


@dataclass
class World:
    """The endpoints, and what a good request to them has.

    `parameters` are parameters that name something which is there, `headers` a good key.
    `owner` is the header of a key that administers, which a key for a flow may not. `anew` makes
    what an operation uses up, by the operation's name, and returns its parameters.
    `calls` are the calls of AWS, and `there` is what was stored when it was read last.
    `begin_again` puts back what was stored before the first request.
    """

    gateway: Gateway
    calls: list[Call]
    load_event: Callable[[str], Event]
    parameters: Mapping[str, str]
    headers: Mapping[str, str]
    owner: Mapping[str, str]
    there: Everything
    anew: Mapping[str, Callable[[], Mapping[str, str]]] = field(default_factory=dict)
    begin_again: Callable[[], object] = lambda: None

    def credentials(self, operation: Operation) -> Mapping[str, str]:
        """Return the header of a key that is good for an operation."""
        owned = operation.path.startswith(OWNED) and not operation.path.endswith("/generate")
        return self.owner if owned else self.headers

    def make_parameters(self, operation: Operation) -> Mapping[str, str]:
        """Return parameters that name what is there for an operation."""
        if operation.name not in self.anew:
            return self.parameters
        parameters = {**self.parameters, **self.anew[operation.name]()}
        self.there = read_kept()
        return parameters

    def event(self, operation: Operation) -> Event:
        """Return the sample event of an operation's function, with a good key and parameters."""
        event = self.load_event(self._folder(operation))
        parameters = self.make_parameters(operation)
        event["headers"] |= self.credentials(operation)
        if "x-api-key" in event["headers"]:
            event["headers"]["x-api-key"] = self.headers["authorization"].removeprefix("Bearer ")
        if "queryStringParameters" in event:
            sent = {name: parameters[name] for name in event["queryStringParameters"]}
            event |= {"queryStringParameters": sent, "rawQueryString": urlencode(sent)}
        if "questionId" in parameters and "body" in event:
            event["body"] = event["body"].replace(QUESTION, parameters["questionId"])
        if "pathParameters" in event:
            event["pathParameters"] = {name: parameters[name] for name in event["pathParameters"]}
        return event

    def request(self, operation: Operation) -> HttpRequest:
        """Return the request that the sample event is of."""
        event = self.event(operation)
        path, body = operation.path, event.get("body", "")
        for name, value in event.get("pathParameters", {}).items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        return HttpRequest(
            method=operation.method.upper(),
            path=path,
            query=event["rawQueryString"],
            headers=[
                (name, value) for name, value in event["headers"].items() if "length" not in name
            ],
            body=b64decode(body) if event["isBase64Encoded"] else body.encode(),
        )

    def ask(self, operation: Operation, request: HttpRequest) -> HttpResponse:
        """Send a request, and assert that the operation may answer so, and stores no refused one.

        A path that is not the operation's may be any other, or none.
        """
        return self.judge(operation, lambda: self.gateway.send(request))

    def call(self, operation: Operation, event: Event) -> HttpResponse:
        """Do the same with an event."""
        return self.judge(operation, lambda: self.gateway.call(self._folder(operation), event))

    def ask_changed(self, operation: Operation, change: Callable[[Event], object]) -> HttpResponse:
        """Do the same with the sample event, of which something is changed."""
        event = self.event(operation)
        change(event)
        return self.call(operation, event)

    def judge(self, operation: Operation, answer: Callable[[], HttpResponse]) -> HttpResponse:
        """Do the same with whatever asks."""
        self.gateway.errors.clear()
        self.calls.clear()
        response = answer()
        if self.gateway.errors:
            raise self.gateway.errors[0]
        if response.route == DEFAULT_ROUTE:
            assert response.status in {404, 405}
        else:
            operation.check(response)
        writes = [call for call in self.calls if not READS.fullmatch(call.operation)]
        if operation.method == "get" and "prefer" not in operation.reads:  # waits have places
            assert writes == []
        elif writes:
            before, self.there = self.there, read_kept()
            assert response.status < 400 or self.there == before
            if has_many(self.there):
                self.begin_again()  # moto is slow to list many
                self.there = read_kept()
        return response

    def _folder(self, operation: Operation) -> str:
        return next(route.folder for route in self.gateway.routes if route.key == operation.route)


@pytest.fixture
def quick_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let generations end while a client waits for them, in no time."""

    def finish(_seconds: float) -> None:
        items = clients().dynamodb.scan(TableName=REFERENCES["GenerationsTable"])["Items"]
        for item in items:
            queued = item.get("status", {}).get("S") == Status.QUEUED
            if queued and item["dialect"]["S"] in WAITING:
                lease = clock.now() + timedelta(minutes=1)
                claim = services().store.claim(item["tenant"]["S"], item["id"]["S"], lease)
                assert claim is not None
                services().outbox.succeed(claim, completion("Hi"))

    monkeypatch.setattr(waiting, "time", SimpleNamespace(sleep=finish))


def _give_classes(tenant: Tenant) -> Mapping[str, str]:
    give_classes(tenant)
    return {}


def _classify(tenant: Tenant) -> Mapping[str, str]:
    give_classes(tenant)
    return {"processCuid": submit_classification(tenant)}


def _make_chat(tenant: Tenant) -> Mapping[str, str]:
    document = json.dumps(json.loads(FLOW_DOCUMENT) | {"type": "chat"})
    services().registry.put_flow(tenant.id, FLOW, document, again=False)
    return {}


@pytest.fixture
def anew(tenant: Tenant) -> Mapping[str, Callable[[], Mapping[str, str]]]:
    """Return the makers of the things that operations use up, by the operations' names."""

    def queued() -> Mapping[str, str]:
        return {"id": submitted(tenant)}

    def ended() -> Mapping[str, str]:
        generation = queued()
        services().outbox.cancel(tenant.id, generation["id"])
        return generation

    def answered() -> Mapping[str, str]:
        return {"questionId": ended()["id"]}

    def key() -> Mapping[str, str]:
        return {"keyId": services().registry.create_key(tenant.id, [Scope.READ])[0].id}

    def content() -> Mapping[str, str]:
        draft = Draft(name="Refunds", text="Soon.", folder="Terms")
        return {"contentId": services().contents.create(tenant.id, draft).id}

    def webhook() -> Mapping[str, str]:
        for endpoint in services().webhook_store.read_endpoints(tenant.id):
            services().webhook_endpoints.remove(tenant.id, endpoint.id)
        endpoint, _ = services().webhook_endpoints.create(tenant.id, "https://hooks.example.com/")
        return {"webhookId": endpoint.id}

    return {
        "cancel_generation": queued,
        "get_mail_classification": partial(_classify, tenant),
        "submit_mail_classification": partial(_give_classes, tenant),
        "create_chat_session": partial(_make_chat, tenant),
        "delete_content": content,
        "remove_content": content,
        "delete_generation": ended,
        "give_feedback": answered,
        "retry_generation": ended,
        "create_webhook": webhook,
        "delete_webhook": webhook,
        "revoke_key": key,
    }


@pytest.fixture
def world(  # noqa: PLR0913, PLR0917 - all that there is to ask
    deployment: Deployment,
    tenant: Tenant,
    quick_worker: None,  # noqa: ARG001 - asked for its effect
    no_internet: None,  # noqa: ARG001 - asked for its effect
    calls: list[Call],
    load_event: Callable[[str], Event],
    anew: Mapping[str, Callable[[], Mapping[str, str]]],
) -> World:
    """Return the endpoints, with a tenant who has one of each thing, and keys."""
    gateway = Gateway(deployment)

    def world_of(parameters: Mapping[str, str], key: str, owner: str) -> World:
        return World(
            gateway,
            calls,
            load_event,
            parameters,
            headers={"authorization": f"Bearer {key}"},
            owner={"authorization": f"Bearer {owner}"},
            there=read_kept(),
            anew=anew,
            begin_again=begin,
        )

    def make() -> tuple[Mapping[str, str], str, str]:
        _, key = services().registry.create_key(tenant.id, [Scope.SUBMIT, Scope.READ], flow=FLOW)
        _, owner = services().registry.create_key(tenant.id, [Scope.ADMIN, Scope.READ])
        parameters = make_belongings(tenant)
        accepted = gateway.send(world_of(parameters, key, owner).request(SUBMISSION))
        submitted_id = json.loads(accepted.body)["process_cuid"]
        return parameters | generation_parameters(submitted_id), key, owner

    begin = partial(made_once, ("fuzz", tenant.key), make)
    return world_of(*begin())
