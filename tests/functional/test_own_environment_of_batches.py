"""The functions of batches, each with its own environment and permissions of template.yaml."""

import json
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace

import pytest

from afterword import batches, clock, services, settings
from afterword.batches import Batch, BatchFailedError, Source, State
from afterword.contents import Draft
from afterword.flows import Flow
from afterword.limits import Limits
from functions.create_batch.app import handler as create_batch
from functions.get_batch.app import handler as get_batch
from tests.conftest import Call, Event, LambdaContext, SetClock, Tenant
from tests.deployment import REFERENCES, Deployment
from tests.fake_model import completion
from tests.functional.batches import BUCKET, KEY, Inbox, created, file, turns
from tests.functional.test_own_environment import (
    ID,
    OTHER_ID,
    RESOURCES,
    Recorder,
    actions,
    granted,
    lose_place,
    ours,
)

OWN = {
    **RESOURCES,
    REFERENCES["BatchesTable"]: "BatchesTable.Arn",
    REFERENCES["IntakeQueue"]: "IntakeQueue.Arn",
    REFERENCES["IntakeDeadLetterQueue"]: "IntakeDeadLetterQueue.Arn",
}
BIG = "x" * 20_000


@pytest.fixture
def run_alone(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], set[str]]:
    """Return a function that leaves only one function's variables, and gives those asked for."""

    def leave_only(folder: str) -> set[str]:
        recorder = Recorder(deployment.functions[folder].environment, set())
        monkeypatch.setattr(settings, "os", SimpleNamespace(environ=recorder))
        settings.settings.cache_clear()
        for built in vars(services).values():
            if hasattr(built, "cache_clear"):
                built.cache_clear()
        return recorder.asked

    return leave_only


def used(calls: list[Call]) -> dict[str, set[str]]:
    """Return the IAM actions that the calls need, by resource."""
    needed: dict[str, set[str]] = {}
    for call in calls:
        match call.params:
            case {"Bucket": bucket, "Key": str(key)} if bucket == BUCKET:
                resources = [f"${{BatchBucket.Arn}}/{key.partition('/')[0]}/*"]
            case {"RequestItems": tables}:
                resources = [OWN[table] for table in tables]
            case {"TableName": name} | {"QueueUrl": name} | {"Bucket": name}:
                resources = [OWN[name]]
            case _:
                raise AssertionError(call)
        for resource in resources:
            needed.setdefault(resource, set()).update(own(call))
    return needed


def own(call: Call) -> set[str]:
    """Return the IAM actions that a call needs."""
    parts = {"s3.CreateMultipartUpload", "s3.UploadPart", "s3.CompleteMultipartUpload"}
    if call.operation in parts:
        return {"s3:PutObject"}
    if call.operation == "s3.GetObject" and "VersionId" in call.params:
        return {"s3:GetObjectVersion"}
    return actions(call)


def test_creating_a_batch_has_what_it_needs(
    deployment: Deployment,
    tenant: Tenant,
    load_event: Callable[[str], Event],
    run_alone: Callable[[str], set[str]],
    calls: list[Call],
) -> None:
    """The function uses all its variables and permissions, and no other."""
    asked = run_alone("create_batch")
    calls.clear()
    event = load_event("create_batch")
    event["headers"]["authorization"] = f"Bearer {tenant.key}"
    assert create_batch(event, LambdaContext())["statusCode"] == 202
    assert asked == ours(deployment, "create_batch")
    assert used(calls) == granted(deployment, "create_batch")


def test_reading_a_batch_has_what_it_needs(
    deployment: Deployment,
    tenant: Tenant,
    load_event: Callable[[str], Event],
    run_alone: Callable[[str], set[str]],
    calls: list[Call],
) -> None:
    """The function uses all its variables and permissions: the URL of the results needs one."""
    event = load_event("get_batch")
    services.batches().create(
        Batch(
            tenant=tenant.id,
            id=event["pathParameters"]["batchId"],
            created_at=clock.now(),
            expires_at=clock.now() + timedelta(days=1),
            state=State.FINISHED,
        )
    )
    asked = run_alone("get_batch")
    calls.clear()
    event["headers"]["authorization"] = f"Bearer {tenant.key}"
    result = get_batch(event, LambdaContext())
    assert json.loads(result["body"])["results_url"]
    calls.append(Call("s3.GetObject", {"Bucket": BUCKET, "Key": "results/demo/batch.jsonl"}))
    assert asked == ours(deployment, "get_batch")
    assert used(calls) == granted(deployment, "get_batch")


def test_the_intake_has_what_it_needs(  # noqa: PLR0913, PLR0917 - all that it does
    deployment: Deployment,
    tenant: Tenant,
    load_event: Callable[[str], Event],
    set_clock: SetClock,
    run_alone: Callable[[str], set[str]],
    calls: list[Call],
) -> None:
    """The intake uses all its variables and permissions, and no other."""
    services.registry().set_limits(tenant.id, Limits(running_at_once=9))
    for generation_id in (ID, OTHER_ID):
        lose_place(generation_id)
    services.registry().set_limits(tenant.id, Limits(running_at_once=2))
    set_clock.advance(minutes=2)
    draft = Draft(name="Refunds", text="Two weeks.", folder="Help")
    services.contents().create(tenant.id, draft)
    step = {"name": "answer", "prompt": "{{text}}", "context": {"folders": ["Help"]}}
    flow = Flow.model_validate({"id": "ask", "name": "Ask", "steps": [step]})
    services.registry().put_flow(tenant.id, "ask", flow.model_dump_json(exclude_unset=True))
    asks = {
        "flow": "ask",
        "inputs": {"text": BIG},
        "context": {"answer": {"folders": {"names": ["Help"]}}},
    }
    event = created(KEY, file(asks, "{"))
    upload = created("uploads/demo/" + ID + ".jsonl", file("{"))
    waiting = Batch(
        tenant=tenant.id,
        id=ID,
        created_at=clock.now(),
        expires_at=clock.now() + timedelta(days=1),
        state=State.WAITING,
    )
    services.batches().create(waiting)
    inbox = Inbox(load_event("intake"))
    asked = run_alone("intake")
    calls.clear()
    assert inbox.take(event, upload, "no message") == []
    following = turns(calls)[0][0]
    generation_id = batches.line_id(tenant.id, following["batch"], 1)
    claim = services.store().claim(tenant.id, generation_id, clock.now() + timedelta(seconds=60))
    assert claim is not None
    services.endings().succeed(claim, completion(BIG))
    assert inbox.take(following) == []
    for folder in (batches.INTAKE, batches.UPLOADS):  # were versions switched off
        source = Source(key=f"{folder}/a", version=None, etag="a", size=1)
        with pytest.raises(BatchFailedError):
            services.batch_files().read(source, 0, 1)
    limited = created("intake/demo/more.jsonl", file(*[{**asks, "context": {}}] * 3))
    inbox.take(limited)
    message, _ = turns(calls)[-1]
    services.batches().take(
        tenant.id, message["batch"], message["turn"], clock.now() + timedelta(minutes=1)
    )
    assert inbox.take(message) == ["0"]
    needed = used([call for call in calls if not by_the_tests(call)])
    assert asked == ours(deployment, "intake")
    assert needed == granted(deployment, "intake")


def by_the_tests(call: Call) -> bool:
    """Whether a call is one of the tests' own, which put files and messages where they come in."""
    match call.operation, call.params:
        case "s3.PutObject", {"Bucket": bucket} if bucket == BUCKET:
            return True
        case (("sqs.ReceiveMessage" | "sqs.CreateQueue"), _):
            return True
    return False
