"""The generations table: who may change what, and what stays as it is."""

import zlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from afterword import clients, clock, generations
from afterword.errors import NotFoundError
from afterword.generations import (
    TRANSITIONS,
    Claim,
    Completion,
    Generation,
    Reason,
    Status,
    Submission,
)
from afterword.items import DUE_SHARDS, Overdue
from afterword.payloads import INLINE_BYTES
from afterword.store import GenerationStore
from tests.conftest import START, Call, SetClock, Stored
from tests.deployment import REFERENCES
from tests.fake_model import completion
from tests.seeds import SEEDS, seeded

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
    store: GenerationStore, generation_id: str = ID, submission: Submission = SUBMISSION
) -> None:
    """Put a generation of the tenant `demo` that is kept for 30 days."""
    store.put("demo", generation_id, submission, 3, timedelta(days=30))


def claim(store: GenerationStore) -> Claim:
    """Claim the generation for the time of a lease."""
    claimed = store.claim("demo", ID, clock.now() + LEASE)
    assert claimed is not None
    return claimed


def give_up(store: GenerationStore, generation_id: str = ID) -> bool:
    """Give the generation up, as for a dead letter."""
    return store.give_up("demo", generation_id, Reason.DEAD_LETTER, "Delivered too often.")


def query(index: str, **keys: str) -> list[str]:
    """Return the ids that an index has under a partition key, in its order."""
    ((name, value),) = keys.items()
    items = clients.dynamodb().query(
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
    """Only a failed condition means that somebody else was there; the rest is raised."""
    claimed = claim(store)
    clients.dynamodb().delete_table(TableName=TABLE)
    for attempt in (
        lambda: put(store),
        lambda: store.claim("demo", ID, START + LEASE),
        lambda: store.fail(claimed, Reason.TOO_LONG, "The mail is too long."),
        lambda: give_up(store),
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
    """What cannot be an id is refused without asking the table."""
    with pytest.raises(NotFoundError):
        store.get("demo", "g78ml9fz3qwk")
    assert calls == []


def test_an_expired_generation_is_absent(store: GenerationStore, set_clock: SetClock) -> None:
    """What has outlived its retention is not shown, though DynamoDB deletes it days later."""
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
    """While a worker's lease lasts, nobody else gets its generation."""
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
    assert clients.dynamodb().scan(TableName=TABLE)["Count"] == 1


def test_a_result_is_stored_and_read_back(
    store: GenerationStore, set_clock: SetClock, read_item: ReadItem
) -> None:
    """A finished generation has its text, what it took, and the time; no lease and no due time."""
    claimed = claim(store)
    set_clock.advance(seconds=5)
    assert store.succeed(claimed, completion("Dear Ada,")) is True
    generation = store.get("demo", ID)
    assert generation.status is Status.SUCCEEDED
    assert generation.completion == completion("Dear Ada,")
    assert generation.finished_at == START + timedelta(seconds=5)
    assert (generation.reason, generation.message) == (None, None)
    assert not {"lease_until", "due_at", "due_shard"} & read_item("demo", ID).keys()


def test_a_result_may_have_no_model(store: GenerationStore) -> None:
    """A template without placeholders needs no model, and its result names none."""
    plain = Completion(text="Hi", model=None, stop_reason="stop", tokens_in=0, tokens_out=0)
    assert store.succeed(claim(store), plain) is True
    assert store.get("demo", ID).completion == plain


def test_a_failure_is_stored_with_its_reason(
    store: GenerationStore, set_clock: SetClock, read_item: ReadItem
) -> None:
    """A failed generation says why, to programs and to people."""
    claimed = claim(store)
    set_clock.advance(seconds=5)
    assert store.fail(claimed, Reason.TOO_LONG, "The mail is too long.") is True
    generation = store.get("demo", ID)
    assert (generation.status, generation.reason, generation.message, generation.completion) == (
        Status.FAILED,
        Reason.TOO_LONG,
        "The mail is too long.",
        None,
    )
    assert generation.finished_at == START + timedelta(seconds=5)
    assert not {"lease_until", "due_at", "due_shard"} & read_item("demo", ID).keys()


@pytest.mark.parametrize("failed", [False, True])
def test_a_generation_is_handed_back(
    store: GenerationStore, read_item: ReadItem, *, failed: bool
) -> None:
    """Handed back it is queued, to be claimed at once; only a failure spends the budget."""
    queued = read_item("demo", ID)
    assert store.hand_back(claim(store), failed=failed) is True
    spent = {"N": str(int(failed))}
    assert read_item("demo", ID) == queued | {"attempt": {"N": "1"}, "failures": spent}
    again = claim(store)
    assert (again.attempt, again.failures) == (2, int(failed))


@pytest.mark.parametrize("status", ["queued", "running"])
def test_an_open_generation_can_be_canceled(
    store: GenerationStore, read_item: ReadItem, status: str
) -> None:
    """What is queued or running is canceled at once, and no worker's write counts after."""
    claimed = claim(store) if status == "running" else None
    assert store.cancel("demo", ID) is True
    generation = store.get("demo", ID)
    assert (generation.status, generation.finished_at) == (Status.CANCELED, clock.now())
    before = read_item("demo", ID)
    assert not {"lease_until", "due_at", "due_shard"} & before.keys()
    assert store.cancel("demo", ID) is True
    assert store.claim("demo", ID, clock.now() + LEASE) is None
    if claimed:
        assert store.succeed(claimed, completion("late")) is False
    assert read_item("demo", ID) == before


def test_a_finished_generation_cannot_be_canceled(
    store: GenerationStore, read_item: ReadItem
) -> None:
    """A result that is there stays, and the canceler is told so."""
    store.succeed(claim(store), completion("Dear Ada,"))
    before = read_item("demo", ID)
    assert store.cancel("demo", ID) is False
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
    assert clients.dynamodb().scan(TableName=TABLE)["Count"] == 1


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
        pytest.param(lambda store, late: store.hand_back(late, failed=True), id="hand back"),
    ],
)
@pytest.mark.parametrize("since", ["taken over", "handed back", "finished", "given up", "canceled"])
def test_a_late_writer_loses(
    store: GenerationStore,
    set_clock: SetClock,
    read_item: ReadItem,
    write: Callable[[GenerationStore, Claim], bool],
    since: str,
) -> None:
    """A worker whose claim is no longer the generation's changes nothing, and is told so."""
    late = claim(store)
    set_clock.moment += LEASE + timedelta(seconds=1)
    if since == "given up":
        give_up(store)
    elif since == "canceled":
        assert store.cancel("demo", ID)
    else:
        newer = claim(store)
        if since == "handed back":
            store.hand_back(newer, failed=False)
        elif since == "finished":
            store.succeed(newer, completion("in time"))
    before = read_item("demo", ID)
    assert write(store, late) is False
    assert read_item("demo", ID) == before


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
            assert store.cancel("demo", ID)
    before = read_item("demo", ID)
    assert before["status"] == {"S": status}
    set_clock.moment += LEASE + timedelta(seconds=1)
    put(store)
    assert store.claim("demo", ID, clock.now() + LEASE) is None
    assert store.succeed(claimed, completion("another")) is False
    assert store.fail(claimed, Reason.TIMED_OUT, "Too slow.") is False
    assert store.hand_back(claimed, failed=True) is False
    assert give_up(store) is True
    assert read_item("demo", ID) == before


