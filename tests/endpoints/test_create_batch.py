"""`POST /v1/batches`: a file in the request, or a URL to put it to."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import pytest

from afterword import batches
from afterword.batches import MAX_LINES, State
from afterword.runtime.clients import clients
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, Event, SetClock, Tenant
from tests.harness.api import invoke
from tests.harness.batches import BUCKET
from tests.harness.response_headers import NO_STORE

STARTED = {
    "status": "waiting",
    "created_at": "2026-11-10T09:00:00.000Z",
    "finished_at": None,
    "lines": None,
    "read": 0,
    "ended": 0,
    "counts": {
        "accepted": 0,
        "bad": 0,
        "succeeded": 0,
        "failed": 0,
        "canceled": 0,
        "missing": 0,
    },
    "error": None,
    "results_url": None,
}


@pytest.fixture
def event(tenant: Tenant, load_event: Callable[[str], Event], set_clock: SetClock) -> Event:
    """Return the sample event with the tenant's key."""
    assert set_clock()
    event = load_event("create_batch")
    event["headers"]["authorization"] = f"Bearer {tenant.key}"
    return event


def asking_for_a_url(event: Event, body: str = "{}") -> Event:
    """Return the event of a request without a file."""
    event["headers"]["content-type"] = "application/json"
    return {**event, "body": body}


def sent(event: Event, status: int) -> dict[str, Any]:
    """Send a request that is answered with a status; return the body of the answer."""
    result = invoke("create_batch", event)
    assert result["statusCode"] == status, result
    body: dict[str, Any] = json.loads(result["body"])
    return body


def test_a_file_is_accepted(event: Event) -> None:
    """A file in the request is put where the intake finds it, and the batch can be looked at."""
    result = invoke("create_batch", event)
    batch_id = json.loads(result["body"])["id"]
    path = f"/v1/batches/{batch_id}"
    assert result == {
        "statusCode": 202,
        "headers": {
            "content-type": "application/json",
            **NO_STORE,
            "location": path,
            "retry-after": "5",
        },
        "body": json.dumps({"id": batch_id, **STARTED, "links": {"self": path}}),
    }
    assert services().batches.get("demo", batch_id).state is State.WAITING
    there = clients().s3.get_object(Bucket=BUCKET, Key=f"uploads/demo/{batch_id}.jsonl")
    assert there["Body"].read().decode() == event["body"]


@pytest.mark.parametrize("body", ["{}", '{"upload": true}', '{"upload": null}'])
def test_a_bigger_file_is_put_to_a_url(event: Event, body: str) -> None:
    """Without a file the answer has a URL for one file of this batch, which lasts an hour."""
    there = sent(asking_for_a_url(event, body), HTTPStatus.CREATED)
    url = urlsplit(there.pop("upload_url"))
    batch_id = there["id"]
    assert url.path == f"/{BUCKET}/uploads/demo/{batch_id}.jsonl"
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url.query
    assert "X-Amz-Expires=3600" in url.query
    assert there == {"id": batch_id, **STARTED, "links": {"self": f"/v1/batches/{batch_id}"}}
    assert clients().s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


def test_a_request_that_comes_again_is_the_same_batch(event: Event) -> None:
    """With an Idempotency-Key all requests are one batch, which is put only while it waits."""
    event["headers"]["idempotency-key"] = "mails-of-may"
    first, second = (sent(event, HTTPStatus.ACCEPTED) for _ in range(2))
    assert first == second
    source = batches.Source(key="uploads/demo/a.jsonl", version=None, etag='"a"', size=1)
    assert services().batches.start("demo", first["id"], source)
    assert sent(event, HTTPStatus.ACCEPTED)["status"] == "reading"
    versions = clients().s3.list_object_versions(Bucket=BUCKET)["Versions"]
    assert len(versions) == 2


def test_a_key_that_comes_with_another_file_is_refused(event: Event) -> None:
    """An Idempotency-Key stands for one file."""
    event["headers"]["idempotency-key"] = "mails-of-may"
    sent(event, HTTPStatus.ACCEPTED)
    problem = sent({**event, "body": "{}\n"}, HTTPStatus.UNPROCESSABLE_CONTENT)
    assert problem["detail"] == "The Idempotency-Key was used before, for another request."


def test_the_key_is_each_tenants_own(event: Event, other_tenant: Tenant) -> None:
    """Two tenants with the same Idempotency-Key have a batch each."""
    event["headers"]["idempotency-key"] = "mails-of-may"
    own = sent(event, HTTPStatus.ACCEPTED)
    event["headers"]["authorization"] = f"Bearer {other_tenant.key}"
    assert sent(event, HTTPStatus.ACCEPTED)["id"] != own["id"]


@pytest.mark.parametrize(
    ("media_type", "body", "status", "detail"),
    [
        ("application/jsonl", "", 400, f"The body must have 1 to {MAX_LINES} lines."),
        (
            "application/x-ndjson; charset=utf-8",
            "{}\n" * (MAX_LINES + 1),
            400,
            f"The body must have 1 to {MAX_LINES} lines.",
        ),
        ("application/json", "[]", 400, "The body must be a JSON object."),
        ("application/json", '{"upload": 1}', 422, "upload: must be true, or left out."),
        (
            "application/json",
            '{"file": 1}',
            422,
            "file: must be one of: upload.",
        ),
    ],
)
def test_what_is_no_batch_is_refused(
    event: Event, media_type: str, body: str, status: int, detail: str
) -> None:
    """Files without lines or with too many, and requests for something else, are refused."""
    event["headers"]["content-type"] = media_type
    assert sent({**event, "body": body}, status)["detail"] == detail
    assert clients().s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


def test_a_key_of_one_flow_makes_batches_of_that_flow(event: Event) -> None:
    """A batch is bound to the flow that its key is bound to."""
    _, key = services().registry.create_key("demo", [Scope.SUBMIT], flow=FLOW)
    event["headers"]["authorization"] = f"Bearer {key}"
    batch_id = sent(event, HTTPStatus.ACCEPTED)["id"]
    assert services().batches.get("demo", batch_id).flow == FLOW


def test_a_key_that_may_not_submit_is_refused(event: Event, tenant: Tenant) -> None:
    """A key that may only read makes no batch."""
    event["headers"]["authorization"] = f"Bearer {tenant.key_with(Scope.READ)}"
    sent(event, HTTPStatus.FORBIDDEN)
    event["headers"].pop("authorization")
    sent(event, HTTPStatus.UNAUTHORIZED)
