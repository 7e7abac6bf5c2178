"""The generations table: the writes that each may make, and the attributes that stay."""

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from afterword import clock, generations
from afterword.errors import NotFoundError, UnavailableError
from afterword.files import StoredFile, SubmittedFile
from afterword.generations import (
    TRANSITIONS,
    Completion,
    Generation,
    Reason,
    Setback,
    SetbackReason,
    Status,
    Submission,
    SubmissionOptions,
    items,
)
from afterword.generations.claims import Claim, NotDueError
from afterword.generations.details import GenerationDetail
from afterword.generations.ends import (
    DUE_SHARDS,
    STALLED_AFTER,
    DeadLetter,
    DueKey,
    End,
    EndResult,
    Look,
    Stalled,
)
from afterword.generations.store import GenerationStore
from afterword.runtime.clients import clients
from afterword.runtime.dynamodb import millis
from afterword.runtime.packing import unpack
from afterword.runtime.pages import Page
from afterword.runtime.payloads import INLINE_BYTES
from afterword.services import services
from tests.conftest import START, Call, SetClock, Stored
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import completion
from tests.harness.seeds import SEED_PARAMS, seeded

ID = "019a6f3e-7c00-7000-8000-000000000001"
LEASE = timedelta(seconds=70)
MILLIS = round(START.timestamp() * 1000)
TABLE = REFERENCES["GenerationsTable"]
SUBMISSION = Submission(
    dialect="dialonce",
    flow="mail-reply",
    inputs={"subject": "A claim", "body": "Bonjour, é 😀"},
    template="Dear [name],",
    external={"external_ref": '"case-457"', "external_metadata": '{"n": 1.10}'},
)
NEVER_CHANGED = (
    "pk", "list_key", "list_order", "tenant", "id", "dialect", "flow", "flow_version", "created_at",
    "deadline_at", "expires_at", "fingerprint", "request", "external",
)  # fmt: skip

type ReadItem = Callable[[str, str], dict[str, Any]]


@pytest.fixture
def store(store: GenerationStore, set_clock: SetClock) -> GenerationStore:  # noqa: ARG001 - its clock
    """Return a store in which one generation is queued since START."""
    put(store)
    return store


def put(
    store: GenerationStore,
    generation_id: str = ID,
    submission: Submission = SUBMISSION,
    *,
    slot: str | None = None,
    notify: bool = False,
) -> None:
    """Put a generation of the tenant `demo` that is kept for 30 days."""
    options = SubmissionOptions(
        flow_version=3, retention=timedelta(days=30), slot=slot, notify=notify
    )
    store.put("demo", generation_id, submission, options)


def claim(store: GenerationStore) -> Claim:
    """Claim the generation for the time of a lease."""
    claimed = store.claim("demo", ID, clock.now() + LEASE)
    assert claimed is not None
    return claimed


def fail_unclaimed(store: GenerationStore, generation_id: str = ID) -> EndResult | None:
    """Fail the generation unclaimed, as for a dead letter."""
    return store.fail_unclaimed("demo", generation_id, Reason.DEAD_LETTER, "Delivered too often.")


def postponed(store: GenerationStore) -> bool:
    """Postpone the generation as the sweeper does, whether it is due or not."""
    item = clients().dynamodb.get_item(TableName=TABLE, Key={"pk": {"S": f"demo#{ID}"}})["Item"]
    return store.postpone(items.read_stalled(item), clock.now() + timedelta(minutes=5))


def stalled_in(store: GenerationStore) -> list[Stalled]:
    """Return all stalled generations, oldest first."""
    keys = [key for shard in range(DUE_SHARDS) for key in store.read_due(shard, 1_000)]
    return [*store.read_stalled(sorted(keys)).stalled]


def query(index: str, **keys: str) -> list[str]:
    """Return the ids that an index has under a partition key, in its order."""
    ((name, value),) = keys.items()
    items = clients().dynamodb.query(
        TableName=TABLE,
        IndexName=index,
        KeyConditionExpression=f"{name} = :value",
        ExpressionAttributeValues={":value": {"S": value}},
    )["Items"]
    return [item["pk"]["S"].removeprefix("demo#") for item in items]


