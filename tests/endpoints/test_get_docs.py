"""`GET /docs`: the handler with its event."""

import re
from collections.abc import Callable

from tests.conftest import Event, LambdaContext
from tests.harness.api import invoke
from tests.harness.static_files import HEADERS, TAG, text

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def test_the_page_is_shown_to_anybody(
    load_event: Callable[[str], Event], context: LambdaContext
) -> None:
    """The page is HTML that may load from its own host alone, and run nothing that stands in it."""
    result = invoke("get_docs", load_event("get_docs"), context)
    tag = result["headers"]["etag"]
    assert TAG.fullmatch(tag)
    assert {**result, "body": ""} == {
        "statusCode": 200,
        "headers": {
            **HEADERS,
            "etag": tag,
            "content-type": "text/html; charset=utf-8",
            "content-encoding": "gzip",
            "content-security-policy": POLICY,
            "referrer-policy": "no-referrer",
        },
        "body": "",
        "isBase64Encoded": True,
    }


def test_what_the_page_names_is_there(
    load_event: Callable[[str], Event], context: LambdaContext
) -> None:
    """Each script and style of the page is served beside it, and the page names no other host."""
    page = text(invoke("get_docs", load_event("get_docs"), context))
    assert "//" not in page
    names = re.findall(r'(?:src|href)="docs/([^"]+)"', page)
    assert sorted(names) == ["page.css", "page.js", "swagger-ui-bundle.js", "swagger-ui.css"]
    for name in names:
        event = load_event("get_docs_file") | {"pathParameters": {"file": name}}
        assert invoke("get_docs_file", event, context)["statusCode"] == 200
