"""What the fuzz tests ask: the endpoints, with a tenant, its key and its generation."""

import json
import re
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from afterword import clients, clock, services, waiting
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

    `parameters` are path parameters that name something which is there, `headers` a good key.
    `calls` are the calls of AWS, and `there` is what was stored when it was counted last.
    """

    gateway: Gateway
    calls: list[Call]
    stored: Callable[[], Stored]
    load_event: Callable[[str], Event]
    parameters: Mapping[str, str]
    headers: Mapping[str, str]
    there: Stored

    def event(self, operation: Operation) -> Event:
        """Return the sample event of an operation's function, with a good key and parameters."""
        event = self.load_event(self._folder(operation))
        event["headers"] |= self.headers
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
        """Delete the generations but for the one of `parameters`: moto counts many slowly."""
        table = REFERENCES["GenerationsTable"]
        for item in clients.dynamodb().scan(TableName=table)["Items"]:
            if item["id"]["S"] != self.parameters["processCuid"]:
                clients.dynamodb().delete_item(TableName=table, Key={"pk": item["pk"]})
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
def world(  # noqa: PLR0913, PLR0917 - all that there is to ask
    deployment: Deployment,
    tenant: Tenant,
    quick_worker: None,  # noqa: ARG001 - asked for its effect
    calls: list[Call],
    stored: Callable[[], Stored],
    load_event: Callable[[str], Event],
) -> World:
    """Return the endpoints, with a tenant who has a flow, a key bound to it and one generation."""
    parameters = {"companyCuid": tenant.id, "orchestratorCuid": FLOW, "processCuid": ""}
    parameters["flowId"] = FLOW
    _, key = services.registry().create_key(tenant.id, [Scope.SUBMIT, Scope.READ], flow=FLOW)
    headers = {"authorization": f"Bearer {key}"}
    gateway = Gateway(deployment)
    world = World(gateway, calls, stored, load_event, parameters, headers, there=stored())
    accepted = world.gateway.send(world.request(SUBMISSION))
    parameters["processCuid"] = json.loads(accepted.body)["process_cuid"]
    parameters |= {"text_gen_id": parameters["processCuid"], "logId": parameters["processCuid"]}
    world.there = stored()
    return world