def test_a_generation_is_put_as_one_item(store: GenerationStore, read_item: ReadItem) -> None:
    """The item has the keys of both indexes, the times, and the request word for word."""
    assert store.get("demo", ID).status is Status.QUEUED
    assert read_item("demo", ID) == {
        "pk": {"S": f"demo#{ID}"},
        "list_key": {"S": "demo#mail-reply"},
        "list_order": {"S": f"{MILLIS}#{ID}"},
        "reference": {"S": "demo#case-457"},
        "tenant": {"S": "demo"},
        "id": {"S": ID},
        "dialect": {"S": "dialonce"},
        "flow": {"S": "mail-reply"},
        "flow_version": {"N": "3"},
        "status": {"S": "queued"},
        "attempt": {"N": "0"},
        "failures": {"N": "0"},
        "created_at": {"N": str(MILLIS)},
        "deadline_at": {"N": str(MILLIS + 3_600_000)},
        "expires_at": {"N": str(MILLIS // 1000 + 30 * 86_400)},
        "due_shard": {"S": str(zlib.crc32(ID.encode()) % 8)},
        "due_at": {"N": str(MILLIS + 120_000)},
        "fingerprint": {"S": SUBMISSION.fingerprint()},
        "request": {
            "S": '{"inputs": {"subject": "A claim", "body": "Bonjour, é 😀"},'
            ' "template": "Dear [name],"}'
        },
        "external": {
            "S": '{"external_ref": "\\"case-457\\"", "external_metadata": "{\\"n\\": 1.10}"}'
        },
    }


def test_a_put_that_is_sent_again_changes_nothing(
    store: GenerationStore, read_item: ReadItem
) -> None:
    """A put whose answer was lost may be sent again, even when the work has begun since."""
    claim(store)
    before = read_item("demo", ID)
    put(store)
    assert read_item("demo", ID) == before


def test_a_put_that_fails_otherwise_is_no_acceptance(
    store: GenerationStore, cut_off: Callable[[str], None]
) -> None:
    """When the table is out of reach, putting raises."""
    cut_off("dynamodb.PutItem")
    with pytest.raises(EndpointConnectionError):
        put(store, generations.new_id())


def test_other_errors_of_the_table_are_not_taken_for_a_lost_condition(
    store: GenerationStore,
) -> None:
    """Only a failed condition means that another write came first; the rest is raised."""
    claimed = claim(store)
    clients().dynamodb.delete_table(TableName=TABLE)
    for attempt in (
        lambda: put(store),
        lambda: store.claim("demo", ID, START + LEASE),
        lambda: store.fail(claimed, Reason.TOO_LONG, "The mail is too long."),
        lambda: fail_unclaimed(store),
    ):
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            attempt()


def test_a_generation_is_read_as_its_owner_sees_it(store: GenerationStore) -> None:
    """Reading gives the whole generation, and asks for a consistent read."""
    assert store.get("demo", ID) == Generation(
        tenant="demo",
        id=ID,
        dialect="dialonce",
        flow="mail-reply",
        flow_version=3,
        status=Status.QUEUED,
        attempt=0,
        created_at=START,
        deadline_at=START + timedelta(hours=1),
        finished_at=None,
        external=SUBMISSION.external,
        completion=None,
        reason=None,
        message=None,
        retry_of=None,
    )


def test_a_read_is_consistent(store: GenerationStore, calls: list[Call]) -> None:
    """A generation that was just submitted is found, for the read is a consistent one."""
    store.get("demo", ID)
    assert [(call.operation, call.params["ConsistentRead"]) for call in calls] == [
        ("dynamodb.GetItem", True)
    ]


@pytest.mark.parametrize(
    ("tenant", "generation_id"),
    [
        ("other", ID),
        ("demo", "019a6f3e-7c00-7000-8000-000000000002"),
        ("demo", ID.upper()),
        ("demo", f"{{{ID}}}"),
        ("demo", "g78ml9fz3qwk"),
        ("", f"demo#{ID}"),
    ],
)
def test_what_is_absent_foreign_or_malformed_is_not_found(
    store: GenerationStore, tenant: str, generation_id: str
) -> None:
    """An absent, a foreign and a malformed id are refused in the same words."""
    with pytest.raises(NotFoundError) as refused:
        store.get(tenant, generation_id)
    assert str(refused.value) == "There is no such generation."


def test_a_malformed_id_costs_no_call(store: GenerationStore, calls: list[Call]) -> None:
    """A text that cannot be an id is refused without asking the table."""
    with pytest.raises(NotFoundError):
        store.get("demo", "g78ml9fz3qwk")
    assert calls == []


def test_an_expired_generation_is_absent(store: GenerationStore, set_clock: SetClock) -> None:
    """An expired generation is not shown, though DynamoDB deletes it days later."""
    set_clock.advance(days=30, milliseconds=-1)
    assert store.get("demo", ID).id == ID
    set_clock.advance(milliseconds=1)
    with pytest.raises(NotFoundError):
        store.get("demo", ID)


def test_the_table_forgets_by_the_attribute_that_is_set(template: Mapping[str, Any]) -> None:
    """DynamoDB's TTL goes by `expires_at`, which is in seconds."""
    properties = template["Resources"]["GenerationsTable"]["Properties"]
    assert properties["TimeToLiveSpecification"] == {
        "AttributeName": "expires_at",
        "Enabled": True,
    }


def test_a_claim_has_what_a_worker_needs(store: GenerationStore, read_item: ReadItem) -> None:
    """Claiming makes it running, counts the attempt, sets the lease, and gives the request."""
    assert store.claim("demo", ID, START + LEASE) == Claim(
        tenant="demo",
        id=ID,
        attempt=1,
        failures=0,
        flow="mail-reply",
        flow_version=3,
        created_at=START,
        deadline_at=START + timedelta(hours=1),
        inputs=SUBMISSION.inputs,
        template="Dear [name],",
        order=f"{MILLIS}#{ID}",
    )
    item = read_item("demo", ID)
    assert (item["status"], item["attempt"], item["lease_until"]) == (
        {"S": "running"},
        {"N": "1"},
        {"N": str(MILLIS + 70_000)},
    )


@pytest.mark.parametrize("after", [timedelta(0), LEASE - timedelta(milliseconds=1), LEASE])
def test_a_live_lease_is_respected(
    store: GenerationStore, set_clock: SetClock, read_item: ReadItem, after: timedelta
) -> None:
    """While a worker's lease lasts, no other worker gets its generation."""
    claim(store)
    before = read_item("demo", ID)
    set_clock.moment += after
    assert store.claim("demo", ID, clock.now() + LEASE) is None
    assert read_item("demo", ID) == before


def test_a_lease_that_ran_out_is_taken_over(store: GenerationStore, set_clock: SetClock) -> None:
    """A generation whose worker was lost is claimed anew, and the lost attempt is a failure."""
    claim(store)
    set_clock.moment += LEASE + timedelta(milliseconds=1)
    second = claim(store)
    assert (second.attempt, second.failures) == (2, 1)
    set_clock.moment += LEASE + timedelta(milliseconds=1)
    third = claim(store)
    assert (third.attempt, third.failures) == (3, 2)


def test_what_is_not_there_cannot_be_claimed(store: GenerationStore) -> None:
    """A generation that is absent or another tenant's is not to be had, and none comes to be."""
    absent = "019a6f3e-7c00-7000-8000-000000000002"
    assert store.claim("demo", absent, START + LEASE) is None
    assert store.claim("other", ID, START + LEASE) is None
    assert clients().dynamodb.scan(TableName=TABLE)["Count"] == 1


def test_a_result_is_stored_and_read_back(
    store: GenerationStore, set_clock: SetClock, read_item: ReadItem
) -> None:
    """A finished generation has its text, what it took, and the time; no lease and no due time."""
    claimed = claim(store)
    set_clock.advance(seconds=5)
    ended = store.succeed(claimed, completion("Dear Ada,"))
    assert ended == End(
        tenant="demo",
        id=ID,
        dialect="dialonce",
        flow="mail-reply",
        flow_version=3,
        status=Status.SUCCEEDED,
        reason=None,
        attempt=1,
        created_at=START,
        finished_at=START + timedelta(seconds=5),
        tokens=completion("").tokens_in + completion("").tokens_out,
        slot=None,
        notify=False,
        dispatched=True,
    )
    assert store.get_end("demo", ID) == ended
    generation = store.get("demo", ID)
    assert generation.status is Status.SUCCEEDED
    assert generation.completion == completion("Dear Ada,")
    assert generation.finished_at == START + timedelta(seconds=5)
    assert (generation.reason, generation.message) == (None, None)
    assert not {"lease_until", "due_at", "due_shard"} & read_item("demo", ID).keys()


def test_a_result_may_have_no_model(store: GenerationStore) -> None:
    """A template without placeholders needs no model, and its result names none."""
    plain = Completion(text="Hi", model=None, stop_reason="stop", tokens_in=0, tokens_out=0)
    assert store.succeed(claim(store), plain)
    assert store.get("demo", ID).completion == plain


def test_a_failure_is_stored_with_its_reason(
    store: GenerationStore, set_clock: SetClock, read_item: ReadItem
) -> None:
    """A failed generation says why, to programs and to people."""
    claimed = claim(store)
    set_clock.advance(seconds=5)
    ended = store.fail(claimed, Reason.TOO_LONG, "The mail is too long.")
    assert ended is not None
    assert (ended.status, ended.reason, ended.tokens) == (Status.FAILED, Reason.TOO_LONG, 0)
    generation = store.get("demo", ID)
    assert (generation.status, generation.reason, generation.message, generation.completion) == (
        Status.FAILED,
        Reason.TOO_LONG,
        "The mail is too long.",
        None,
    )
    assert generation.finished_at == START + timedelta(seconds=5)
    assert not {"lease_until", "due_at", "due_shard"} & read_item("demo", ID).keys()


def test_an_answer_of_no_use_has_its_tokens_counted(store: GenerationStore) -> None:
    """The tokens of an unusable answer are stored with the failure."""
    ended = store.fail(claim(store), Reason.EMPTY_OUTPUT, "No text.", completion(""))
    assert ended is not None
    assert ended.tokens == completion("").tokens_in + completion("").tokens_out > 0


@pytest.mark.parametrize(("slot", "notify"), [("1-a", False), (None, True)])
@pytest.mark.parametrize("end", ["succeed", "fail"])
def test_an_end_is_due_until_it_is_dispatched(
    store: GenerationStore, read_item: ReadItem, end: str, slot: str | None, *, notify: bool
) -> None:
    """The write of the end leaves an outbox entry on the index, and the dispatch removes it."""
    generation_id = generations.new_id()
    put(store, generation_id, slot=slot, notify=notify)
    claimed = store.claim("demo", generation_id, clock.now() + LEASE)
    assert claimed is not None
    if end == "succeed":
        ended = store.succeed(claimed, completion("Hi"))
    else:
        ended = store.fail(claimed, Reason.TOO_LONG, "The mail is too long.")
    assert ended is not None
    assert (ended.slot, ended.notify) == (slot, notify)
    assert not ended.dispatched
    item = read_item("demo", generation_id)
    assert item["due_at"] == {"N": str(MILLIS + 120_000)}
    assert "lease_until" not in item
    store.mark_dispatched("demo", generation_id)
    store.mark_dispatched("demo", generation_id)
    after = {name: value for name, value in item.items() if not name.startswith("due_")}
    assert read_item("demo", generation_id) == after
    assert store.get_end("demo", generation_id) == replace(ended, dispatched=True)


def test_only_an_end_is_dispatched(store: GenerationStore, read_item: ReadItem) -> None:
    """Nothing takes an open generation off the index of what is due, nor makes an item."""
    before = read_item("demo", ID)
    store.mark_dispatched("demo", ID)
    store.mark_dispatched("demo", "019a6f3e-7c00-7000-8000-000000000002")
    assert read_item("demo", ID) == before
    assert clients().dynamodb.scan(TableName=TABLE)["Count"] == 1
    assert store.get_end("demo", ID) is None


def test_many_ends_are_told_at_once(store: GenerationStore, calls: list[Call]) -> None:
    """Of several generations those that have ended are told, and those that are not there."""
    absent, finished = generations.new_id(), generations.new_id()
    put(store, finished)
    claimed = store.claim("demo", finished, clock.now() + LEASE)
    assert claimed is not None
    ended = store.succeed(claimed, completion("Hi"))
    calls.clear()
    assert store.get_ends("demo", [ID, absent, finished]) == {absent: None, finished: ended}
    assert [call.operation for call in calls] == ["dynamodb.BatchGetItem"]


def test_a_generation_just_submitted_does_not_count_as_absent(
    store: GenerationStore, calls: list[Call]
) -> None:
    """The read of ends is a consistent one: absent once is absent for good."""
    store.get_ends("demo", [ID])
    (call,) = calls
    assert call.params["RequestItems"][TABLE]["ConsistentRead"] is True


def test_what_was_not_read_is_not_taken_for_absent(
    store: GenerationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that DynamoDB had no time for are in neither part of the answer."""
    key = {"pk": {"S": f"demo#{ID}"}}
    answer = {"Responses": {}, "UnprocessedKeys": {TABLE: {"Keys": [key]}}}
    monkeypatch.setattr(clients().dynamodb, "batch_get_item", lambda **_: answer)  # moto reads all
    assert store.get_ends("demo", [ID]) == {}


@pytest.mark.parametrize("failed", [False, True])
def test_a_generation_is_requeued(
    store: GenerationStore, read_item: ReadItem, *, failed: bool
) -> None:
    """A requeued generation can be claimed at once; only a failure spends the budget."""
    queued = read_item("demo", ID)
    assert store.requeue(claim(store), failed=failed) is True
    requeued = read_item("demo", ID)
    assert requeued == queued | {
        "attempt": {"N": "1"},
        "claimed_at": {"N": str(MILLIS)},
        "failures": {"N": str(int(failed))},
        "next_at": millis(START),
        "due_at": millis(START + STALLED_AFTER),
        "write_id": requeued["write_id"],
    }
    again = claim(store)
    assert (again.attempt, again.failures) == (2, int(failed))


def test_a_requeue_keeps_the_tokens_of_an_answer_that_failed(store: GenerationStore) -> None:
    """Answers that were paid for add up, and count in an end without an answer."""
    for _ in range(2):
        assert store.requeue(claim(store), failed=False, spent=completion(""))
    again = claim(store)
    assert again.spent == (240, 80)
    assert store.requeue(again, failed=False)
    result = store.fail_unclaimed("demo", ID, Reason.DEADLINE, "Late.")
    assert result is not None
    assert result.end is not None
    assert result.end.tokens == 320


@pytest.mark.parametrize("code", ["ThrottlingException", None])
def test_a_requeue_stores_its_setback(
    store: GenerationStore, read_item: ReadItem, code: str | None
) -> None:
    """An open generation has its last setback, through the next attempt too, and its next try."""
    setback = Setback(SetbackReason.THROTTLED, code)
    next_at = START + timedelta(seconds=2)
    assert store.requeue(claim(store), failed=False, setback=setback, next_at=next_at)
    stored = {"reason": {"S": "throttled"}} | ({"code": {"S": code}} if code else {})
    assert read_item("demo", ID)["last_error"] == {"M": stored}
    waiting = store.get("demo", ID)
    assert (waiting.setback, waiting.next_at) == (setback, next_at)


def test_a_setback_lasts_until_the_next_requeue(
    store: GenerationStore, set_clock: SetClock
) -> None:
    """An attempt keeps the setback before it; a requeue without one removes it."""
    setback = Setback(SetbackReason.TIMED_OUT)
    assert store.requeue(claim(store), failed=True, setback=setback)
    again = claim(store)
    running = store.get("demo", ID)
    assert (running.setback, running.next_at) == (setback, None)
    set_clock.advance(seconds=1)
    assert store.requeue(again, failed=False)
    assert store.get("demo", ID).setback is None


def test_a_lost_worker_is_a_setback(store: GenerationStore, set_clock: SetClock) -> None:
    """The attempt after a lease that ran out has the lost worker as its last setback."""
    claim(store)
    set_clock.moment += LEASE + timedelta(seconds=1)
    claim(store)
    assert store.get("demo", ID).setback == Setback(SetbackReason.WORKER_LOST)


def test_a_setbacks_code_is_bounded(store: GenerationStore) -> None:
    """Of a provider's code, no more than 64 characters are stored."""
    setback = Setback(SetbackReason.UNAVAILABLE, "x" * 65)
    assert store.requeue(claim(store), failed=False, setback=setback)
    assert store.get("demo", ID).setback == replace(setback, code="x" * 64)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda store: store.succeed(claim(store), completion("Hi")), id="succeeded"),
        pytest.param(
            lambda store: store.fail(claim(store), Reason.TOO_LONG, "Too long."), id="failed"
        ),
        pytest.param(lambda store: store.cancel("demo", ID), id="canceled"),
        pytest.param(
            lambda store: store.fail_unclaimed("demo", ID, Reason.DEADLINE, "Late."),
            id="failed unclaimed",
        ),
    ],
)
def test_an_end_removes_the_setback(
    store: GenerationStore, read_item: ReadItem, end: Callable[[GenerationStore], object]
) -> None:
    """No ended generation has a setback, whoever ended it."""
    assert store.requeue(claim(store), failed=False, setback=Setback(SetbackReason.THROTTLED))
    assert end(store)
    assert "last_error" not in read_item("demo", ID)


