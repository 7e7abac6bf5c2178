"""Static files, open without a key: the API's description, and the page that shows it.

The files are in the viewer layer. This module reads no key, no setting and nothing of AWS. Its few
imports keep the cold starts of its functions short.
"""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from functools import cache

from afterword.handlers import SECURITY_HEADERS, Event, LambdaContext, LambdaHandler
from afterword.runtime import cold_start

CACHE_CONTROL = "public, max-age=300"
"""A browser revalidates after five minutes, with 304 for an unchanged file."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""A page's Content-Security-Policy: own files alone, and no inline scripts or styles."""
_ZERO_WEIGHT = re.compile(r"\s*;\s*q=0(\.0*)?\s*")


def static_endpoint(choose: Callable[[Mapping[str, str]], str]) -> LambdaHandler:
    """Return a Lambda handler; `choose` returns the name of a file for the path's parameters.

    The handler answers with the file, 304 for a client's fresh copy, or 404 for an unknown name.
    """

    def handler(event: Event, _context: LambdaContext) -> dict[str, object]:
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        return _answer(choose(event.get("pathParameters") or {}), headers)

    cold_start.end()
    return handler


def _answer(name: str, headers: Mapping[str, str]) -> dict[str, object]:
    from afterword_viewer import MEDIA_TYPES

    if name not in MEDIA_TYPES:
        return _not_found()
    content, tag = _file(name)
    about = {
        "cache-control": CACHE_CONTROL,
        "etag": tag,
        "vary": "accept-encoding",
        **SECURITY_HEADERS,
    }
    if _has(headers.get("if-none-match", ""), tag):
        return {"statusCode": 304, "headers": about, "body": ""}
    about |= {"content-type": MEDIA_TYPES[name]}
    if about["content-type"].startswith("text/html"):
        about |= {"content-security-policy": POLICY, "referrer-policy": "no-referrer"}
    if not _takes_gzip(headers.get("accept-encoding", "")):
        return {"statusCode": 200, "headers": about, "body": gzip.decompress(content).decode()}
    return {
        "statusCode": 200,
        "headers": about | {"content-encoding": "gzip"},
        "body": base64.b64encode(content).decode(),
        "isBase64Encoded": True,
    }


def _not_found() -> dict[str, object]:
    problem = {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is no such file.",
    }
    headers = {
        "content-type": "application/problem+json",
        "cache-control": "no-store",
        **SECURITY_HEADERS,
    }
    return {"statusCode": 404, "headers": headers, "body": json.dumps(problem)}


@cache
def _file(name: str) -> tuple[bytes, str]:
    """Return a file as gzip, and its entity tag.

    The tag is weak, since the file with and without compression has the same one.
    """
    from afterword_viewer import compressed

    content = compressed(name)
    return content, f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'


def _has(if_none_match: str, tag: str) -> bool:
    """Whether a client has the tag's version (RFC 9110, section 13.1.2)."""
    known = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    return bool(known & {"*", tag.removeprefix("W/")})


def _takes_gzip(accept_encoding: str) -> bool:
    """Whether a client takes gzip (RFC 9110, section 12.5.3)."""
    for each in accept_encoding.lower().split(","):
        coding, mark, weight = each.partition(";")
        if coding.strip() in {"gzip", "*"}:
            return not _ZERO_WEIGHT.fullmatch(mark + weight)
    return False
