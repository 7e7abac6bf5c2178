"""`GET /openapi.json`: the handler with its event."""

import base64
import gzip
import json
from collections.abc import Callable

import pytest
import yaml

from tests.conftest import ROOT, Call, Event, LambdaContext
from tests.harness.api import invoke
from tests.harness.response_headers import SECURITY
from tests.harness.static_files import HEADERS, TAG, text


def test_the_description_is_shown_to_anybody(
    load_event: Callable[[str], Event], context: LambdaContext
) -> None:
    """openapi.json is what openapi.yaml has, compressed, and good for five minutes."""
    result = invoke("get_openapi", load_event("get_openapi"), context)
    assert json.loads(text(result)) == yaml.safe_load((ROOT / "openapi.yaml").read_text())
    tag = result["headers"]["etag"]
    assert TAG.fullmatch(tag)
    assert {**result, "body": ""} == {
        "statusCode": 200,
        "headers": {
            **HEADERS,
            "etag": tag,
            "content-type": "application/json",
            "content-encoding": "gzip",
        },
        "body": "",
        "isBase64Encoded": True,
    }


@pytest.mark.parametrize("sent", [None, "", "br", "gzip;q=0", "deflate, *;q=0.0", "identity"])
def test_who_takes_no_gzip_gets_none(
    load_event: Callable[[str], Event], context: LambdaContext, sent: str | None
) -> None:
    """A client that does not say that it takes gzip gets the text as it is, under the same tag."""
    event = load_event("get_openapi")
    compressed = invoke("get_openapi", event, context)
    del event["headers"]["accept-encoding"]
    event["headers"] |= {} if sent is None else {"accept-encoding": sent}
    result = invoke("get_openapi", event, context)
    headers = {**compressed["headers"]}
    del headers["content-encoding"]
    unpacked = gzip.decompress(base64.b64decode(compressed["body"])).decode()
    assert result == {"statusCode": 200, "headers": headers, "body": unpacked}


@pytest.mark.parametrize("sent", ["gzip", "GZIP", "br, gzip;q=0.5", "*", "deflate,gzip ; q=1"])
def test_who_takes_gzip_gets_it(
    load_event: Callable[[str], Event], context: LambdaContext, sent: str
) -> None:
    """A client that takes gzip, however it says so, gets it."""
    event = load_event("get_openapi")
    event["headers"]["accept-encoding"] = sent
    assert invoke("get_openapi", event, context)["headers"]["content-encoding"] == "gzip"


@pytest.mark.parametrize("sent", ["{}", "*", '"other", {}', "{strong}"])
def test_who_has_it_is_told_so(
    load_event: Callable[[str], Event], context: LambdaContext, sent: str
) -> None:
    """A client that has what there is gets 304 and nothing else."""
    event = load_event("get_openapi")
    tag = invoke("get_openapi", event, context)["headers"]["etag"]
    event["headers"]["if-none-match"] = sent.format(tag, strong=tag.removeprefix("W/"))
    assert invoke("get_openapi", event, context) == {
        "statusCode": 304,
        "headers": {
            "cache-control": "public, max-age=300",
            "etag": tag,
            "vary": "accept-encoding",
            **SECURITY,
        },
        "body": "",
    }


@pytest.mark.parametrize("sent", ['"other"', "", "W/", 'W/"'])
def test_who_has_something_else_gets_it(
    load_event: Callable[[str], Event], context: LambdaContext, sent: str
) -> None:
    """A client that has something else gets what there is."""
    event = load_event("get_openapi")
    event["headers"]["if-none-match"] = sent
    assert invoke("get_openapi", event, context)["statusCode"] == 200


def test_it_needs_nothing(
    load_event: Callable[[str], Event],
    context: LambdaContext,
    monkeypatch: pytest.MonkeyPatch,
    calls: list[Call],
) -> None:
    """The description needs no setting, and asks nothing of AWS."""
    monkeypatch.setattr("os.environ", {})
    assert invoke("get_openapi", load_event("get_openapi"), context)["statusCode"] == 200
    assert calls == []