@pytest.mark.parametrize("before", ["queued", "lease ran out"])
def test_what_nobody_holds_can_be_given_up(
    store: GenerationStore, set_clock: SetClock, read_item: ReadItem, before: str
) -> None:
    """What is queued, or was left by a lost worker, fails for good, with the reason given."""
    if before == "lease ran out":
        claim(store)
        set_clock.moment += LEASE + timedelta(milliseconds=1)
    assert give_up(store) is True
    generation = store.get("demo", ID)
    assert (generation.status, generation.reason, generation.message, generation.finished_at) == (
        Status.FAILED,
        Reason.DEAD_LETTER,
        "Delivered too often.",
        clock.now(),
    )
    assert not {"lease_until", "due_at", "due_shard"} & read_item("demo", ID).keys()


def test_what_is_held_cannot_be_given_up(store: GenerationStore, read_item: ReadItem) -> None:
    """What somebody is working on is left alone, and whoever would give it up is told so."""
    claim(store)
    before = read_item("demo", ID)
    assert give_up(store) is False
    assert read_item("demo", ID) == before


def test_what_is_gone_needs_no_giving_up(store: GenerationStore) -> None:
    """Where there is no generation there is nothing to do, and no item comes to be."""
    assert give_up(store, "019a6f3e-7c00-7000-8000-000000000002") is True
    assert clients.dynamodb().scan(TableName=TABLE)["Count"] == 1


