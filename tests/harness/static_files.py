"""The events and answers of what is open to everybody, for its tests."""

import base64
import gzip
import re
from collections.abc import Mapping
from typing import Any

from tests.harness.response_headers import NO_STORE, SECURITY

TAG = re.compile(r'W/"[0-9a-f]{32}"')
HEADERS = {
    "cache-control": "public, max-age=300",
    "vary": "accept-encoding",
    **SECURITY,
}
ABSENT = {
    "statusCode": 404,
    "headers": {"content-type": "application/problem+json", **NO_STORE},
    "body": '{"type": "about:blank", "title": "Not Found", "status": 404,'
    ' "detail": "There is no such file."}',
}


def text(result: Mapping[str, Any]) -> str:
    """Return the text of a compressed answer."""
    return gzip.decompress(base64.b64decode(result["body"], validate=True)).decode()
