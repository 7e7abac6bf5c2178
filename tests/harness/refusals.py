"""How each dialect refuses a request: whole results, with their bodies parsed."""

from http import HTTPStatus
from typing import Any

from tests.harness.response_headers import NO_STORE

type Result = dict[str, Any]

PREFIXES = {
    "/api/companies/": "dialonce",
    "/api/v1/ai/": "unless",
    "/api/v1/": "genai_stack",
    "/v1/contents": "native",
    "/v1/content": "promptitude",
    "/v1/logs": "promptitude",
    "/v1/flows/{flowId}/generate": "promptitude",
    "/v1/generate": "promptitude",
}
"""The dialects of the paths that begin so; all others are native."""


def dialect_of(route: str) -> str:
    """Return the name of the dialect that a route is of."""
    _, _, path = route.partition(" ")
    return next((name for prefix, name in PREFIXES.items() if path.startswith(prefix)), "native")


def refusal(route: str, status: int, message: str, **headers: str) -> Result:
    """Return the whole result of an error in the shape of the route's dialect."""
    phrase = HTTPStatus(status).phrase
    content_type = "application/json"
    body: dict[str, object]
    match dialect_of(route):
        case "dialonce":
            body = {"statusCode": status, "message": message, "error": phrase}
        case "unless":
            body = {"error": message}
        case "genai_stack":
            body = {"detail": message}
        case "promptitude":
            body = {"code": status, "message": message, "error": True}
        case _:
            content_type = "application/problem+json"
            body = {"type": "about:blank", "title": phrase, "status": status, "detail": message}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {
        "statusCode": status,
        "headers": {"content-type": content_type, **NO_STORE, **named},
        "body": body,
    }
