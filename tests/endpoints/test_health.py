"""`GET` and `HEAD /health`: the handler with its event."""

from collections.abc import Callable

import pytest

from tests.conftest import Event, LambdaContext
from tests.endpoints.conftest import HEADERS
from tests.harness.api import invoke


def test_the_api_answers(load_event: Callable[[str], Event], context: LambdaContext) -> None:
    """The API says that it is there, to anybody."""
    assert invoke("health", load_event("health"), context) == {
        "statusCode": 200,
        "headers": HEADERS,
        "body": '{"status": "ok"}',
    }


def test_a_head_has_no_body(load_event: Callable[[str], Event], context: LambdaContext) -> None:
    """HEAD gets the answer to GET without its body."""
    event = load_event("health") | {"routeKey": "HEAD /health"}
    assert invoke("health", event, context) == {"statusCode": 200, "headers": HEADERS, "body": ""}


def test_health_needs_nothing(
    load_event: Callable[[str], Event], context: LambdaContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Health needs no setting and no AWS, so it says only that the API answers."""
    monkeypatch.setattr("os.environ", {})
    assert invoke("health", load_event("health"), context)["statusCode"] == 200
