"""`$default`: requests that no other route takes, as the error of the dialect of their path."""

import json

import pytest

from tests.conftest import Event
from tests.harness.api import invoke, load_event, parsed, routes
from tests.harness.refusals import Result, dialect_of, refusal
from tests.harness.response_headers import NO_STORE

ABSENT = "There is no such path: /docs shows all of them."
ROUTES = sorted(route for route in routes() if route != "$default")


def event_of(method: str, path: str) -> Event:
    """Return the sample event with another method and path."""
    event = load_event("refuse_route")
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    event["requestContext"]["http"]["method"] = method
    return event


def ask(method: str, path: str) -> Result:
    """Return the result of a request, with its body parsed."""
    return parsed(invoke("refuse_route", event_of(method, path)))


def test_a_mistyped_path_is_absent() -> None:
    """The sample, a path with a letter too few, is a problem of the native API."""
    assert parsed(invoke("refuse_route", load_event("refuse_route"))) == {
        "statusCode": 404,
        "headers": {"content-type": "application/problem+json", **NO_STORE},
        "body": {"type": "about:blank", "title": "Not Found", "status": 404, "detail": ABSENT},
    }


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/api/companies", "POST /api/companies/{companyCuid}"),
        ("/api/companies/demo/orchestrators/mail-reply", "POST /api/companies/{companyCuid}"),
        ("/api/v1", "GET /api/v1/apps"),
        ("/api/v1/generation", "GET /api/v1/apps"),
        ("/api/v1/aid", "GET /api/v1/apps"),
        ("/api/v1/ai", "POST /api/v1/ai/async/query"),
        ("/api/v1/ai/async/queries", "POST /api/v1/ai/async/query"),
        ("/v1/content/folders/f", "GET /v1/content/folders"),
        ("/v1/flows/mail-reply/generate/", "POST /v1/flows/{flowId}/generate"),
        ("/v1/generate/x", "GET /v1/content/folders"),
        ("/v1/logs", "GET /v1/logs/{logId}"),
        ("/v1/flows/mail-reply/generated", "GET /v1/flows"),
        ("/v1/flows//generate", "GET /v1/flows"),
        ("/v1/contents", "GET /v1/contents"),
        ("/v1", "GET /v1/flows"),
        ("/api", "GET /v1/flows"),
        ("/API/v1/apps", "GET /v1/flows"),
    ],
)
def test_an_unknown_path_is_its_dialects_error(path: str, route: str) -> None:
    """A path below a dialect's own gets that dialect's 404, any other one the native API's."""
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert ask(method, path) == refusal(route, 404, ABSENT)


@pytest.mark.parametrize("route", ROUTES)
def test_each_path_refuses_other_methods(route: str) -> None:
    """Each path of the API is 405 for a strange method, in its dialect, with `Allow`."""
    path = load_event(routes()[route])["rawPath"]
    result = ask("TRACE", path)
    allow = result["headers"]["allow"].split(", ")
    assert allow == sorted(allow)
    assert route.partition(" ")[0] in allow
    message = f"The method must be {' or '.join(allow)}."
    expected = refusal(route, 405, message, allow=", ".join(allow))
    assert result == expected, dialect_of(route)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/", "GET"),
        ("PUT", "/v1/generations", "GET, POST"),
        ("POST", "/v1/generations/019a6f3e-7c00-7000-8000-000000000001", "DELETE, GET"),
        ("POST", "/v1/flows/new flow", "GET, PUT"),
        ("POST", "/v1/flows/%2F", "GET, PUT"),
    ],
)
def test_allow_lists_the_methods_of_the_path(method: str, path: str, allow: str) -> None:
    """`Allow` has the methods of the path's routes, sorted."""
    result = ask(method, path)
    assert (result["statusCode"], result["headers"]["allow"]) == (405, allow)


def test_a_path_of_two_routes_takes_the_methods_of_both() -> None:
    """A fixed segment hides no method of a parameter in its place."""
    allow = ask("PUT", "/v1/content/folders")["headers"]["allow"].split(", ")
    assert set(allow) >= {"GET", "POST"}


@pytest.mark.parametrize(
    ("path", "status"), [("/docs", 405), ("/v1/generations", 405), ("/nowhere", 404)]
)
def test_head_has_no_body(path: str, status: int) -> None:
    """HEAD is no method of GET's routes: the refusal has the headers alone."""
    result = invoke("refuse_route", event_of("HEAD", path))
    assert (result["statusCode"], result["body"]) == (status, "")
    assert ("GET" in result["headers"].get("allow", "")) == (status == 405)


def test_a_preflight_succeeds() -> None:
    """OPTIONS of a path of the API has no error, whose headers for CORS API Gateway adds."""
    assert invoke("refuse_route", event_of("OPTIONS", "/v1/flows/x")) == {
        "statusCode": 204,
        "headers": {**NO_STORE, "allow": "GET, PUT"},
        "body": "",
    }


@pytest.mark.parametrize(
    "path",
    [
        *("", "//", "/docs/", "/v1/flows/", "/v1//flows", "v1/flows", "/../v1/flows"),
        *("/\ud800", "/" * 10_000, "/{id}", "/v1/generations/a/b", "/v1/flows/f/versions/1/2"),
    ],
)
def test_an_odd_path_is_absent(path: str) -> None:
    """A path of another shape than the API's is 404, whatever its characters."""
    result = ask("GET", path)
    assert (result["statusCode"], json.loads(json.dumps(result["body"]))["detail"]) == (404, ABSENT)
