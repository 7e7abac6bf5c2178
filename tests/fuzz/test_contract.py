"""The contract itself, and the gateway that stands in for AWS's."""

from collections.abc import Callable

import jsonschema_rs
import pytest

from tests.conftest import ROOT, Event
from tests.fuzz.conftest import World
from tests.fuzz.contract import (
    ANSWERED,
    ANY_TEXT,
    DOCUMENT,
    METHODS,
    NARROWING,
    OPERATIONS,
    SUBMISSION,
    SUCCESSES,
    Operation,
    closed,
)
from tests.fuzz.gateway import Gateway, HttpRequest, HttpResponse, to_event
from tests.harness.deployment import DEFAULT_ROUTE, Deployment
from tests.harness.response_headers import NO_STORE

HEALTH = Operation("/health", "get")
JSON = {"content-type": "application/json", **NO_STORE}


def test_every_route_is_described_and_every_description_is_routed(deployment: Deployment) -> None:
    """openapi.json has the template's routes, but the default one; HEAD is GET without a body."""
    *routes, default = [
        route.key for route in Gateway(deployment).routes if route.key != "HEAD /health"
    ]
    assert sorted(routes) == sorted(operation.route for operation in OPERATIONS)
    assert default == DEFAULT_ROUTE


def test_what_is_narrowed_is_there() -> None:
    """narrowing.yaml names parameters and bodies that openapi.json has, and nothing else."""
    operations = [
        operation
        for item in DOCUMENT["paths"].values()
        for method, operation in item.items()
        if method in METHODS
    ]
    parameters = {each["name"] for one in operations for each in one.get("parameters", ())}
    bodies = {one["operationId"] for one in operations if "requestBody" in one}
    assert NARROWING["parameters"].keys() <= parameters
    assert NARROWING["bodies"].keys() <= bodies


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.route)
def test_a_good_request_is_answered(world: World, operation: Operation) -> None:
    """The sample events, which other tests change to make them bad, succeed."""
    assert world.ask(operation, world.request(operation)).status in SUCCESSES
    assert world.call(operation, world.event(operation)).status in SUCCESSES


@pytest.mark.parametrize(
    "response",
    [
        HttpResponse(200, JSON, b'{"status": "ok", "version": 1}', HEALTH.route),
        HttpResponse(200, JSON, b'{"status": "bad"}', HEALTH.route),
        HttpResponse(404, JSON, b'{"status": "ok"}', HEALTH.route),
        HttpResponse(500, JSON, b'{"status": "ok"}', HEALTH.route),
        HttpResponse(200, JSON | {"content-type": "text/html"}, b'{"status": "ok"}', HEALTH.route),
        HttpResponse(200, JSON, b'{"status": "ok"}', "GET /another"),
    ],
)
def test_what_is_not_described_is_found(response: HttpResponse) -> None:
    """A field, value, status or type that openapi.json does not have fails the test."""
    HEALTH.check(HttpResponse(200, JSON, b'{"status": "ok"}', HEALTH.route))
    with pytest.raises((AssertionError, ValueError)):
        HEALTH.check(response)


@pytest.mark.parametrize(("status", "described"), [("queued", True), ("paused", False)])
def test_another_word_of_an_open_choice_is_found(status: str, *, described: bool) -> None:
    """A word that openapi.json does not list fails the test, although clients must take it."""
    schema = {"$ref": "#/components/schemas/Status"}
    choice = closed({"anyOf": [schema, ANY_TEXT]})
    validator = jsonschema_rs.validator_for({**choice, "components": ANSWERED})
    assert validator.is_valid(status) is described


def test_an_error_that_raises_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception in a handler is a 500 for the client, and fails the test."""

    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("functions.health.app.handler", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        world.ask(HEALTH, world.request(HEALTH))


@pytest.mark.parametrize(
    "name", [SUBMISSION.name, "cancel_generation", "create_batch", "put_flow", "revoke_key"]
)
def test_a_refusal_that_stores_something_is_found(world: World, name: str) -> None:
    """A refused request that leaves a new or changed item behind, in any table, fails the test."""
    operation = next(each for each in OPERATIONS if each.name == name)

    def store_and_refuse() -> HttpResponse:
        stored = world.gateway.send(world.request(operation))
        assert stored.status in SUCCESSES
        return HttpResponse(404, {}, b"", DEFAULT_ROUTE)

    with pytest.raises(AssertionError, match="Everything"):
        world.judge(operation, store_and_refuse)


@pytest.mark.parametrize(
    "name", [path.stem for path in (ROOT / "events").glob("*mail_generation.json")]
)
def test_events_are_as_the_sample_events_have_them(
    load_event: Callable[[str], Event], name: str
) -> None:
    """A request becomes the event that API Gateway makes of it."""
    sample = load_event(name)
    del sample["headers"]["host"], sample["headers"]["user-agent"]
    request = HttpRequest(
        method=sample["requestContext"]["http"]["method"],
        path=sample["rawPath"],
        headers=[(name.title(), value) for name, value in sample["headers"].items()],
        body=sample.get("body", "").encode(),
    )
    event = to_event(request, sample["routeKey"], sample["pathParameters"])
    del event["requestContext"], sample["requestContext"]
    assert event == sample


def test_repeated_and_encoded_parts_of_a_request() -> None:
    """Repeated headers and parameters are joined by commas, and bytes that are no text encoded."""
    request = HttpRequest(
        method="GET",
        path="/x",
        query="a=1&a=%C3%A9&b=",
        headers=[("X-A", "1"), ("x-a", "2"), ("Cookie", "k=1; l=2")],
        body=b"\x00",
    )
    event = to_event(request, "GET /x", {})
    assert event["headers"] == {"x-a": "1,2"}
    assert event["cookies"] == ["k=1", "l=2"]
    assert (event["queryStringParameters"], event["rawQueryString"]) == (
        {"a": "1,é", "b": ""},
        "a=1&a=%C3%A9&b=",
    )
    assert (event["body"], event["isBase64Encoded"]) == ("AA==", True)


def test_the_default_route_takes_the_rest(deployment: Deployment) -> None:
    """The gateway gives a request that no route takes to the default route."""
    gateway = Gateway(deployment)
    statuses = {
        (method, path): (answer.status, answer.route)
        for method, path in (("POST", "/health"), ("GET", "/healthy"), ("GET", "/health"))
        for answer in [gateway.send(HttpRequest(method, path))]
    }
    assert statuses == {
        ("POST", "/health"): (405, DEFAULT_ROUTE),
        ("GET", "/healthy"): (404, DEFAULT_ROUTE),
        ("GET", "/health"): (200, "GET /health"),
    }
