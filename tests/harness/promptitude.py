"""Promptitude's API in the tests: the seed's flow, requests to it, and whole results to expect."""

import json
from collections.abc import Mapping
from typing import Any

from afterword.flows.drafts import Flow
from afterword.services import services
from tests.conftest import Event, Tenant
from tests.endpoints.conftest import HEADERS

JOKE = {
    "id": "joke",
    "name": "A joke",
    "inputs": [{"name": "name"}, {"name": "lastName", "required": False}],
    "steps": [{"name": "step1", "prompt": "Tell a joke about {{name}} {{lastName}}."}],
}
REQUEST = {
    "userId": "9hhsOa6pGHes5BCDpCDeLD2i0kw2",
    "flow": {"inputs": {"name": "Andres", "lastName": "Lopez"}},
}
"""The seed's example."""
TEXT = "Why did the developer need glasses? Because he couldn't C#!"


def put_flow(tenant: Tenant, **changes: object) -> None:
    """Save the flow of the seed's example, with changes."""
    flow = Flow.model_validate({**JOKE, **changes})
    services().registry.put_flow(tenant.id, flow.id, flow.model_dump_json(exclude_unset=True))


def generation_event(event: Event, tenant: Tenant, body: object) -> Event:
    """Return the sample event of a generation, for the seed's flow and with the tenant's key."""
    headers = {**event["headers"], "authorization": f"Bearer {tenant.key}"}
    text = body if isinstance(body, str) else json.dumps(body)
    return {**event, "headers": headers, "pathParameters": {"flowId": "joke"}, "body": text}


def answer(code: int, message: str, results: object = None, **headers: str) -> Mapping[str, Any]:
    """Return the whole result of an answer."""
    body: dict[str, object] = {"code": code, "message": message, "error": code >= 400}
    if results is not None:
        body["results"] = results
    return {"statusCode": code, "headers": {**HEADERS, **headers}, "body": body}


def read(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a result with its body parsed."""
    return {**result, "body": json.loads(result["body"])}


def log_id(result: Mapping[str, Any]) -> str:
    """Return the id of an invocation."""
    found: str = json.loads(result["body"])["results"]["logId"]
    return found
