"""`GET /`: the handler with its event."""

import pytest

from tests.endpoints.conftest import HEADERS
from tests.harness.api import invoke, load_event, routes


def test_the_root_names_what_is_open() -> None:
    """The root names the paths of the page, the description and the health check."""
    assert invoke("get_root", load_event("get_root")) == {
        "statusCode": 200,
        "headers": HEADERS,
        "body": '{"docs": "/docs", "openapi": "/openapi.json", "health": "/health"}',
    }
    assert {"GET /docs", "GET /openapi.json", "GET /health"} <= routes().keys()


def test_the_root_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The root needs no setting and no AWS."""
    monkeypatch.setattr("os.environ", {})
    assert invoke("get_root", load_event("get_root"))["statusCode"] == 200
