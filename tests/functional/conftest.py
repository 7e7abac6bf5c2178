"""Fixtures of the functional tests: events with a key in them, and whole results to expect."""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import pytest

from afterword import worker
from afterword.models import provider
from tests.conftest import Event, Tenant
from tests.fake_model import FakeModel

HEADERS = {"content-type": "application/json", "cache-control": "no-store"}
"""What every HTTP result has."""

type Result = Mapping[str, Any]


def refusal(status: int, message: str, **headers: str) -> Result:
    """Return the whole result of an error in Dialonce's shape."""
    phrase = HTTPStatus(status).phrase
    return {
        "statusCode": status,
        "headers": {**HEADERS, **headers},
        "body": json.dumps({"statusCode": status, "message": message, "error": phrase}),
    }


def unauthorized(message: str) -> Result:
    """Return the whole result of a request without a good key."""
    return refusal(401, message, **{"www-authenticate": "Bearer"})


NO_SUCH_GENERATION = refusal(404, "There is no such generation.")
NO_SUCH_COMPANY = refusal(404, "There is no such company.")
TRY_AGAIN = refusal(503, "Try again in a moment.", **{"retry-after": "1"})


@pytest.fixture
def submission_event(tenant: Tenant, load_event: Callable[[str], Event]) -> Event:
    """Return the sample event of a submission, with the tenant's key."""
    event = load_event("submit_mail_generation")
    event["headers"]["authorization"] = f"Bearer {tenant.key}"
    return event


@pytest.fixture
def their_submission_event(other_tenant: Tenant, load_event: Callable[[str], Event]) -> Event:
    """Return the sample event of a submission, as the other tenant sends it."""
    event = load_event("submit_mail_generation")
    event["headers"]["authorization"] = f"Bearer {other_tenant.key}"
    event["pathParameters"]["companyCuid"] = other_tenant.id
    return event


@pytest.fixture
def reading_event(tenant: Tenant, load_event: Callable[[str], Event]) -> Callable[[str], Event]:
    """Return a function that gives the sample event of a reading, for a generation's id."""

    def make(generation_id: str) -> Event:
        event = load_event("get_mail_generation")
        event["headers"]["authorization"] = f"Bearer {tenant.key}"
        event["pathParameters"]["processCuid"] = generation_id
        return event

    return make


@pytest.fixture
def message_event(load_event: Callable[[str], Event]) -> Callable[[str], Event]:
    """Return a function that gives the worker's sample event, for a generation's id."""

    def make(generation_id: str) -> Event:
        event = load_event("generate")
        event["Records"][0]["body"] = json.dumps({"tenant": "demo", "id": generation_id})
        return event

    return make


@pytest.fixture
def use_model(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeModel], None]:
    """Return a function that puts a stand-in in the place of the deployment's model."""

    def use(model: FakeModel) -> None:
        worker.from_settings.cache_clear()
        monkeypatch.setattr(provider, "model", lambda: model)

    return use
