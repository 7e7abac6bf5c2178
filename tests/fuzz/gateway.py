"""API Gateway in this process: requests become events, results become responses.

As a WSGI app for generated requests, and as `send` for requests that no HTTP client makes. Routing
is as strict as API Gateway's. Its limits on headers and bodies are not kept, because the functions
must stand any request anyway.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import importlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

from tests.conftest import Event, LambdaContext
from tests.harness.deployment import DEFAULT_ROUTE, Deployment

_TEXTUAL = re.compile(
    r"text/.*|application/(.+\+)?(json|xml)|application/(javascript|x-www-form-urlencoded)"
)
_PARAMETER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class HttpRequest:
    """A request as it is on the wire: `path` and `query` percent-encoded, headers in order."""

    method: str
    path: str
    query: str = ""
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""


@dataclass(frozen=True)
class HttpResponse:
    """A response. `route` is whose function answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    route: str


@dataclass(frozen=True)
class Route:
    """A route of the template, such as `GET /health`, and its function's folder."""

    key: str
    folder: str

    def parameters(self, request: HttpRequest) -> dict[str, str] | None:
        """Return the decoded path parameters, None if the request is not for this route.

        The default route takes every request.
        """
        if self.key == DEFAULT_ROUTE:
            return {}
        method, _, path = self.key.partition(" ")
        pattern = _PARAMETER.sub(r"(?P<\1>[^/]+)", path)
        match = re.fullmatch(pattern, request.path)
        if match is None or method != request.method:
            return None
        return {name: unquote(text) for name, text in match.groupdict().items()}


class Gateway:
    """Calls the handlers of a deployment.

    `errors` are the exceptions that they raised, `answers` the responses to what came by WSGI.
    """

    def __init__(self, deployment: Deployment) -> None:
        routes = [
            Route(key, function.folder)
            for function in deployment.functions.values()
            for key in function.routes
        ]
        self.routes = sorted(routes, key=lambda route: route.key == DEFAULT_ROUTE)
        self.errors: list[Exception] = []
        self.answers: list[HttpResponse] = []

    def send(self, request: HttpRequest) -> HttpResponse:
        """Answer a request as API Gateway does."""
        route, parameters = next(
            (route, parameters)
            for route in self.routes
            if (parameters := route.parameters(request)) is not None
        )
        return self._call(route, to_event(request, route.key, parameters))

    def call(self, folder: str, event: Event) -> HttpResponse:
        """Answer an event that need not be one that API Gateway makes."""
        return self._call(next(route for route in self.routes if route.folder == folder), event)

    def _call(self, route: Route, event: Event) -> HttpResponse:
        handler = importlib.import_module(f"functions.{route.folder}.app").handler
        try:
            result = handler(json.loads(json.dumps(event)), LambdaContext())
            return _response(json.loads(json.dumps(result)), route.key)
        except Exception as error:  # noqa: BLE001 - whatever it is, Lambda reports it and goes on
            self.errors.append(error)
            return _own_answer(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal Server Error", route.key)

    def __call__(
        self, environ: Mapping[str, Any], start_response: Callable[..., object]
    ) -> Iterable[bytes]:
        """Answer as a WSGI app (PEP 3333)."""
        response = self.send(_from_wsgi(environ))
        self.answers.append(response)
        reason = HTTPStatus(response.status).phrase
        start_response(f"{response.status} {reason}", list(response.headers.items()))
        return [response.body]


def to_event(request: HttpRequest, route_key: str, parameters: Mapping[str, str]) -> Event:
    """Return the event of payload format 2.0."""
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for name, value in request.headers:
        lower = name.lower()
        if lower == "cookie":
            cookies += value.split("; ")
        else:
            headers[lower] = f"{headers[lower]},{value}" if lower in headers else value
    query: dict[str, str] = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True):
        query[name] = f"{query[name]},{value}" if name in query else value
    event: Event = {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": {
            "http": {"method": request.method, "path": request.path, "protocol": "HTTP/1.1"},
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": route_key,
            "stage": "$default",
        },
        "isBase64Encoded": False,
    }
    optional = {"cookies": cookies, "queryStringParameters": query, "pathParameters": parameters}
    event |= {name: value for name, value in optional.items() if value}
    if request.body:
        event |= _body(request.body, headers.get("content-type", ""))
    return event


def _body(body: bytes, content_type: str) -> Event:
    """Return a body as text if its type is textual and it can be decoded, otherwise as base64."""
    if _TEXTUAL.fullmatch(content_type.partition(";")[0].strip().lower()):
        try:
            return {"body": body.decode("utf-8"), "isBase64Encoded": False}
        except UnicodeDecodeError:
            pass
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def _response(result: Mapping[str, Any], route: str) -> HttpResponse:
    body = result["body"]
    return HttpResponse(
        status=HTTPStatus(result["statusCode"]),
        headers={str(name): str(value) for name, value in result["headers"].items()},
        body=base64.b64decode(body) if result.get("isBase64Encoded") else body.encode("utf-8"),
        route=route,
    )


def _own_answer(status: HTTPStatus, message: str, route: str) -> HttpResponse:
    body = json.dumps({"message": message}).encode()
    return HttpResponse(status, {"content-type": "application/json"}, body, route)


def _from_wsgi(environ: Mapping[str, Any]) -> HttpRequest:
    headers = [
        (name.removeprefix("HTTP_").replace("_", "-"), str(value))
        for name, value in environ.items()
        if (name.startswith("HTTP_") or name in {"CONTENT_TYPE", "CONTENT_LENGTH"}) and value
    ]
    return HttpRequest(
        method=environ["REQUEST_METHOD"],
        path=environ["REQUEST_URI"].partition("?")[0],
        query=environ.get("QUERY_STRING", ""),
        headers=headers,
        body=environ["wsgi.input"].read(),
    )