@pytest.mark.parametrize("status", ["queued", "running"])
def test_an_open_generation_can_be_canceled(
    store: GenerationStore, read_item: ReadItem, status: str
) -> None:
    """A queued or running generation is canceled at once, and no worker's write counts after."""
    claimed = claim(store) if status == "running" else None
    ended = store.cancel("demo", ID).end
    assert ended is not None
    assert (ended.status, ended.dispatched) == (Status.CANCELED, False)
    generation = store.get("demo", ID)
    assert (generation.status, generation.finished_at) == (Status.CANCELED, clock.now())
    before = read_item("demo", ID)
    assert "lease_until" not in before
    assert store.cancel("demo", ID) == EndResult(Status.CANCELED)
    assert store.claim("demo", ID, clock.now() + LEASE) is None
    if claimed:
        assert store.succeed(claimed, completion("late")) is None
    assert read_item("demo", ID) == before


def test_a_finished_generation_cannot_be_canceled(
    store: GenerationStore, read_item: ReadItem
) -> None:
    """A result that is there stays, and the canceler is told so."""
    store.succeed(claim(store), completion("Dear Ada,"))
    before = read_item("demo", ID)
    assert store.cancel("demo", ID) == EndResult(Status.SUCCEEDED)
    assert read_item("demo", ID) == before


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING, Status.SUCCEEDED])
def test_an_expired_generation_cannot_be_canceled(
    store: GenerationStore, set_clock: SetClock, read_item: ReadItem, status: Status
) -> None:
    """An expired generation of any status is not found, though DynamoDB has not deleted it yet."""
    if status is not Status.QUEUED:
        claimed = claim(store)
        if status is Status.SUCCEEDED:
            store.succeed(claimed, completion("Dear Ada,"))
    before = read_item("demo", ID)
    assert before["status"] == {"S": status}
    set_clock.advance(days=30)
    with pytest.raises(NotFoundError):
        store.cancel("demo", ID)
    assert read_item("demo", ID) == before


