"""`GET /`: the paths that a new client looks for, without a call of AWS."""

from collections.abc import Mapping
from typing import Any

from afterword.handlers import SECURITY_HEADERS


def handler(_event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Answer with the paths of the documentation page, the description and the health check."""
    return {
        "statusCode": 200,
        "headers": {
            "content-type": "application/json",
            "cache-control": "no-store",
            **SECURITY_HEADERS,
        },
        "body": '{"docs": "/docs", "openapi": "/openapi.json", "health": "/health"}',
    }
