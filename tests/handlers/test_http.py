"""The base of HTTP handlers: the event as a request, and errors as responses."""

import base64
import json
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from afterword import errors
from afterword.errors import (
    AfterwordError,
    ConflictError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
    WrongMethodError,
)
from afterword.handlers import http
from afterword.handlers.http import Request, Response
from afterword.limits import LimitedError
from afterword.tenants.keys import ApiKey, Scope
from tests.conftest import Event, LambdaContext, Tenant
from tests.harness.response_headers import NO_STORE


class PlainDialect:
    """A dialect whose key is a header of its own and whose errors are one word."""

    KEY_PLACES: Sequence[http.KeyPlace] = (http.KeyPlace.BEARER,)

    def read_api_key(self, request: Request, /) -> str | None:
        """Return the header `key`."""
        return request.headers.get("key")

    def render_error(self, error: AfterwordError, /) -> Response:
        """Return the error's name."""
        return Response(status=http.STATUSES[type(error)], body=json.dumps(type(error).__name__))


def serving(serve: http.Endpoint) -> Callable[[Event], dict[str, Any]]:
    """Return a handler that serves with this function."""
    handler = http.endpoint(PlainDialect(), Scope.READ)(serve)
    return lambda event: handler(event, LambdaContext())


def raising(error: Exception) -> Callable[[Event], dict[str, Any]]:
    """Return a handler that raises this."""

    def serve(_request: Request, _key: ApiKey) -> Response:
        raise error

    return serving(serve)


def test_an_event_becomes_a_request(tenant: Tenant) -> None:
    """A handler gets the path, the query, the headers in lower case, the bytes, and the key."""
    seen: list[tuple[Request, str]] = []

    def serve(request: Request, key: ApiKey) -> Response:
        seen.append((request, key.tenant))
        return Response(status=HTTPStatus.CREATED, body="{}", headers={"location": "/x"})

    result = serving(serve)(
        {
            "pathParameters": {"id": "é"},
            "queryStringParameters": {"wait": "3"},
            "headers": {"KEY": tenant.key, "X-Other": "A"},
            "body": "é",
            "isBase64Encoded": False,
        }
    )
    headers = {"key": tenant.key, "x-other": "A"}
    request = Request(path={"id": "é"}, query={"wait": "3"}, headers=headers, body="é".encode())
    assert seen == [(request, "demo")]
    assert result == {
        "statusCode": 201,
        "headers": {
            "content-type": "application/json",
            **NO_STORE,
            "location": "/x",
        },
        "body": "{}",
    }


@pytest.mark.parametrize(
    ("event", "body"),
    [
        ({}, b""),
        ({"body": None}, b""),
        ({"body": ""}, b""),
        ({"body": "a", "isBase64Encoded": False}, b"a"),
        ({"body": "\ud800"}, b"\xed\xa0\x80"),
        ({"body": base64.b64encode(b"\xff\x00").decode(), "isBase64Encoded": True}, b"\xff\x00"),
    ],
)
def test_a_body_is_the_bytes_that_were_sent(tenant: Tenant, event: Event, body: bytes) -> None:
    """A body is bytes, whether API Gateway passed it as text, as base64, or not at all."""
    seen: list[Request] = []

    def serve(request: Request, _key: ApiKey) -> Response:
        seen.append(request)
        return Response(status=HTTPStatus.OK, body="{}")

    serving(serve)({"headers": {"key": tenant.key}, **event})
    assert seen == [Request(path={}, query={}, headers={"key": tenant.key}, body=body)]


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (InvalidRequestError, 400, {}),
        (UnauthenticatedError, 401, {"www-authenticate": "Bearer"}),
        (ForbiddenError, 403, {}),
        (NotFoundError, 404, {}),
        (WrongMethodError, 405, {}),
        (ConflictError, 409, {}),
        (TooLargeError, 413, {}),
        (UnavailableError, 503, {"retry-after": "1"}),
    ],
)
def test_a_domain_error_is_answered_by_the_dialect(
    tenant: Tenant, error: type[AfterwordError], status: int, headers: dict[str, str]
) -> None:
    """Each domain error has its status and headers, and the dialect's body."""
    assert raising(error("The fault is like this."))({"headers": {"key": tenant.key}}) == {
        "statusCode": status,
        "headers": {"content-type": "application/json", **NO_STORE, **headers},
        "body": json.dumps(error.__name__),
    }


def test_who_is_over_a_limit_is_told_when_to_come_again(tenant: Tenant) -> None:
    """A 429 has Retry-After in seconds, whatever the dialect makes of it."""
    result = raising(LimitedError("Too much.", 20))({"headers": {"key": tenant.key}})
    assert (result["statusCode"], result["headers"]["retry-after"]) == (429, "20")
    assert json.loads(result["body"]) == "LimitedError"


def test_every_domain_error_has_a_status() -> None:
    """No domain error is without a status, so none can become a 500."""
    kinds = (each for each in vars(errors).values() if isinstance(each, type))
    domain_errors = {each for each in kinds if issubclass(each, AfterwordError)}
    assert set(http.STATUSES) == domain_errors - {AfterwordError} | {LimitedError}


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="https://aws.invalid"),
        ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "PutItem"),
    ],
)
def test_aws_out_of_reach_is_a_503(tenant: Tenant, error: Exception) -> None:
    """When AWS does not answer, the caller is told to come again, in the dialect's shape."""
    result = raising(error)({"headers": {"key": tenant.key}})
    assert (result["statusCode"], result["body"], result["headers"]["retry-after"]) == (
        503,
        '"UnavailableError"',
        "1",
    )


def test_a_bug_is_left_to_lambda(tenant: Tenant) -> None:
    """An unforeseen error is raised, for Lambda to count and to log."""
    with pytest.raises(ZeroDivisionError):
        raising(ZeroDivisionError())({"headers": {"key": tenant.key}})


def test_nobody_is_served_without_a_key(tenant: Tenant) -> None:
    """The key is asked for before the endpoint's own code runs."""
    handler = raising(AssertionError("served"))
    for headers in ({}, {"key": "x"}, {"authorization": f"Bearer {tenant.key}"}):
        assert handler({"headers": headers})["statusCode"] == 401
    assert handler({"headers": {"key": tenant.key_with(Scope.SUBMIT)}})["statusCode"] == 403


def test_only_a_key_may_send_much(tenant: Tenant) -> None:
    """A body over 6,000,000 bytes is refused, once the caller is known."""
    handler = raising(AssertionError("served"))
    body = "x" * 6_000_001
    assert handler({"headers": {}, "body": body})["statusCode"] == 401
    assert handler({"headers": {"key": tenant.key}, "body": body})["statusCode"] == 413
