"""What the fuzz tests ask: the endpoints, with a tenant, its key and its generation."""

import json
import re
import time
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from afterword import clients, clock, fetching, services, waiting
from afterword.contents import Draft
from afterword.dialects import promptitude
from afterword.generations import Status
from afterword.keys import Scope
from tests.conftest import FLOW, Call, Event, Stored, Tenant
from tests.deployment import REFERENCES, Deployment
from tests.fake_model import completion
from tests.fuzz.contract import SUBMISSION, Operation
from tests.fuzz.gateway import Gateway, HttpRequest, HttpResponse

MANY = 20
READS = re.compile(r"\w+\.(Get|BatchGet|Query|Scan|List)\w*")


@dataclass
class World:
    """The endpoints, and what a good request to them has.

    `parameters` are parameters that name something which is there, `headers` a good key.
    `owner` is the header of a key that administers contents, which a key for a flow may not.
    `calls` are the calls of AWS, and `there` is what was stored when it was counted last. `kept`
    are the items of the content that is there.
    """

    gateway: Gateway
    calls: list[Call]
    stored: Callable[[], Stored]
    load_event: Callable[[str], Event]
    parameters: Mapping[str, str]
    headers: Mapping[str, str]
    owner: Mapping[str, str]
    there: Stored
    kept: Sequence[Mapping[str, Any]] = ()

    def credentials(self, operation: Operation) -> Mapping[str, str]:
        """Return the header of a key that is good for an operation."""
        return self.owner if operation.path.startswith("/v1/content") else self.headers

    def event(self, operation: Operation) -> Event:
        """Return the sample event of an operation's function, with a good key and parameters."""
        event = self.load_event(self._folder(operation))
        event["headers"] |= self.credentials(operation)
        if "x-api-key" in event["headers"]:
            event["headers"]["x-api-key"] = self.headers["authorization"].removeprefix("Bearer ")
        if "queryStringParameters" in event:
            sent = {name: self.parameters[name] for name in event["queryStringParameters"]}
            event |= {"queryStringParameters": sent, "rawQueryString": urlencode(sent)}
        if "pathParameters" in event:
            event["pathParameters"] = {
                name: self.parameters[name] for name in event["pathParameters"]
            }
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

        A path that is not the operation's is not found, by the gateway.
        """
        return self.judge(operation, lambda: self.gateway.send(request))

    def call(self, operation: Operation, event: Event) -> HttpResponse:
        """Do the same with an event."""
        return self.judge(operation, lambda: self.gateway.call(self._folder(operation), event))

    def judge(self, operation: Operation, answer: Callable[[], HttpResponse]) -> HttpResponse:
        """Do the same with whatever asks."""
        self.gateway.errors.clear()
        self.calls.clear()
        response = answer()
        if self.gateway.errors:
            raise self.gateway.errors[0]
        if response.route is None:
            assert response.status == 404
        else:
            operation.check(response)
        writes = [call for call in self.calls if not READS.fullmatch(call.operation)]
        if operation.method == "get":
            assert writes == []
        elif writes:
            before, self.there = self.there, self.stored()
            assert response.status < 400 or self.there == before
            if self.there.items > MANY:
                self._clear()
        return response

    def _clear(self) -> None:
        """Delete all but the generation and the content of `parameters`: moto counts slowly."""
        table = REFERENCES["GenerationsTable"]
        for item in clients.dynamodb().scan(TableName=table)["Items"]:
            if item["id"]["S"] != self.parameters["processCuid"]:
                clients.dynamodb().delete_item(TableName=table, Key={"pk": item["pk"]})
        table = REFERENCES["ContentsTable"]
        for item in clients.dynamodb().scan(TableName=table)["Items"]:
            key = {"pk": item["pk"], "sk": item["sk"]}
            clients.dynamodb().delete_item(TableName=table, Key=key)
        for kept in self.kept:
            clients.dynamodb().put_item(TableName=table, Item=kept)
        self.there = self.stored()

    def _folder(self, operation: Operation) -> str:
        return next(route.folder for route in self.gateway.routes if route.key == operation.route)


@pytest.fixture
def quick_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let generations end while a client waits for them, in no time."""

    def finish(_seconds: float) -> None:
        items = clients.dynamodb().scan(TableName=REFERENCES["GenerationsTable"])["Items"]
        for item in items:
            if item["status"]["S"] == Status.QUEUED and item["dialect"]["S"] == promptitude.NAME:
                lease = clock.now() + timedelta(minutes=1)
                claim = services.store().claim(item["tenant"]["S"], item["id"]["S"], lease)
                assert claim is not None
                services.endings().succeed(claim, completion("Hi"))

    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=time.monotonic, sleep=finish))


@pytest.fixture
def all_stored(stored: Callable[[], Stored]) -> Callable[[], Stored]:
    """Return a function that counts what is stored, contents included."""

    def count() -> Stored:
        there = stored()
        contents = clients.dynamodb().scan(TableName=REFERENCES["ContentsTable"])["Count"]
        texts = clients.s3().list_objects_v2(Bucket=REFERENCES["ContentsBucket"])["KeyCount"]
        return replace(there, items=there.items + contents, objects=there.objects + texts)

    return count


@pytest.fixture
def no_internet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no address lead anywhere: nothing is fetched, and no name server is asked."""

    def resolve(_host: str, _port: int) -> list[str]:
        raise OSError

    monkeypatch.setattr(fetching, "_addresses", resolve)


@pytest.fixture
def world(  # noqa: PLR0913, PLR0917 - all that there is to ask
    deployment: Deployment,
    tenant: Tenant,
    quick_worker: None,  # noqa: ARG001 - asked for its effect
    no_internet: None,  # noqa: ARG001 - asked for its effect
    calls: list[Call],
    all_stored: Callable[[], Stored],
    load_event: Callable[[str], Event],
) -> World:
    """Return the endpoints, with a tenant who has a flow, a generation and a content, and keys."""
    parameters = {"companyCuid": tenant.id, "orchestratorCuid": FLOW, "processCuid": ""}
    parameters["flowId"] = FLOW
    _, key = services.registry().create_key(tenant.id, [Scope.SUBMIT, Scope.READ], flow=FLOW)
    headers = {"authorization": f"Bearer {key}"}
    _, key = services.registry().create_key(tenant.id, [Scope.ADMIN, Scope.READ])
    owner = {"authorization": f"Bearer {key}"}
    content = services.contents().create(
        tenant.id, Draft(name="Refunds", text="Soon.", folder="Terms", external_id="terms-1")
    )
    parameters |= {"contentId": content.id, "folderId": content.folder.id}
    gateway = Gateway(deployment)
    world = World(
        gateway, calls, all_stored, load_event, parameters, headers, owner, there=all_stored()
    )
    world.kept = clients.dynamodb().scan(TableName=REFERENCES["ContentsTable"])["Items"]
    accepted = world.gateway.send(world.request(SUBMISSION))
    parameters["processCuid"] = json.loads(accepted.body)["process_cuid"]
    parameters |= dict.fromkeys(("text_gen_id", "logId", "questionId"), parameters["processCuid"])
    world.there = all_stored()
    return world
