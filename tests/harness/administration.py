"""The owner's part of the native API as its client sees it, and whole results to expect."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.conftest import Event
from tests.harness.api import invoke
from tests.harness.response_headers import NO_STORE

STARTED = "2026-11-10T09:00:00.000Z"
"""START as the API writes it."""
type Result = dict[str, Any]


def answer(status: int, body: object, **headers: str) -> Result:
    """Return the whole result of an answer, with its body parsed."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json", **NO_STORE, **named},
        "body": body,
    }


def problem(status: int, title: str, detail: str, **headers: str) -> Result:
    """Return the whole result of a problem that its status tells."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return answer(status, body, content_type="application/problem+json", **headers)


def invalid(*errors: tuple[str, str]) -> Result:
    """Return the whole result of a request whose members do not fit."""
    (field, message), *_ = errors
    body = {
        "type": "urn:problem-type:afterword:invalid-member",
        "title": "A member of the request does not fit",
        "status": 422,
        "detail": f"{field}: {message}",
        "errors": [{"field": field, "message": message} for field, message in errors],
    }
    return answer(422, body, content_type="application/problem+json")


def no_flow(flow: str) -> Result:
    """Return the whole result of a flow that is not there, or another tenant's."""
    return problem(404, "Not Found", f"There is no flow {flow}.")


NO_SUCH_FLOW = problem(404, "Not Found", "There is no such flow.")


@dataclass(frozen=True)
class Administration:
    """A client of the native API with a key; `load` reads a sample event."""

    load: Callable[[str], Event]
    key: str

    def event(self, name: str, **parameters: str) -> Event:
        """Return a sample event with the key in it, and other path parameters."""
        event = self.load(name)
        if self.key:
            event["headers"]["authorization"] = f"Bearer {self.key}"
        else:
            del event["headers"]["authorization"]
        if parameters:
            event["pathParameters"] |= parameters
        return event

    def call(
        self, name: str, body: object = None, query: Mapping[str, str] | None = None, **path: str
    ) -> Result:
        """Call a function with its event, and return its result with the body parsed."""
        event = self.event(name, **path)
        if body is not None:
            event["body"] = body if isinstance(body, str) else json.dumps(body)
        if query is not None:
            event |= {"queryStringParameters": query, "rawQueryString": urlencode(query)}
        result = invoke(name, event)
        return {**result, "body": json.loads(result["body"]) if result["body"] else None}