@pytest.mark.parametrize(
    ("tenant", "generation_id"),
    [("other", ID), ("demo", "019a6f3e-7c00-7000-8000-000000000002"), ("demo", "nonsense")],
)
def test_what_is_not_there_cannot_be_canceled(
    store: GenerationStore, tenant: str, generation_id: str
) -> None:
    """A foreign, absent or malformed id is not found, and makes no item."""
    with pytest.raises(NotFoundError):
        store.cancel(tenant, generation_id)
    assert clients().dynamodb.scan(TableName=TABLE)["Count"] == 1


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda store, late: store.succeed(late, completion("late")), id="succeed"),
        pytest.param(
            lambda store, late: store.succeed(late, completion("late" * INLINE_BYTES)),
            id="succeed with a big text",
        ),
        pytest.param(
            lambda store, late: store.fail(late, Reason.TIMED_OUT, "Too slow."), id="fail"
        ),
        pytest.param(lambda store, late: store.requeue(late, failed=True), id="requeue"),
    ],
)
@pytest.mark.parametrize(
    "since", ["taken over", "requeued", "finished", "failed unclaimed", "canceled"]
)
def test_a_late_writer_loses(
    store: GenerationStore,
    set_clock: SetClock,
    read_item: ReadItem,
    write: Callable[[GenerationStore, Claim], object],
    since: str,
) -> None:
    """A worker whose claim is no longer the generation's changes nothing, and is told so."""
    late = claim(store)
    set_clock.moment += LEASE + timedelta(seconds=1)
    if since == "failed unclaimed":
        fail_unclaimed(store)
    elif since == "canceled":
        assert store.cancel("demo", ID).end
    else:
        newer = claim(store)
        if since == "requeued":
            store.requeue(newer, failed=False)
        elif since == "finished":
            store.succeed(newer, completion("in time"))
    before = read_item("demo", ID)
    assert not write(store, late)
    assert read_item("demo", ID) == before


@pytest.mark.parametrize("before", ["queued", "requeued", "lease ran out"])
def test_a_claim_whose_answer_was_lost_is_known(
    store: GenerationStore,
    set_clock: SetClock,
    read_item: ReadItem,
    lose_answer: Callable[[str], None],
    before: str,
) -> None:
    """A worker has its claim though botocore repeats the write, and spends one attempt with it."""
    if before != "queued":
        claimed = claim(store)
        if before == "requeued":
            store.requeue(claimed, failed=False)
        set_clock.moment += LEASE + timedelta(seconds=1)
    attempt = int(read_item("demo", ID)["attempt"]["N"])
    lose_answer("dynamodb.UpdateItem")
    assert claim(store).attempt == attempt + 1
    assert read_item("demo", ID)["attempt"] == {"N": str(attempt + 1)}


def test_another_claim_is_not_taken_for_ones_own(
    store: GenerationStore, lose_answer: Callable[[str], None]
) -> None:
    """Of two claims with the same lease one holds, however often botocore repeats the other."""
    claim(store)
    lose_answer("dynamodb.UpdateItem")
    assert store.claim("demo", ID, clock.now() + LEASE) is None


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(
            lambda store, mine: store.finish_step(mine, completion("First")), id="finish_step"
        ),
        pytest.param(lambda store, mine: store.succeed(mine, completion("Hi")), id="succeed"),
        pytest.param(lambda store, mine: store.fail(mine, Reason.TOO_LONG, "No."), id="fail"),
        pytest.param(lambda store, mine: store.requeue(mine, failed=True), id="requeue"),
        pytest.param(lambda store, _: store.cancel("demo", ID).end, id="cancel"),
        pytest.param(lambda store, _: postponed(store), id="postpone"),
    ],
)
def test_a_write_whose_answer_was_lost_is_known(
    store: GenerationStore,
    read_item: ReadItem,
    lose_answer: Callable[[str], None],
    calls: list[Call],
    write: Callable[[GenerationStore, Claim], object],
) -> None:
    """A writer goes on after its own write that botocore repeats, and the item is written once."""
    mine = claim(store)
    calls.clear()
    lose_answer("dynamodb.UpdateItem")
    assert write(store, mine)
    updates = [call for call in calls if call.operation == "dynamodb.UpdateItem"]
    assert len(updates) == 1  # as the code sees it
    assert read_item("demo", ID)["failures"] == {
        "N": "1" if "failures" in updates[0].params["UpdateExpression"] else "0"
    }


def test_an_end_without_a_claim_whose_answer_was_lost_is_known(
    store: GenerationStore, lose_answer: Callable[[str], None]
) -> None:
    """A generation that failed unclaimed is dispatched by its writer."""
    lose_answer("dynamodb.UpdateItem")
    ended = fail_unclaimed(store)
    assert ended is not None
    assert ended.end is not None


def test_a_delete_whose_answer_was_lost_deletes_the_texts(
    store: GenerationStore, stored: Callable[[], Stored], lose_answer: Callable[[str], None]
) -> None:
    """A delete that botocore repeats is no 404, and leaves no object behind."""
    store.succeed(claim(store), completion("é" * INLINE_BYTES))
    objects = stored().objects
    lose_answer("dynamodb.UpdateItem")
    store.delete("demo", ID)
    assert stored().objects == objects - 1


@pytest.mark.parametrize("status", ["succeeded", "failed", "canceled"])
def test_a_terminal_generation_never_changes(
    store: GenerationStore, set_clock: SetClock, read_item: ReadItem, status: str
) -> None:
    """Once finished, nothing that any part does changes the item."""
    claimed = claim(store)
    match status:
        case "succeeded":
            store.succeed(claimed, completion("Dear Ada,"))
        case "failed":
            store.fail(claimed, Reason.TOO_LONG, "The mail is too long.")
        case _:
            assert store.cancel("demo", ID).end
    before = read_item("demo", ID)
    assert before["status"] == {"S": status}
    set_clock.moment += LEASE + timedelta(seconds=1)
    put(store)
    assert store.claim("demo", ID, clock.now() + LEASE) is None
    assert store.succeed(claimed, completion("another")) is None
    assert store.fail(claimed, Reason.TIMED_OUT, "Too slow.") is None
    assert store.requeue(claimed, failed=True) is False
    assert fail_unclaimed(store) == store.cancel("demo", ID) == EndResult(Status(status))
    assert read_item("demo", ID) == before


@pytest.mark.parametrize("before", ["queued", "lease ran out"])
def test_a_generation_without_a_live_lease_can_fail_unclaimed(
    store: GenerationStore, set_clock: SetClock, read_item: ReadItem, before: str
) -> None:
    """A queued generation, or a lost worker's, fails with the given reason."""
    if before == "lease ran out":
        claim(store)
        set_clock.moment += LEASE + timedelta(milliseconds=1)
    result = fail_unclaimed(store)
    assert result is not None
    ended = result.end
    assert ended is not None
    assert (ended.status, ended.reason, ended.dispatched) == (
        Status.FAILED,
        Reason.DEAD_LETTER,
        False,
    )
    generation = store.get("demo", ID)
    assert (generation.status, generation.reason, generation.message, generation.finished_at) == (
        Status.FAILED,
        Reason.DEAD_LETTER,
        "Delivered too often.",
        clock.now(),
    )
    assert "lease_until" not in read_item("demo", ID)


def test_a_claimed_generation_does_not_fail_unclaimed(
    store: GenerationStore, read_item: ReadItem
) -> None:
    """A generation under a live lease stays unchanged, and the result says so."""
    claim(store)
    before = read_item("demo", ID)
    assert fail_unclaimed(store) == EndResult(Status.RUNNING)
    assert read_item("demo", ID) == before


