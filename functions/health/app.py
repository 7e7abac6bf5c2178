"""`GET` and `HEAD /health`: the API answers, without a call of AWS."""

from collections.abc import Mapping
from typing import Any

from afterword.handlers import SECURITY_HEADERS


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Answer 200, without a key; HEAD gets no body."""
    return {
        "statusCode": 200,
        "headers": {
            "content-type": "application/json",
            "cache-control": "no-store",
            **SECURITY_HEADERS,
        },
        "body": "" if event["routeKey"].startswith("HEAD ") else '{"status": "ok"}',
    }
