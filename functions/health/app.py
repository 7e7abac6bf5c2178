"""`GET /health`: the API answers, without a call of AWS."""

from collections.abc import Mapping
from typing import Any


def handler(_event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Answer 200, without a key."""
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/json", "cache-control": "no-store"},
        "body": '{"status": "ok"}',
    }
