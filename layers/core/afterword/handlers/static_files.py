"""What is open to everybody: the API's description, and the page that shows it.

Nothing here reads a key, a setting or anything of AWS; the files are in the viewer layer. So a
function of these imports no more than this, and its cold start is next to nothing.
"""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from functools import cache

from afterword.handlers import Event, LambdaContext, LambdaHandler
from afterword.runtime import cold_start

CACHE_CONTROL = "public, max-age=300"
"""A browser asks again after five minutes, and gets 304 unless there is something new."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""A page's Content-Security-Policy: everything is from here, and nothing stands in the page."""
_REFUSED = re.compile(r"\s*;\s*q=0(\.0*)?\s*")


def static_endpoint(choose: Callable[[Mapping[str, str]], str]) -> LambdaHandler:
    """Make a Lambda handler of a function that chooses a file by the path's parameters.

    It answers the file, 304 to who has it, and 404 if it is none that is served.
    """

    def handler(event: Event, _context: LambdaContext) -> dict[str, object]:
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        return _answer(choose(event.get("pathParameters") or {}), headers)

    cold_start.end()
    return handler


def _answer(name: str, headers: Mapping[str, str]) -> dict[str, object]:
    from afterword_viewer import MEDIA_TYPES

    if name not in MEDIA_TYPES:
        return _absent()
    content, tag = _file(name)
    about = {
        "cache-control": CACHE_CONTROL,
        "etag": tag,
        "vary": "accept-encoding",
    }
    if _has(headers.get("if-none-match", ""), tag):
        return {"statusCode": 304, "headers": about, "body": ""}
    about |= {"content-type": MEDIA_TYPES[name], "x-content-type-options": "nosniff"}
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


def _absent() -> dict[str, object]:
    problem = {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is no such file.",
    }
    headers = {"content-type": "application/problem+json", "cache-control": "no-store"}
    return {"statusCode": 404, "headers": headers, "body": json.dumps(problem)}


@cache
def _file(name: str) -> tuple[bytes, str]:
    """Return a file as gzip, and its entity tag.

    The tag is a weak one, since it stands for the file with and without compression.
    """
    from afterword_viewer import compressed

    content = compressed(name)
    return content, f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'


def _has(if_none_match: str, tag: str) -> bool:
    """Whether a client has what the tag stands for (RFC 9110, section 13.1.2)."""
    known = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    return bool(known & {"*", tag.removeprefix("W/")})


def _takes_gzip(accept_encoding: str) -> bool:
    """Whether a client takes gzip (RFC 9110, section 12.5.3)."""
    for each in accept_encoding.lower().split(","):
        coding, mark, weight = each.partition(";")
        if coding.strip() in {"gzip", "*"}:
            return not _REFUSED.fullmatch(mark + weight)
    return False
