"""The functions by their names, invoked with an event and a context, as Lambda does."""

import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from tests.conftest import ROOT, Event, LambdaContext

QUESTION = "019a6f3e-7c00-7000-8000-000000000001"
"""The question of the sample events."""


def routes() -> dict[str, str]:
    """Return the functions of all HTTP routes by their routes, as the sample events have them."""
    events = {path.stem: load_event(path.stem) for path in sorted((ROOT / "events").glob("*.json"))}
    return {event["routeKey"]: name for name, event in events.items() if "routeKey" in event}


def load_event(name: str) -> Event:
    """Return a function's sample event, `events/<name>.json`."""
    event: Event = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return event


def invoke(function: str, event: Event, context: LambdaContext | None = None) -> dict[str, Any]:
    """Invoke the handler of `functions/<function>/app.py`, as Lambda does."""
    handler: Callable[[Event, LambdaContext], dict[str, Any]] = importlib.import_module(
        f"functions.{function}.app"
    ).handler
    return handler(event, context or LambdaContext())


def parsed(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return an HTTP result with its body parsed: None for no body, and text for events."""
    body = result["body"] or None
    events = result["headers"].get("content-type") == "text/event-stream"
    return {**result, "body": body if body is None or events else json.loads(body)}


@dataclass(frozen=True)
class Api:
    """A client of all endpoints, with a key ("" for none).

    `parameters` stand where a sample event has parameters of these names, in path or query, and
    `questionId` in its body.
    """

    key: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)

    def with_key(self, key: str) -> "Api":
        """Return a client with another key."""
        return replace(self, key=key)

    def naming(self, **parameters: str) -> "Api":
        """Return a client with other parameters."""
        return replace(self, parameters={**self.parameters, **parameters})

    def event(
        self,
        function: str,
        body: object = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **path: str,
    ) -> Event:
        """Return a function's sample event with the key, and what else is given, in it."""
        event = load_event(function)
        sent = event["headers"]
        for name in ("authorization", "x-api-key"):
            if sent.pop(name, None) is not None and self.key:
                sent[name] = self.key if name == "x-api-key" else f"Bearer {self.key}"
        sent |= headers or {}
        if body is None and "questionId" in self.parameters and "body" in event:
            event["body"] = event["body"].replace(QUESTION, self.parameters["questionId"])
        if body is not None:
            text = body if isinstance(body, str) else json.dumps(body)
            event |= {"body": text, "isBase64Encoded": False}
        if "pathParameters" in event:
            given = {**self.parameters, **path}
            event["pathParameters"] = {
                name: given.get(name, value) for name, value in event["pathParameters"].items()
            }
        if query is None and "queryStringParameters" in event:
            query = {
                name: self.parameters.get(name, value)
                for name, value in event["queryStringParameters"].items()
            }
        if query is not None:
            event |= {"queryStringParameters": dict(query), "rawQueryString": urlencode(query)}
        return event

    def call(
        self,
        function: str,
        body: object = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **path: str,
    ) -> dict[str, Any]:
        """Call a function with that event; return its result with the body parsed."""
        return parsed(invoke(function, self.event(function, body, query, headers, **path)))