def test_an_absent_generation_does_not_fail(store: GenerationStore) -> None:
    """Where there is no generation there is nothing to do, and no item comes to be."""
    assert fail_unclaimed(store, "019a6f3e-7c00-7000-8000-000000000002") is None
    assert clients().dynamodb.scan(TableName=TABLE)["Count"] == 1


def test_only_a_requeue_touches_the_index_of_what_is_due(
    store: GenerationStore, set_clock: SetClock, read_item: ReadItem
) -> None:
    """Claims leave `due_at` and its shard alone; a requeue moves the time behind the next try."""
    item = read_item("demo", ID)
    for _ in range(3):
        set_clock.advance(minutes=3)
        before = read_item("demo", ID)
        claimed = claim(store)
        assert read_item("demo", ID)["due_at"] == before["due_at"]
        next_at = set_clock() + timedelta(seconds=30)
        store.requeue(claimed, failed=False, next_at=next_at)
        assert read_item("demo", ID)["due_at"] == millis(next_at + STALLED_AFTER)
        set_clock.advance(seconds=30)
        claim(store)
        set_clock.moment += LEASE + timedelta(seconds=1)
    assert read_item("demo", ID)["due_shard"] == item["due_shard"]


def test_before_its_next_try_no_worker_claims_a_generation(
    store: GenerationStore, set_clock: SetClock, read_item: ReadItem
) -> None:
    """A claim is refused until the next try, whose time it is told, and then takes it away."""
    next_at = START + timedelta(minutes=20)
    store.requeue(claim(store), failed=False, next_at=next_at, in_table=True)
    requeued = read_item("demo", ID)
    set_clock.moment = next_at - timedelta(milliseconds=1)
    with pytest.raises(NotDueError) as refused:
        claim(store)
    assert refused.value.next_at == next_at
    assert read_item("demo", ID) == requeued
    set_clock.moment = next_at
    assert claim(store).attempt == 2
    assert "next_at" not in read_item("demo", ID)


@pytest.mark.parametrize("in_table", [False, True])
def test_the_sweeper_tells_a_wait_in_the_table_from_a_lost_message(
    store: GenerationStore, set_clock: SetClock, *, in_table: bool
) -> None:
    """A wait in the table is due with its next try, another one two minutes later."""
    next_at = START + timedelta(minutes=20)
    store.requeue(claim(store), failed=False, next_at=next_at, in_table=in_table)
    set_clock.moment = next_at
    assert [stalled.waited for stalled in stalled_in(store)] == [True] * in_table
    set_clock.advance(minutes=2)
    assert [stalled.waited for stalled in stalled_in(store)] == [in_table]


def test_only_open_generations_are_due(store: GenerationStore) -> None:
    """The index of what is due has what is open, and no longer what is finished."""
    shard = str(zlib.crc32(ID.encode()) % DUE_SHARDS)
    assert query("by_due", due_shard=shard) == [ID]
    store.succeed(claim(store), completion("Hi"))
    assert query("by_due", due_shard=shard) == []


def test_generations_are_spread_over_the_shards() -> None:
    """Ids of the same second fall into all the shards."""
    shards = {zlib.crc32(generations.new_id().encode()) % DUE_SHARDS for _ in range(500)}
    assert shards == set(range(8))


def test_a_flows_generations_are_listed_in_their_order(
    store: GenerationStore, set_clock: SetClock
) -> None:
    """The index by flow has a tenant's generations of one flow, in the order of their making."""
    ids = [ID]
    for _ in range(5):
        set_clock.advance(milliseconds=7)
        ids.append(generations.new_id())
        put(store, ids[-1])
    store.succeed(claim(store), completion("Hi"))
    assert query("by_flow", list_key="demo#mail-reply") == ids


