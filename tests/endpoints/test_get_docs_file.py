"""`GET /docs/{file}`: the handler with its event."""

from collections.abc import Callable

import pytest

from tests.conftest import ROOT, Event, LambdaContext
from tests.harness.api import invoke
from tests.harness.static_files import ABSENT, HEADERS, TAG, text

DOCS = ROOT / "layers" / "viewer" / "afterword_viewer" / "docs"


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("page.css", "text/css"),
        ("page.js", "text/javascript"),
        ("swagger-ui-bundle.js", "text/javascript"),
        ("swagger-ui.css", "text/css"),
    ],
)
def test_a_file_is_shown_to_anybody(
    load_event: Callable[[str], Event], context: LambdaContext, name: str, media_type: str
) -> None:
    """A script or a style is what is in the layer, compressed, under its own type."""
    event = load_event("get_docs_file") | {"pathParameters": {"file": name}}
    result = invoke("get_docs_file", event, context)
    assert text(result) == (DOCS / name).read_text()
    tag = result["headers"]["etag"]
    assert TAG.fullmatch(tag)
    assert {**result, "body": ""} == {
        "statusCode": 200,
        "headers": {
            **HEADERS,
            "etag": tag,
            "content-type": f"{media_type}; charset=utf-8",
            "content-encoding": "gzip",
        },
        "body": "",
        "isBase64Encoded": True,
    }


def test_each_file_has_a_tag_of_its_own(
    load_event: Callable[[str], Event], context: LambdaContext
) -> None:
    """A file's tag does not tell that another file is the same."""
    event = load_event("get_docs_file")
    tags = set()
    for name in ("page.css", "page.js", "swagger-ui.css"):
        event["pathParameters"] = {"file": name}
        tags.add(invoke("get_docs_file", event, context)["headers"]["etag"])
    assert len(tags) == 3


@pytest.mark.parametrize(
    "name",
    ["LICENSE", "page", "PAGE.JS", "../openapi.json", "../__init__.py", "/etc/passwd", "a\x00", ""],
)
def test_what_is_not_of_the_page_is_absent(
    load_event: Callable[[str], Event], context: LambdaContext, name: str
) -> None:
    """Nothing but the page's own files can be read, whatever the path says."""
    event = load_event("get_docs_file") | {"pathParameters": {"file": name}}
    event["headers"]["if-none-match"] = "*"
    assert invoke("get_docs_file", event, context) == ABSENT
