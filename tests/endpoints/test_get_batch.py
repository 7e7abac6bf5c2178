"""`GET /v1/batches/{batchId}`: how a batch is coming along."""

import json
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import pytest

from afterword.batches import Batch, Counts, State
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, START, Event, SetClock, Tenant
from tests.harness.api import invoke
from tests.harness.batches import BUCKET
from tests.harness.response_headers import NO_STORE

ID = "019a6f3e-7c00-7000-8000-000000000001"
PATH = f"/v1/batches/{ID}"


@pytest.fixture
def event(tenant: Tenant, load_event: Callable[[str], Event]) -> Event:
    """Return the sample event with the tenant's key."""
    event = load_event("get_batch")
    event["headers"]["authorization"] = f"Bearer {tenant.key}"
    return event


def put(state: State, **more: Any) -> None:  # noqa: ANN401 - fields of a batch
    """Store the batch of the sample event."""
    services().batches.create(
        Batch(
            tenant="demo",
            id=ID,
            created_at=START,
            expires_at=START + timedelta(days=30),
            state=state,
            **more,
        )
    )


def got(event: Event, status: int) -> dict[str, Any]:
    """Send a request that is answered with a status; return the body of the answer."""
    result = invoke("get_batch", event)
    assert result["statusCode"] == status, result
    body: dict[str, Any] = json.loads(result["body"])
    return body


@pytest.mark.usefixtures("set_clock")
def test_a_batch_on_its_way(event: Event) -> None:
    """A batch says how many of its lines are read and have ended, and what became of them."""
    counts = Counts(accepted=98, bad=2, succeeded=40, failed=1, canceled=1)
    put(State.RUNNING, lines=100, read=100, ended=43, counts=counts)
    assert invoke("get_batch", event) == {
        "statusCode": 200,
        "headers": {
            "content-type": "application/json",
            **NO_STORE,
            "retry-after": "5",
        },
        "body": json.dumps(
            {
                "id": ID,
                "status": "running",
                "created_at": "2026-11-10T09:00:00.000Z",
                "finished_at": None,
                "lines": 100,
                "read": 100,
                "ended": 43,
                "counts": {
                    "accepted": 98,
                    "bad": 2,
                    "succeeded": 40,
                    "failed": 1,
                    "canceled": 1,
                    "missing": 0,
                },
                "error": None,
                "results_url": None,
                "links": {"self": PATH},
            }
        ),
    }


@pytest.mark.usefixtures("set_clock")
def test_a_finished_batch_has_its_results(event: Event) -> None:
    """Once it is finished, a batch has a URL that its results can be fetched from for an hour."""
    put(State.FINISHED, lines=1, finished_at=START + timedelta(minutes=1))
    body = got(event, HTTPStatus.OK)
    url = urlsplit(body["results_url"])
    assert url.path == f"/{BUCKET}/results/demo/{ID}.jsonl"
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url.query
    assert body["finished_at"] == "2026-11-10T09:01:00.000Z"


@pytest.mark.usefixtures("set_clock")
def test_a_failed_batch_says_why(event: Event) -> None:
    """A batch that cannot go on says why."""
    put(State.FAILED, reason="Its file was deleted or replaced.")
    body = got(event, HTTPStatus.OK)
    assert body["error"] == {"message": "Its file was deleted or replaced."}
    assert body["results_url"] is None


def test_a_foreign_batch_is_as_absent_as_one_that_is_not_there(
    event: Event, other_tenant: Tenant, set_clock: SetClock
) -> None:
    """Batches of others, unknown ones, expired ones and no ids get the same 404."""
    put(State.RUNNING)
    missing = json.loads(json.dumps(event))
    missing["pathParameters"]["batchId"] = "019a6f3e-7c00-7000-8000-00000000000f"
    part = json.loads(json.dumps(event))
    services().batches.put_bad(services().batches.get("demo", ID), 1, {1: "It is bad."})
    part["pathParameters"]["batchId"] = f"{ID}#000001"
    expected = invoke("get_batch", missing)
    assert expected["statusCode"] == HTTPStatus.NOT_FOUND
    assert invoke("get_batch", part) == expected
    event["headers"]["authorization"] = f"Bearer {other_tenant.key}"
    assert invoke("get_batch", event) == expected
    event["headers"]["authorization"] = missing["headers"]["authorization"]
    assert got(event, HTTPStatus.OK)["id"] == ID
    set_clock.advance(days=30)
    assert invoke("get_batch", event) == expected


@pytest.mark.usefixtures("set_clock")
def test_a_key_of_one_flow_sees_the_batches_of_such_keys(event: Event) -> None:
    """A key of one flow sees what keys of that flow have made, and nothing else."""
    put(State.RUNNING)
    _, key = services().registry.create_key("demo", [Scope.READ], flow=FLOW)
    event["headers"]["authorization"] = f"Bearer {key}"
    got(event, HTTPStatus.NOT_FOUND)


def test_a_key_that_may_not_read_is_refused(event: Event, tenant: Tenant) -> None:
    """A key that may only submit reads no batch."""
    event["headers"]["authorization"] = f"Bearer {tenant.key_with(Scope.SUBMIT)}"
    got(event, HTTPStatus.FORBIDDEN)
