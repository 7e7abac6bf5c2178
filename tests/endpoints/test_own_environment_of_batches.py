"""The functions of batches, each with its own environment and permissions of template.yaml."""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace

import pytest

from afterword import batches, clock
from afterword.batches import Batch, State
from afterword.flows.drafts import Flow
from afterword.knowledge import Draft
from afterword.limits import Limits
from afterword.runtime import settings
from afterword.services import services
from tests.conftest import Call, Event, SetClock, Tenant
from tests.endpoints.test_own_environment import (
    ID,
    OTHER_ID,
    Recorder,
    lose_slot,
    messages_in,
    ours,
    unused,
)
from tests.harness.api import invoke
from tests.harness.batches import KEY, MAIL, Inbox, created, file, turns
from tests.harness.deployment import Deployment
from tests.harness.fake_model import completion

pytestmark = pytest.mark.usefixtures("greedy_tenant")

BIG = "x" * 20_000
LONG = "".join(hashlib.sha256(bytes([at])).hexdigest() for at in range(64))
"""A text that makes the request an item of its own."""


@pytest.fixture
def run_alone(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], set[str]]:
    """Return a function that leaves only one function's variables, and gives those asked for."""

    def leave_only(folder: str) -> set[str]:
        recorder = Recorder(deployment.functions[folder].environment, set())
        monkeypatch.setattr(settings, "os", SimpleNamespace(environ=recorder))
        services.cache_clear()
        return recorder.asked

    return leave_only


def test_creating_a_batch_has_what_it_needs(
    deployment: Deployment,
    tenant: Tenant,
    load_event: Callable[[str], Event],
    run_alone: Callable[[str], set[str]],
) -> None:
    """The function uses all its variables and permissions, and no other."""
    asked = run_alone("create_batch")
    event = load_event("create_batch")
    event["headers"]["authorization"] = f"Bearer {tenant.key}"
    assert invoke("create_batch", event)["statusCode"] == 202
    assert asked == ours(deployment, "create_batch")
    assert unused("create_batch") == set()


def test_reading_a_batch_has_what_it_needs(
    deployment: Deployment,
    tenant: Tenant,
    load_event: Callable[[str], Event],
    run_alone: Callable[[str], set[str]],
) -> None:
    """The function uses all its variables and permissions: the URL of the results needs one."""
    event = load_event("get_batch")
    services().batches.create(
        Batch(
            tenant=tenant.id,
            id=event["pathParameters"]["batchId"],
            created_at=clock.now(),
            expires_at=clock.now() + timedelta(days=1),
            state=State.FINISHED,
        )
    )
    asked = run_alone("get_batch")
    event["headers"]["authorization"] = f"Bearer {tenant.key}"
    result = invoke("get_batch", event)
    assert json.loads(result["body"])["results_url"]
    assert asked == ours(deployment, "get_batch")
    assert unused("get_batch") == set()


def wait_for_a_file(batch_id: str) -> None:
    """Store a batch whose file is still to be put to its URL."""
    batch = Batch(
        tenant="demo",
        id=batch_id,
        created_at=clock.now(),
        expires_at=clock.now() + timedelta(days=1),
        state=State.WAITING,
    )
    services().batches.create(batch)


def without_versions(event: Event) -> Event:
    """Return S3's answer about a file where the bucket's versions were switched off."""
    (record,) = event["Records"]
    del record["s3"]["object"]["versionId"]
    return event


def test_the_intake_has_what_it_needs(  # noqa: PLR0913, PLR0917 - all that it does
    deployment: Deployment,
    tenant: Tenant,
    load_event: Callable[[str], Event],
    set_clock: SetClock,
    run_alone: Callable[[str], set[str]],
    calls: list[Call],
) -> None:
    """The intake uses all its variables and permissions, and no other."""
    services().registry.set_limits(tenant.id, Limits(running_at_once=9))
    for generation_id in (ID, OTHER_ID):
        lose_slot(generation_id)
    services().registry.set_limits(tenant.id, Limits(running_at_once=2))
    set_clock.advance(minutes=2)
    draft = Draft(name="Refunds", text="Two weeks.", folder="Help")
    services().contents.create(tenant.id, draft)
    step = {"name": "answer", "prompt": "{{text}}", "context": {"folders": ["Help"]}}
    flow = Flow.model_validate({"id": "ask", "name": "Ask", "steps": [step]})
    services().registry.put_flow(tenant.id, "ask", flow.model_dump_json(exclude_unset=True))
    asks = {
        "flow": "ask",
        "inputs": {"text": BIG},
        "context": {"answer": {"folders": {"names": ["Help"]}}},
    }
    event = created(KEY, file(asks, "{"))
    upload = created(f"uploads/demo/{ID}.jsonl", file("{"))
    plain = without_versions(created("intake/demo/plain.jsonl", file("{")))
    plain_upload = without_versions(created(f"uploads/demo/{OTHER_ID}.jsonl", file("{")))
    for batch_id in (ID, OTHER_ID):
        wait_for_a_file(batch_id)
    inbox = Inbox(load_event("intake"))
    asked = run_alone("intake")
    assert inbox.take(event, upload, "no message") == []
    assert inbox.take(plain, plain_upload) == []
    assert messages_in("Queue") == 1
    for batch_id in (ID, OTHER_ID):
        assert services().batches.get("demo", batch_id).counts.bad == 1
    following = turns(calls)[0][0]
    generation_id = batches.line_id(tenant.id, following["batch"], 1)
    claim = services().store.claim(tenant.id, generation_id, clock.now() + timedelta(seconds=60))
    assert claim is not None
    services().outbox.succeed(claim, completion(BIG))
    assert inbox.take(following) == []
    long = {**asks, "inputs": {"text": LONG}, "context": {}}
    services().registry.set_limits(tenant.id, Limits(running_at_once=4))
    services.cache_clear()
    limited = created("intake/demo/more.jsonl", file(*[long] * 5))
    inbox.take(limited)
    message, _ = turns(calls)[-1]
    services().batches.take_lease(
        tenant.id, message["batch"], message["turn"], clock.now() + timedelta(minutes=1)
    )
    assert inbox.take(message) == ["0"]
    assert asked == ours(deployment, "intake")
    assert "sqs.ChangeMessageVisibility" in [call.operation for call in calls]
    assert unused("intake") == set()


@pytest.mark.parametrize("key", [KEY, f"uploads/demo/{ID}.jsonl"])
@pytest.mark.usefixtures("tenant", "set_clock")
def test_a_file_without_versions_is_read(
    load_event: Callable[[str], Event], calls: list[Call], key: str
) -> None:
    """Were the bucket's versions switched off, its files would still become batches."""
    wait_for_a_file(ID)
    inbox = Inbox(load_event("intake"))
    assert inbox.take(without_versions(created(key, file(MAIL)))) == []
    following = turns(calls)[0][0]
    assert inbox.take(following) == []
    assert services().batches.get("demo", following["batch"]).counts.accepted == 1