def test_work_between_submission_and_completion_does_not_touch_the_index_of_what_is_due(
    store: GenerationStore, set_clock: SetClock, read_item: ReadItem
) -> None:
    """Claims and hand-backs leave `due_at` and its shard as they were put."""
    due = [read_item("demo", ID)[name] for name in ("due_at", "due_shard")]
    for _ in range(3):
        set_clock.advance(minutes=3)
        store.hand_back(claim(store), failed=False)
        claim(store)
        set_clock.moment += LEASE + timedelta(seconds=1)
        assert [read_item("demo", ID)[name] for name in ("due_at", "due_shard")] == due


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
    assert read_item("demo", ID)["text"] == {"S": text}
    assert stored().objects == 0


@pytest.mark.parametrize("text", ["x" * (INLINE_BYTES + 1), "é" * (INLINE_BYTES // 2) + "x"])
def test_a_text_that_is_too_big_goes_to_the_bucket(
    store: GenerationStore, read_item: ReadItem, text: str
) -> None:
    """Over 16 KiB a text goes to S3 under its attempt, and is read back from there."""
    store.succeed(claim(store), completion(text))
    item = read_item("demo", ID)
    assert item["text_key"] == {"S": f"demo/{ID}/text-1"}
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
    where, writer = f"demo/{generation_id}", big.fingerprint()
    assert item["request_key"] == {"S": f"{where}/request-{writer}"}
    assert item["external_key"] == {"S": f"{where}/external-{writer}"}
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
    assert store.succeed(late, completion("late" * INLINE_BYTES)) is False
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


@pytest.mark.parametrize("seed", SEEDS)
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
                store.hand_back(held, failed=rng.random() < 1 / 2)
            case 8, Claim():
                store.succeed(held, completion(f"attempt {held.attempt}"))
            case 9, Claim():
                store.fail(held, Reason.TIMED_OUT, f"attempt {held.attempt}")
            case 10, _ if rng.random() < 1 / 4:
                give_up(store)
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
        assert ("due_at" in after) == ("due_shard" in after) == (not status.terminal)
        assert ("lease_until" in after) == (status is Status.RUNNING)
        before = after
    attempts = [claimed.attempt for claimed in claims]
    assert attempts == list(range(1, len(claims) + 1))


def test_what_is_overdue_is_found_oldest_first(store: GenerationStore, set_clock: SetClock) -> None:
    """Over all shards, what is due and open is found in the order of its due time."""
    ids = [ID]
    for _ in range(12):
        set_clock.advance(seconds=1)
        ids.append(generations.new_id())
        put(store, ids[-1])
    store.succeed(claim(store), completion("Hi"))
    set_clock.moment = START + timedelta(minutes=2, seconds=10)
    assert [overdue.id for overdue in store.overdue(100)] == ids[1:11]
    assert [overdue.id for overdue in store.overdue(3)] == ids[1:4]


def test_what_is_overdue_is_told_as_it_stands(store: GenerationStore, set_clock: SetClock) -> None:
    """An overdue generation comes with what its repair depends on."""
    claim(store)
    set_clock.advance(minutes=2)
    assert list(store.overdue(10)) == [
        Overdue(
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


def test_a_look_is_postponed_once(
    store: GenerationStore, set_clock: SetClock, read_item: ReadItem
) -> None:
    """Of two sweepers that saw the same, one moves the due time on, and nothing else changes."""
    set_clock.advance(minutes=2)
    (overdue,) = store.overdue(10)
    before = read_item("demo", ID)
    later = START + timedelta(minutes=5)
    assert store.postpone(overdue, later) is True
    assert read_item("demo", ID) == before | {"due_at": {"N": str(MILLIS + 300_000)}}
    assert store.postpone(overdue, later + timedelta(minutes=1)) is False
    assert list(store.overdue(10)) == []


@pytest.mark.parametrize("since", ["claimed", "finished", "given up"])
def test_what_has_changed_is_not_postponed(
    store: GenerationStore, set_clock: SetClock, read_item: ReadItem, since: str
) -> None:
    """A sweeper that comes too late changes nothing, and brings no finished one back."""
    set_clock.advance(minutes=2)
    (overdue,) = store.overdue(10)
    if since == "given up":
        give_up(store)
    else:
        claimed = claim(store)
        if since == "finished":
            store.succeed(claimed, completion("Hi"))
    before = read_item("demo", ID)
    assert store.postpone(overdue, START + timedelta(minutes=5)) is False
    assert read_item("demo", ID) == before