@pytest.mark.parametrize("text", ["x" * INLINE_BYTES, "é" * (INLINE_BYTES // 2)])
def test_a_text_that_fits_stays_in_the_item(
    store: GenerationStore, read_item: ReadItem, stored: Callable[[], Stored], text: str
) -> None:
    """Up to 16 KiB of UTF-8 a text is kept in the item."""
    store.succeed(claim(store), completion(text))
    assert unpack(read_item("demo", ID)["text"]) == text
    assert stored().objects == 0


@pytest.mark.parametrize("text", ["x" * (INLINE_BYTES + 1), "é" * (INLINE_BYTES // 2) + "x"])
def test_a_text_that_is_too_big_goes_to_the_bucket(
    store: GenerationStore, read_item: ReadItem, text: str
) -> None:
    """Over 16 KiB a text goes to S3 under its attempt, and is read back from there."""
    store.succeed(claim(store), completion(text))
    item = read_item("demo", ID)
    assert re.fullmatch(f"demo/{ID}/text-1-[0-9a-f]{{16}}", item["text_key"]["S"])
    assert "text" not in item
    assert store.get("demo", ID).completion == completion(text)


def test_a_big_request_goes_to_the_bucket(store: GenerationStore, read_item: ReadItem) -> None:
    """A request and external data over 16 KiB go to S3, and come back whole."""
    big = Submission(
        dialect="dialonce",
        flow="mail-reply",
        inputs={"body": "é" * 150_000},
        template=None,
        external={"external_metadata": '["' + "😀" * 5_000 + '"]'},
    )
    generation_id = generations.new_id()
    put(store, generation_id, big)
    item = read_item("demo", generation_id)
    for name in ("request", "external"):
        key = item[f"{name}_key"]["S"]
        assert re.fullmatch(f"demo/{generation_id}/{name}-[0-9a-f]{{16}}", key)
    assert not {"request", "external"} & item.keys()
    claimed = store.claim("demo", generation_id, START + LEASE)
    assert claimed is not None
    assert (claimed.inputs, claimed.template) == (big.inputs, None)
    assert store.get("demo", generation_id).external == big.external


def test_a_late_writers_big_text_leaves_the_newer_one_alone(
    store: GenerationStore, set_clock: SetClock
) -> None:
    """A text is stored under its attempt, so a late writer cannot overwrite a newer text."""
    late = claim(store)
    set_clock.moment += LEASE + timedelta(seconds=1)
    store.succeed(claim(store), completion("newer" * INLINE_BYTES))
    assert store.succeed(late, completion("late" * INLINE_BYTES)) is None
    assert store.get("demo", ID).completion == completion("newer" * INLINE_BYTES)


def test_nothing_is_accepted_whose_text_could_not_be_kept(
    store: GenerationStore, cut_off: Callable[[str], None], stored: Callable[[], Stored]
) -> None:
    """When the bucket is out of reach, a big submission is not accepted by half."""
    cut_off("s3.PutObject")
    big = Submission(
        dialect="dialonce", flow="f", inputs={"body": "x" * 20_000}, template=None, external={}
    )
    with pytest.raises(EndpointConnectionError):
        put(store, generations.new_id(), big)
    assert stored() == Stored(items=1, messages=0, objects=0)


def test_without_external_data_there_is_none(store: GenerationStore, read_item: ReadItem) -> None:
    """A submission without external data stores none and gives none back."""
    plain = Submission(
        dialect="dialonce", flow="f", inputs={"body": "x"}, template=None, external={}
    )
    generation_id = generations.new_id()
    put(store, generation_id, plain)
    assert not {"external", "external_key"} & read_item("demo", generation_id).keys()
    assert store.get("demo", generation_id).external == {}


@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_whatever_happens_the_rules_hold(
    store: GenerationStore, set_clock: SetClock, read_item: ReadItem, seed: int
) -> None:
    """In any order of events: legal changes only, one result, fixed keys, due while it is open."""
    rng = seeded(seed)
    claims: list[Claim] = []
    first = before = read_item("demo", ID)
    for _ in range(40):
        held = rng.choice(claims) if claims else None
        match rng.randrange(13), held:
            case 0 | 1 | 2, _:
                claimed = store.claim("demo", ID, clock.now() + LEASE)
                claims += [claimed] if claimed else []
            case 3 | 4 | 5, _:
                set_clock.advance(seconds=rng.randrange(60))
            case 6 | 7, Claim():
                store.requeue(held, failed=rng.random() < 1 / 2)
            case 8, Claim():
                store.succeed(held, completion(f"attempt {held.attempt}"))
            case 9, Claim():
                store.fail(held, Reason.TIMED_OUT, f"attempt {held.attempt}")
            case 10, _ if rng.random() < 1 / 4:
                fail_unclaimed(store)
            case 11, _ if rng.random() < 1 / 4:
                store.cancel("demo", ID)
            case _:
                put(store)
        after = read_item("demo", ID)
        was, status = Status(before["status"]["S"]), Status(after["status"]["S"])
        assert status == was or status in TRANSITIONS[was]
        assert not was.terminal or after == before
        assert int(after["attempt"]["N"]) - int(before["attempt"]["N"]) in {0, 1}
        assert {name: after.get(name) for name in NEVER_CHANGED} == {
            name: first.get(name) for name in NEVER_CHANGED
        }
        assert ("due_at" in after) == ("due_shard" in after)
        assert "due_at" in after or status.terminal
        assert ("lease_until" in after) == (status is Status.RUNNING)
        before = after
    attempts = [claimed.attempt for claimed in claims]
    assert attempts == list(range(1, len(claims) + 1))


def test_stalled_generations_are_found_oldest_first(
    store: GenerationStore, set_clock: SetClock
) -> None:
    """Over all shards, what is due and open is found in the order of its due time."""
    ids = [ID]
    for _ in range(12):
        set_clock.advance(seconds=1)
        ids.append(generations.new_id())
        put(store, ids[-1])
    store.succeed(claim(store), completion("Hi"))
    set_clock.moment = START + timedelta(minutes=2, seconds=10)
    assert [stalled.id for stalled in stalled_in(store)] == ids[1:11]


def in_pages_of(sizes: Iterator[int]) -> None:
    """Let the queries have so small pages, as if the keys were big."""

    def limit(params: dict[str, Any], **_: object) -> dict[str, Any]:
        return {**params, "Limit": next(sizes)}

    events: Any = clients().dynamodb.meta.events  # its stubs know no handler that returns
    events.register("provide-client-params.dynamodb.Query", limit)


def test_of_many_due_keys_both_ends_are_read(store: GenerationStore, set_clock: SetClock) -> None:
    """Beyond a bound a shard's newest keys follow its oldest, and none is there twice."""
    made: dict[str, int] = {}
    while len(made) < 12:
        generation_id = generations.new_id()
        if zlib.crc32(generation_id.encode()) % DUE_SHARDS == 5:
            set_clock.advance(seconds=1)
            put(store, generation_id)
            made[generation_id] = clock.to_millis(set_clock() + timedelta(minutes=2))
    set_clock.advance(minutes=2)
    due = [DueKey(due_at, f"demo#{generation_id}") for generation_id, due_at in made.items()]
    assert store.read_due(5, 1_000) == due
    in_pages_of(chain([5] * 3, [4] * 3, [4] * 2, [8] * 2))
    assert store.read_due(5, 1_000) == due
    assert store.read_due(5, 7) == due
    assert store.read_due(5, 4) == due[:4] + due[8:]
    assert store.read_due(5, 1) == due
    assert due[0].tenant == "demo"


def test_a_look_tells_what_it_could_not_read(
    store: GenerationStore, set_clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys are stalled, unreadable or unread; absent ones, and those not due now, are left out."""
    ids = [generations.new_id() for _ in range(4)]
    for generation_id in ids[:3]:
        put(store, generation_id)
    set_clock.advance(minutes=2)
    keys = [DueKey(clock.to_millis(set_clock()), f"demo#{each}") for each in ids]
    clients().dynamodb.update_item(
        TableName=TABLE,
        Key={"pk": {"S": keys[1].pk}},
        UpdateExpression="SET #status = :status",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={":status": {"S": "paused"}},
    )
    assert store.postpone_key(keys[2].pk, set_clock() + timedelta(seconds=1))
    look = store.read_stalled(keys)
    assert [each.key for each in look.stalled] == keys[:1]
    assert look.unreadable == [(keys[1], "ValueError: 'paused' is not a valid Status")]
    assert look.unread == []
    left = {TABLE: {"Keys": [{"pk": {"S": key.pk}} for key in keys]}}
    nothing = {"Responses": {}, "UnprocessedKeys": left}
    monkeypatch.setattr(clients().dynamodb, "batch_get_item", lambda **_: nothing)
    assert store.read_stalled(keys) == Look([], [], keys)


def test_a_key_is_postponed_once_and_makes_no_item(
    store: GenerationStore, set_clock: SetClock, read_item: ReadItem
) -> None:
    """A due item is put off whatever is in it, one that is not due stays, and none comes to be."""
    pk, later = f"demo#{ID}", START + timedelta(minutes=17)
    assert store.postpone_key(pk, later) is False
    set_clock.advance(minutes=2)
    before = read_item("demo", ID)
    assert store.postpone_key(pk, later) is True
    assert read_item("demo", ID) == before | {"due_at": {"N": str(MILLIS + 17 * 60_000)}}
    assert store.postpone_key(pk, later + timedelta(minutes=1)) is False
    assert store.postpone_key("demo#absent", later) is False
    assert clients().dynamodb.scan(TableName=TABLE)["Count"] == 1


def test_a_stalled_generation_is_told_as_it_stands(
    store: GenerationStore, set_clock: SetClock
) -> None:
    """A stalled generation comes with what its repair depends on."""
    claim(store)
    set_clock.advance(minutes=2)
    assert stalled_in(store) == [
        Stalled(
            tenant="demo",
            id=ID,
            status=Status.RUNNING,
            attempt=1,
            created_at=START,
            deadline_at=START + timedelta(hours=1),
            due_at=START + timedelta(minutes=2),
            lease_until=START + LEASE,
        )
    ]


def test_an_end_that_is_not_dispatched_stalls(store: GenerationStore, set_clock: SetClock) -> None:
    """Two minutes after an end that is not dispatched, the sweeper gets the end."""
    result = fail_unclaimed(store)
    assert result is not None
    set_clock.advance(minutes=2)
    (stalled,) = stalled_in(store)
    assert (stalled.status, stalled.finished_at) == (Status.FAILED, START)
    assert store.postpone_end(stalled, set_clock() + timedelta(minutes=2)) == result.end
    assert store.postpone_end(stalled, set_clock() + timedelta(minutes=4)) is None
    assert stalled_in(store) == []
    set_clock.advance(minutes=2)
    assert [each.id for each in stalled_in(store)] == [ID]
    store.mark_dispatched("demo", ID)
    assert stalled_in(store) == []


FACTS = {"MessageId": "m-1", "ApproximateReceiveCount": "200", "SentTimestamp": "1794301200000"}


def test_a_dead_letter_is_kept_with_its_facts_until_it_is_retried(
    store: GenerationStore, set_clock: SetClock
) -> None:
    """A tenant's dead letters are listed, newest first, with what SQS said of the messages."""
    newer = generations.new_id()
    put(store, newer)
    for generation_id in (ID, newer):
        set_clock.advance(seconds=1)
        store.fail_unclaimed("demo", generation_id, Reason.DEAD_LETTER, "Too often.", FACTS)
    letters = list(services().listings.list_dead_letters("demo"))
    assert [letter.id for letter in letters] == [newer, ID]
    assert letters[1] == DeadLetter(
        id=ID,
        flow="mail-reply",
        attempt=0,
        finished_at=START + timedelta(seconds=1),
        message_id="m-1",
        facts={"ApproximateReceiveCount": "200", "SentTimestamp": "1794301200000"},
    )
    assert list(services().listings.list_dead_letters("other")) == []
    store.mark_retried("demo", ID, generations.new_id())
    assert [letter.id for letter in services().listings.list_dead_letters("demo")] == [newer]


def test_an_expired_dead_letter_is_not_listed(
    store: GenerationStore, set_clock: SetClock, read_item: ReadItem
) -> None:
    """A dead letter that has expired is gone, though DynamoDB has not deleted it yet."""
    store.fail_unclaimed("demo", ID, Reason.DEAD_LETTER, "Too often.", FACTS)
    set_clock.advance(days=30, seconds=-1)
    assert [letter.id for letter in services().listings.list_dead_letters("demo")] == [ID]
    set_clock.advance(seconds=1)
    assert list(services().listings.list_dead_letters("demo")) == []
    assert "dead_letter_of" in read_item("demo", ID)


@pytest.mark.usefixtures("store")
def test_what_dynamodb_has_no_time_for_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is complete though DynamoDB gives it in pieces, and refused when it gives nothing."""
    monkeypatch.setattr("afterword.runtime.dynamodb.time.sleep", lambda _: None)
    read = clients().dynamodb.batch_get_item
    keys = {"Keys": [{"pk": {"S": f"demo#{ID}"}}]}
    nothing = {"Responses": {}, "UnprocessedKeys": {TABLE: keys}}
    answers = [nothing]

    def answer(**request: Any) -> Any:  # noqa: ANN401 - botocore's own
        return answers.pop() if answers else read(**request)

    monkeypatch.setattr(clients().dynamodb, "batch_get_item", answer)  # moto reads all
    assert [
        listed.generation.id
        for listed in services().listings.read_page("demo", "mail-reply", 10).items
    ] == [ID]
    answers += [nothing] * 10
    with pytest.raises(UnavailableError):
        services().listings.read_page("demo", "mail-reply", 10)


def test_what_was_asked_for_is_read_back(store: GenerationStore) -> None:
    """A submission comes back as it was made, with the deadline that it had."""
    asked = replace(SUBMISSION, deadline=timedelta(hours=1))
    assert store.get_submission("demo", ID) == (asked, Status.QUEUED)
    with pytest.raises(NotFoundError):
        store.get_submission("other", ID)


def test_it_is_known_whether_a_generation_exists(
    store: GenerationStore, set_clock: SetClock
) -> None:
    """A tenant's own generation exists until it expires; a foreign or malformed id never does."""
    assert store.exists("demo", ID)
    assert not store.exists("other", ID)
    assert not store.exists("demo", "nonsense")
    set_clock.advance(days=30)
    assert not store.exists("demo", ID)


def test_a_look_is_postponed_once(
    store: GenerationStore, set_clock: SetClock, read_item: ReadItem
) -> None:
    """Of two sweepers that saw the same, one moves the due time on, and nothing else changes."""
    set_clock.advance(minutes=2)
    (stalled,) = stalled_in(store)
    before = read_item("demo", ID)
    later = START + timedelta(minutes=5)
    assert store.postpone(stalled, later) is True
    after = read_item("demo", ID)
    assert after == before | {"due_at": millis(later), "look_id": after["look_id"]}
    for another in (later, later + timedelta(minutes=1)):
        assert store.postpone(stalled, another) is False
    assert stalled_in(store) == []


@pytest.mark.parametrize("since", ["claimed", "finished", "failed unclaimed"])
def test_what_has_changed_is_not_postponed(
    store: GenerationStore, set_clock: SetClock, read_item: ReadItem, since: str
) -> None:
    """A sweeper that comes too late changes nothing, and brings no finished one back."""
    set_clock.advance(minutes=2)
    (stalled,) = stalled_in(store)
    if since == "failed unclaimed":
        fail_unclaimed(store)
    else:
        claimed = claim(store)
        if since == "finished":
            store.succeed(claimed, completion("Hi"))
    before = read_item("demo", ID)
    assert store.postpone(stalled, START + timedelta(minutes=5)) is False
    assert read_item("demo", ID) == before


# --- files, lists and titles ----------------------------------------------------------------------

FILES = (
    SubmittedFile(input="paper", name="a.md", media_type="text/markdown", content=b"# Hello"),
    SubmittedFile(input="photo", name="", media_type="image/png", content=b"\x89PNG"),
)
WITH_FILES = Submission(
    dialect="genai_stack",
    flow="mail-reply",
    inputs={"topic": "A", "keywords": ["b", "c"]},
    template=None,
    external={},
    files=FILES,
)


def put_more(store: GenerationStore, set_clock: SetClock, count: int) -> list[str]:
    """Put more generations, a second apart, and return their ids, newest first."""
    made = []
    for _ in range(count):
        set_clock.advance(seconds=1)
        made.append(generations.new_id())
        put(store, made[-1])
    return made[::-1]


def pages(limit: int, tenant: str = "demo") -> list[list[str]]:
    """Return the ids of each page of a flow's generations."""
    found, after = [], None
    while True:
        page = services().listings.read_page(tenant, "mail-reply", limit, after)
        found.append([listed.generation.id for listed in page.items])
        after = page.after
        if after is None:
            return found


def test_files_are_stored_apart_and_read_back(
    store: GenerationStore, read_item: ReadItem, stored: Callable[[], Stored]
) -> None:
    """A file's bytes are an object of the tenant's; the item and the claim say where."""
    generation_id = generations.new_id()
    put(store, generation_id, WITH_FILES)
    assert stored().objects == 2
    listed = store.get_detail("demo", generation_id)
    keys = [file.key for file in listed.files]
    for number, key in enumerate(keys, 1):
        assert re.fullmatch(f"demo/{generation_id}/file-{number}-[0-9a-f]{{16}}", key)
    assert listed.files == (
        StoredFile(
            input="paper",
            name="a.md",
            media_type="text/markdown",
            size=7,
            key=keys[0],
        ),
        StoredFile(
            input="photo",
            name="",
            media_type="image/png",
            size=4,
            key=keys[1],
        ),
    )
    assert [store.read_file(file) for file in listed.files] == [b"# Hello", b"\x89PNG"]
    claimed = store.claim("demo", generation_id, clock.now() + LEASE)
    assert claimed is not None
    assert (claimed.files, claimed.inputs) == (listed.files, WITH_FILES.inputs)
    assert "Hello" not in str(read_item("demo", generation_id))
    asked = replace(WITH_FILES, deadline=timedelta(hours=1))
    assert store.get_submission("demo", generation_id) == (asked, Status.RUNNING)


def test_another_submissions_files_leave_the_first_ones_alone(store: GenerationStore) -> None:
    """A second submission with the same id and other files is refused and changes none."""
    generation_id = generations.new_id()
    put(store, generation_id, WITH_FILES)
    other = replace(WITH_FILES, files=(replace(FILES[0], content=b"# Other"), FILES[1]))
    options = SubmissionOptions(flow_version=3, retention=timedelta(days=30))
    assert not store.put("demo", generation_id, other, options).same
    files = store.get_detail("demo", generation_id).files
    assert [store.read_file(file) for file in files] == [b"# Hello", b"\x89PNG"]


def test_without_files_the_item_has_none(store: GenerationStore, read_item: ReadItem) -> None:
    """A submission without files is stored as it was before there were any."""
    assert "files" not in read_item("demo", ID)["request"]["S"]
    assert store.get_detail("demo", ID).files == ()
    assert claim(store).files == ()


def test_a_generation_is_listed_with_what_was_asked_for(store: GenerationStore) -> None:
    """A listed generation is as its owner reads it, with its inputs and its tokens."""
    order = f"{MILLIS}#{ID}"
    queued = store.get_detail("demo", ID)
    assert queued == GenerationDetail(
        generation=store.get("demo", ID),
        order=order,
        inputs=SUBMISSION.inputs,
        files=(),
    )
    store.succeed(claim(store), completion("Hi"))
    ended = replace(queued, generation=store.get("demo", ID))
    assert (ended.generation.tokens_in, ended.generation.tokens_out) == (120, 40)
    assert store.get_detail("demo", ID) == ended
    page = services().listings.read_page("demo", "mail-reply", 100)
    assert (page.items, page.after) == ((ended,), None)


@pytest.mark.parametrize(
    ("tenant", "generation_id"),
    [
        ("other", ID),
        ("demo", ID.upper()),
        ("demo", "nonsense"),
        ("demo", "019a6f3e-7c00-7000-8000-0000000000ff"),
    ],
)
def test_what_is_absent_or_foreign_is_neither_listed_nor_titled(
    store: GenerationStore, read_item: ReadItem, tenant: str, generation_id: str
) -> None:
    """Another tenant's, an absent and a malformed id are not found, and nothing is made of them."""
    before = read_item("demo", ID)
    attempts: list[Callable[[], GenerationDetail]] = [
        lambda: store.get_detail(tenant, generation_id),
        lambda: store.set_title(tenant, generation_id, "mail-reply", "x"),
        lambda: store.set_title(tenant, generation_id, "mail-reply", None),
    ]
    for attempt in attempts:
        with pytest.raises(NotFoundError) as refused:
            attempt()
        assert str(refused.value) == "There is no such generation."
    assert read_item("demo", ID) == before
    assert clients().dynamodb.scan(TableName=TABLE)["Count"] == 1


@pytest.mark.parametrize(
    ("limit", "sizes"), [(1, [1] * 7), (2, [2, 2, 2, 1]), (3, [3, 3, 1]), (6, [6, 1]), (100, [7])]
)
def test_pages_have_each_generation_once_newest_first(
    store: GenerationStore, set_clock: SetClock, limit: int, sizes: list[int]
) -> None:
    """However long a page is, the pages together are the whole list."""
    made = [*put_more(store, set_clock, 6), ID]
    found = pages(limit)
    assert [each for page in found for each in page] == made
    assert [len(page) for page in found if page] == sizes


def test_a_page_has_its_flows_generations_only(store: GenerationStore) -> None:
    """Another flow's, and another tenant's of a flow of the same id, are on no page."""
    put(store, generations.new_id(), replace(SUBMISSION, flow="mail-reply-2"))
    options = SubmissionOptions(flow_version=1, retention=timedelta(days=30))
    foreign = generations.new_id()
    store.put("other", foreign, SUBMISSION, options)
    assert (pages(10), pages(10, "other")) == ([[ID]], [[foreign]])
    assert services().listings.read_page("demo", "absent", 10) == Page(items=(), after=None)


def test_a_page_leaves_out_what_has_expired(store: GenerationStore, set_clock: SetClock) -> None:
    """Expired generations are on no page, and pages go on past them."""
    put_more(store, set_clock, 3)
    set_clock.advance(days=29)
    newer = put_more(store, set_clock, 3)
    set_clock.advance(days=2)
    found = pages(2)
    assert [each for page in found for each in page] == newer


def test_a_page_leaves_out_what_is_gone(store: GenerationStore, set_clock: SetClock) -> None:
    """An item that was deleted while the index still has it is passed over."""
    made = put_more(store, set_clock, 2)

    def delete_meanwhile(**_: object) -> None:
        clients().dynamodb.delete_item(TableName=TABLE, Key={"pk": {"S": f"demo#{made[0]}"}})

    clients().dynamodb.meta.events.register("after-call.dynamodb.Query", delete_meanwhile)
    assert pages(10) == [[made[1], ID]]


def test_a_page_with_big_texts_is_in_order(
    store: GenerationStore, set_clock: SetClock, calls: list[Call]
) -> None:
    """Texts in the bucket are read side by side, and the list keeps its order and its texts."""
    made = []
    for number in range(12):
        set_clock.advance(seconds=1)
        made.append(generations.new_id())
        put(store, made[-1], replace(SUBMISSION, inputs={"body": str(number) * 20_000}))
    calls.clear()
    page = services().listings.read_page("demo", "mail-reply", 12)
    assert [listed.generation.id for listed in page.items] == made[::-1]
    assert [listed.inputs["body"] for listed in page.items] == [
        str(number) * 20_000 for number in reversed(range(12))
    ]
    operations = [call.operation for call in calls]
    assert operations == ["dynamodb.Query", "dynamodb.BatchGetItem", *["s3.GetObject"] * 12]


def test_no_page_has_more_texts_than_fit_into_memory(
    store: GenerationStore,
    set_clock: SetClock,
    calls: list[Call],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Past so many characters no more texts are read, and the next page goes on from there."""
    monkeypatch.setattr("afterword.generations.listings.PAGE_CHARACTERS", 250_000)
    made = []
    for _ in range(25):
        set_clock.advance(seconds=1)
        made.append(generations.new_id())
        put(store, made[-1], replace(SUBMISSION, inputs={"body": ["x" * 10_000, "y" * 10_000]}))
    calls.clear()
    page = services().listings.read_page("demo", "mail-reply", 100)
    ids = [listed.generation.id for listed in page.items]
    assert (ids, page.after) == (made[:-21:-1], page.items[-1].order)
    assert [call.operation for call in calls].count("s3.GetObject") == 20
    assert [each for page in pages(100) for each in page] == [*made[::-1], ID]


def test_a_title_is_set_and_taken_away(store: GenerationStore, read_item: ReadItem) -> None:
    """A title is one attribute of the item, and all else stays as it is, the lease too."""
    claim(store)
    before = read_item("demo", ID)
    listed = store.set_title("demo", ID, "mail-reply", "A claim")
    assert (listed, listed.generation.title) == (store.get_detail("demo", ID), "A claim")
    assert read_item("demo", ID) == before | {"title": {"S": "A claim"}}
    assert store.set_title("demo", ID, "mail-reply", "").generation.title == ""
    assert store.set_title("demo", ID, "mail-reply", None).generation.title is None
    assert read_item("demo", ID) == before


def test_a_malformed_id_gets_no_title_and_costs_no_call(
    store: GenerationStore, calls: list[Call]
) -> None:
    """A text that can be no id is not asked for."""
    for generation_id in ("", "nonsense", ID.upper(), f"{{{ID}}}", "x" * 3_000):
        with pytest.raises(NotFoundError):
            store.set_title("demo", generation_id, "mail-reply", "x")
    assert calls == []


def test_a_title_is_for_a_generation_of_the_flow(
    store: GenerationStore, set_clock: SetClock, read_item: ReadItem
) -> None:
    """Another flow's generation, and one that has expired, get no title."""
    before = read_item("demo", ID)
    with pytest.raises(NotFoundError):
        store.set_title("demo", ID, "other", "x")
    set_clock.advance(days=30)
    with pytest.raises(NotFoundError):
        store.set_title("demo", ID, "mail-reply", "x")
    assert read_item("demo", ID) == before


def test_a_title_and_the_workers_writes_stand_side_by_side(
    store: GenerationStore, read_item: ReadItem
) -> None:
    """A title changes nothing that a worker's write depends on, nor does such a write change it."""
    for step in range(3):
        claimed = claim(store)
        store.set_title("demo", ID, "mail-reply", f"title {step}")
        assert store.requeue(claimed, failed=True)
        assert read_item("demo", ID)["title"] == {"S": f"title {step}"}
    claimed = claim(store)
    store.set_title("demo", ID, "mail-reply", "running")
    assert store.succeed(claimed, completion("Hi")) is not None
    listed = store.get_detail("demo", ID)
    found = listed.generation
    assert (found.title, found.completion) == ("running", completion("Hi"))
    ended = read_item("demo", ID)
    store.set_title("demo", ID, "mail-reply", "ended")
    assert read_item("demo", ID) == ended | {"title": {"S": "ended"}}
