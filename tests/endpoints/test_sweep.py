"""The sweeper's function: the handler with its event, under moto."""

import json
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from afterword import clock
from afterword.engine import sweeper
from afterword.generations import Reason, Status, Submission, SubmissionOptions
from afterword.generations.ends import DUE_SHARDS, STALLED_AFTER, DueKey, Look, Stalled
from afterword.generations.store import GenerationStore
from afterword.runtime.clients import clients
from afterword.services import services
from tests.conftest import FLOW, Call, Event, LambdaContext, SetClock, Stored
from tests.harness import embedded_metrics
from tests.harness.api import invoke
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import completion

ID = "019a6f3e-7c00-7000-8000-000000000001"
LEASE = timedelta(seconds=310)
SLOT = "1794301200000-00000000"
SUBMISSION = Submission(
    dialect="dialonce", flow=FLOW, inputs={"body": "Hello"}, template=None, external={}
)

type Sweep = Callable[[], Mapping[str, int]]


def put(generation_id: str = ID, tenant: str = "demo") -> None:
    """Put a queued generation, and send no message for it."""
    services().store.put(
        tenant,
        generation_id,
        SUBMISSION,
        SubmissionOptions(flow_version=1, retention=timedelta(days=30)),
    )


def numbered(number: int) -> str:
    """Return the id of a numbered generation."""
    return f"019a6f3e-7c00-7000-8000-{number:012}"


def received() -> list[tuple[str, str]]:
    """Take all messages from the queue; return their tenants and ids."""
    taken = []
    while messages := (
        clients()
        .sqs.receive_message(QueueUrl=REFERENCES["Queue"], MaxNumberOfMessages=10)
        .get("Messages")
    ):
        bodies = [json.loads(message["Body"]) for message in messages]
        taken += [(body["tenant"], body["id"]) for body in bodies]
    return taken


def look_at_all(store: GenerationStore) -> Sequence[Stalled]:
    """Return all stalled generations, as a sweeper sees them."""
    keys = [key for shard in range(DUE_SHARDS) for key in store.read_due(shard, 100)]
    return store.read_stalled(keys).stalled


@pytest.fixture
def sweep(
    aws: None,  # noqa: ARG001 - asked for its effect
    set_clock: SetClock,  # noqa: ARG001 - asked for its effect
    load_event: Callable[[str], Event],
) -> Sweep:
    """Return a function that runs the handler with its sample event."""
    return lambda: invoke("sweep", load_event("sweep"))


def test_what_is_on_time_is_left_alone(
    sweep: Sweep, set_clock: SetClock, stored: Callable[[], Stored]
) -> None:
    """A generation is not looked at before its due time, two minutes after its submission."""
    put()
    set_clock.moment += STALLED_AFTER - timedelta(milliseconds=1)
    assert sweep() == {}
    assert stored().messages == 0


def test_what_was_never_sent_is_sent(sweep: Sweep, set_clock: SetClock) -> None:
    """A generation whose message could not be sent at its submission is sent once it is stalled."""
    put()
    set_clock.moment += STALLED_AFTER
    assert sweep() == {"sent": 1}
    assert received() == [("demo", ID)]
    assert sweep() == {}


def test_a_lost_workers_generation_is_sent_again(sweep: Sweep, set_clock: SetClock) -> None:
    """When a lease has run out, the generation is sent to another worker, which can claim it."""
    put()
    services().store.claim("demo", ID, clock.now() + LEASE)
    set_clock.moment += LEASE + timedelta(seconds=1)
    assert sweep() == {"sent": 1}
    assert received() == [("demo", ID)]
    claim = services().store.claim("demo", ID, clock.now() + LEASE)
    assert claim is not None
    assert (claim.attempt, claim.failures) == (2, 1)


def test_a_live_lease_is_waited_for(
    sweep: Sweep, set_clock: SetClock, read_item: Callable[[str, str], dict[str, Any]]
) -> None:
    """A worker that is at it is left alone until its lease ends, and then looked at again."""
    put()
    services().store.claim("demo", ID, clock.now() + LEASE)
    set_clock.moment += STALLED_AFTER
    assert sweep() == {"waiting": 1}
    item = read_item("demo", ID)
    assert int(item["due_at"]["N"]) == int(item["lease_until"]["N"]) + 1
    assert item["status"] == {"S": "running"}
    assert sweep() == {}
    assert received() == []


@pytest.mark.parametrize("claimed", [False, True])
def test_what_is_past_its_deadline_fails(
    sweep: Sweep, set_clock: SetClock, *, claimed: bool
) -> None:
    """An hour after its submission, an unclaimed generation fails with that reason."""
    put()
    if claimed:
        services().store.claim("demo", ID, clock.now() + LEASE)
    set_clock.advance(hours=1)
    assert sweep() == {"failed": 1}
    generation = services().store.get("demo", ID)
    assert (generation.status, generation.reason, generation.finished_at) == (
        Status.FAILED,
        Reason.DEADLINE,
        set_clock(),
    )
    assert sweep() == {}
    assert received() == []


def test_a_live_lease_may_outlast_the_deadline(sweep: Sweep, set_clock: SetClock) -> None:
    """A worker may finish the attempt that began before the deadline."""
    put()
    set_clock.advance(minutes=59)
    claim = services().store.claim("demo", ID, clock.now() + LEASE)
    assert claim is not None
    set_clock.advance(minutes=2)
    assert sweep() == {"waiting": 1}
    assert services().store.succeed(claim, completion("Hi"))


def test_each_look_is_as_far_away_as_the_submission(sweep: Sweep, set_clock: SetClock) -> None:
    """A generation in a long queue gets few more messages: after 2, 4, 8, 16 and 32 minutes."""
    put()
    sent = []
    for minute in range(1, 70):
        set_clock.advance(minutes=1)
        ends = sweep()
        if "sent" in ends:
            sent.append(minute)
        assert ("failed" in ends) == (minute == 60)
    assert sent == [2, 4, 8, 16, 32]
    assert services().store.get("demo", ID).reason is Reason.DEADLINE


def test_a_message_that_cannot_be_sent_is_due_again(
    sweep: Sweep, set_clock: SetClock, cut_off: Callable[[str], None]
) -> None:
    """When the queue is out of reach, the run goes on, and the next look comes in its time."""
    for number in range(3):
        put(numbered(number))
    cut_off("sqs.SendMessage")
    set_clock.moment += STALLED_AFTER
    assert sweep() == {"unsent": 3}
    set_clock.moment += STALLED_AFTER
    assert sweep() == {"unsent": 3}


def test_tenants_take_turns_oldest_first(
    sweep: Sweep, set_clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run looks at the oldest of each tenant over all shards, in turns, up to its bound."""
    monkeypatch.setattr(sweeper, "MAX_LOOKS", 12)
    ids = [numbered(number * 7919 % 20) for number in range(20)]
    tenants = ["demo"] * 14 + ["other"] * 6
    for generation_id, tenant in zip(ids, tenants, strict=True):
        put(generation_id, tenant)
        set_clock.advance(seconds=1)
    set_clock.moment += STALLED_AFTER
    assert sweep() == {"sent": 12}
    assert sorted(received()) == sorted(
        zip(["demo"] * 6 + ["other"] * 6, ids[:6] + ids[14:], strict=True)
    )
    assert sweep() == {"sent": 8}
    assert {generation_id for _, generation_id in received()} == set(ids[6:14])


def send_first(tenant: str, ids: list[str]) -> None:
    """Send the messages of generations, as their submissions would have."""
    for generation_id in ids:
        services().queue.send(tenant, generation_id)


def test_no_more_messages_are_sent_than_are_missing(
    sweep: Sweep, set_clock: SetClock, calls: list[Call]
) -> None:
    """In a long backlog with all of its messages, a tenant gets its share, and a neighbour its own.

    The depths of both queues are read once, and what is late is neither sent nor written.
    """
    ids = [numbered(number) for number in range(20)]
    for generation_id in ids:
        put(generation_id)
    put(tenant="other")
    send_first("demo", ids)
    set_clock.moment += STALLED_AFTER
    calls.clear()
    assert sweep() == {"sent": 11, "late": 10}
    made = Counter(call.operation for call in calls)
    assert made == {
        "dynamodb.Query": 8,
        "dynamodb.BatchGetItem": 1,
        "sqs.GetQueueAttributes": 2,
        "dynamodb.UpdateItem": 11,
        "sqs.SendMessage": 11,
    }
    sent = received()
    assert len(sent) == 20 + 11
    assert ("other", ID) in sent


def test_many_lost_messages_are_sent_again_at_once(
    sweep: Sweep, set_clock: SetClock, stored: Callable[[], Stored]
) -> None:
    """When the queue has fewer messages than are waited for, the missing ones are sent again."""
    ids = [numbered(number) for number in range(20)]
    for generation_id in ids:
        put(generation_id)
    send_first("demo", ids[:5])
    set_clock.moment += STALLED_AFTER
    assert sweep() == {"sent": 15, "late": 5}
    assert stored().messages == 5 + 15


def test_an_unknown_depth_is_no_reason_to_send(
    sweep: Sweep, set_clock: SetClock, cut_off: Callable[[str], None]
) -> None:
    """While the depth of a queue cannot be read, each tenant gets its share and no more."""
    for number in range(15):
        put(numbered(number))
    set_clock.moment += STALLED_AFTER
    cut_off("sqs.GetQueueAttributes")
    assert sweep() == {"sent": 10, "late": 5}


def test_ends_that_wait_to_be_made_known_are_not_sent_again(
    sweep: Sweep, set_clock: SetClock
) -> None:
    """A long queue of end messages gets no more than a tenant's share of further ones."""
    options = SubmissionOptions(flow_version=1, retention=timedelta(days=30), notify=True)
    for number in range(12):
        services().store.put("demo", numbered(number), SUBMISSION, options)
        services().outbox.cancel("demo", numbered(number))
    set_clock.moment += STALLED_AFTER
    assert sweep() == {"dispatched": 10, "late": 2}


def change(generation_id: str, expression: str, **values: Any) -> None:  # noqa: ANN401 - DynamoDB's own
    """Change an item as another version, or another function, might."""
    clients().dynamodb.update_item(
        TableName=REFERENCES["GenerationsTable"],
        Key={"pk": {"S": f"demo#{generation_id}"}},
        UpdateExpression=expression,
        ExpressionAttributeNames={f"#{name}": name for name in values},
        ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
    )


def millis(moment: datetime) -> dict[str, str]:
    """Return a time as it is stored."""
    return {"N": str(clock.to_millis(moment))}


def test_what_waited_in_the_table_is_sent_when_it_is_due(
    sweep: Sweep, set_clock: SetClock, log_lines: Callable[[], list[Any]]
) -> None:
    """A wait that no queue knows of ends on time, whatever the depth of the queue."""
    ids = [numbered(number) for number in range(12)]
    for generation_id in ids:
        put(generation_id)
        again = millis(set_clock() + timedelta(minutes=20))
        change(generation_id, "SET #next_at = :next_at, #due_at = :due_at", next_at=again,
               due_at=again)  # fmt: skip
    send_first("demo", ids)
    set_clock.advance(minutes=19)
    assert sweep() == {}
    set_clock.advance(minutes=1)
    assert sweep() == {"resumed": 12}
    assert "sent after its wait" in [line["message"] for line in log_lines()]
    set_clock.moment += STALLED_AFTER - timedelta(seconds=1)
    assert sweep() == {}
    set_clock.advance(seconds=1)
    assert sweep() == {"sent": 10, "late": 2}


def test_a_wait_in_the_queue_is_late_at_first(sweep: Sweep, set_clock: SetClock) -> None:
    """A wait whose message is in the queue counts like any other that may be late."""
    ids = [numbered(number) for number in range(12)]
    for generation_id in ids:
        put(generation_id)
        again = set_clock() + timedelta(minutes=5)
        change(generation_id, "SET #next_at = :next_at, #due_at = :due_at", next_at=millis(again),
               due_at=millis(again + STALLED_AFTER))  # fmt: skip
    send_first("demo", ids)
    set_clock.advance(minutes=7)
    assert sweep() == {"sent": 10, "late": 2}


def test_no_attempt_is_called_for_before_it_may_begin(
    sweep: Sweep, set_clock: SetClock, read_item: Callable[[str, str], dict[str, Any]]
) -> None:
    """A generation that is due before its next attempt is put off to that, and not sent."""
    put()
    again = millis(set_clock() + timedelta(minutes=30))
    change(ID, "SET #next_at = :next_at", next_at=again)
    set_clock.moment += STALLED_AFTER
    assert sweep() == {"waiting": 1}
    assert read_item("demo", ID)["due_at"] == again
    assert received() == []


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(("SET #status = :status", {"status": {"S": "paused"}}), id="a new status"),
        pytest.param(("SET #attempt = :attempt", {"attempt": {"S": "first"}}), id="a new type"),
        pytest.param(("SET #created_at = :created_at", {"created_at": {"N": "9" * 30}}),
                     id="no time"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_set_aside(
    sweep: Sweep,
    set_clock: SetClock,
    damage: tuple[str, dict[str, Any]],
    read_item: Callable[[str, str], dict[str, Any]],
    log_lines: Callable[[], list[Any]],
) -> None:
    """An item of another version is counted, logged with its key and put off; the others go on."""
    poisoned, fine = numbered(1), numbered(2)
    put(poisoned)
    set_clock.advance(seconds=1)
    put(fine)
    expression, values = damage
    change(poisoned, expression, **values)
    before = read_item("demo", poisoned)
    set_clock.moment += STALLED_AFTER
    assert sweep() == {"unreadable": 1, "sent": 1}
    assert received() == [("demo", fine)]
    (line,) = [
        line for line in log_lines() if line["message"] == "could not read a stalled generation"
    ]
    assert (line["generation_id"], line["tenant"], line["level"]) == (poisoned, "demo", "ERROR")
    later = millis(set_clock() + timedelta(minutes=15))
    assert read_item("demo", poisoned) == before | {"due_at": later}
    assert sweep() == {}
    set_clock.advance(minutes=15)
    assert sweep()["unreadable"] == 1


def throttled(operation: str) -> ClientError:
    """Return the error of a partition that is asked too much."""
    code = "ProvisionedThroughputExceededException"
    return ClientError({"Error": {"Code": code, "Message": "Slow down."}}, operation)


def test_a_refused_write_ends_no_run(
    sweep: Sweep, set_clock: SetClock, log_lines: Callable[[], list[Any]]
) -> None:
    """One generation whose writes are refused is counted and logged, and the others are sent."""
    for number in range(3):
        put(numbered(number))
    set_clock.moment += STALLED_AFTER

    def refuse(params: Mapping[str, Any], **_: object) -> None:
        if params["Key"]["pk"]["S"] == f"demo#{numbered(0)}":
            raise throttled("UpdateItem")

    clients().dynamodb.meta.events.register("before-parameter-build.dynamodb.UpdateItem", refuse)
    assert sweep() == {"unrepaired": 1, "sent": 2}
    assert sorted(received()) == [("demo", numbered(1)), ("demo", numbered(2))]
    lines = [line for line in log_lines() if line.get("generation_id") == numbered(0)]
    assert [line["message"] for line in lines] == [
        "could not repair",
        "could not postpone a stalled generation",
    ]


def test_a_shard_that_cannot_be_read_ends_no_run(sweep: Sweep, set_clock: SetClock) -> None:
    """The other shards are repaired, and then the run fails, so that its alarm rings."""
    ids = [numbered(number) for number in range(12)]
    for generation_id in ids:
        put(generation_id)
    set_clock.moment += STALLED_AFTER

    def refuse(params: Mapping[str, Any], **_: object) -> None:
        if {"S": "3"} in params["ExpressionAttributeValues"].values():
            raise throttled("Query")

    clients().dynamodb.meta.events.register("before-parameter-build.dynamodb.Query", refuse)
    with pytest.raises(ClientError):
        sweep()
    other = {each for each in ids if zlib.crc32(each.encode()) % 8 != 3}
    assert 0 < len(other) < len(ids)
    assert {generation_id for _, generation_id in received()} == other


def test_a_run_with_work_is_a_line_of_metrics(
    sweep: Sweep,
    set_clock: SetClock,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A run writes its repairs, the unreadable, and the lag; an idle one writes nothing."""
    assert sweep() == {}
    put(numbered(1))
    put(numbered(2))
    change(numbered(2), "SET #status = :status", status={"S": "paused"})
    set_clock.moment += STALLED_AFTER
    capsys.readouterr()
    sweep()
    (line,) = [
        embedded_metrics.read(line)
        for line in capsys.readouterr().out.splitlines()
        if "_aws" in line
    ]
    assert (line["SweepLag"], line["Repaired"], line["Unreadable"]) == ([0.0], [1.0], [1.0])
    assert (line["stack"], line["sent"], line["unreadable"]) == ("afterword", 1, 1)


def test_the_lag_is_the_age_of_the_oldest_that_was_left(
    sweep: Sweep,
    set_clock: SetClock,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A run that has to leave generations tells for how long the oldest has been due."""
    monkeypatch.setattr(sweeper, "MAX_LOOKS", 1)
    put(numbered(1))
    set_clock.advance(seconds=5)
    put(numbered(2))
    set_clock.moment += STALLED_AFTER + timedelta(seconds=40)
    capsys.readouterr()
    assert sweep() == {"sent": 1}
    assert '"SweepLag":[40000.0]' in capsys.readouterr().out


def test_a_run_ends_before_its_time_is_up(
    aws: None,  # noqa: ARG001 - asked for its effect
    set_clock: SetClock,
    load_event: Callable[[str], Event],
) -> None:
    """A run with no time left begins nothing, and leaves the rest to the next run."""
    put()
    set_clock.moment += STALLED_AFTER
    assert invoke("sweep", load_event("sweep"), LambdaContext(milliseconds=9_000)) == {}
    assert invoke("sweep", load_event("sweep")) == {"sent": 1}


def test_two_sweepers_at_once_send_once(sweep: Sweep, set_clock: SetClock) -> None:
    """Of two sweepers that see the same generation stalled, one sends."""
    put()
    set_clock.moment += STALLED_AFTER
    seen = look_at_all(services().store)
    assert sweep() == {"sent": 1}
    later = clock.now() + STALLED_AFTER
    assert [services().store.postpone(stalled, later) for stalled in seen] == [False]
    assert received() == [("demo", ID)]


@pytest.mark.parametrize("after", [STALLED_AFTER, timedelta(hours=1)])
@pytest.mark.parametrize("status", [Status.RUNNING, Status.SUCCEEDED])
def test_what_changes_while_the_sweeper_looks_is_not_touched(
    sweep: Sweep,
    set_clock: SetClock,
    status: Status,
    after: timedelta,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker that comes between the sweeper's read and its write keeps what it has."""
    put()
    set_clock.moment += after
    store = services().store
    read = store.read_stalled

    def read_until_now(keys: Sequence[DueKey]) -> Look:
        found = read(keys)
        claim = store.claim("demo", ID, clock.now() + LEASE)
        assert claim is not None
        if status is Status.SUCCEEDED:
            assert store.succeed(claim, completion("Hi"))
        return found

    monkeypatch.setattr(store, "read_stalled", read_until_now)
    assert "sent" not in sweep()
    assert store.get("demo", ID).status is status
    assert received() == []


def test_an_idle_run_costs_a_query_for_each_shard(sweep: Sweep, calls: list[Call]) -> None:
    """When nothing is stalled, each of the index's eight shards is asked once, and nothing else."""
    assert sweep() == {}
    assert [call.operation for call in calls] == ["dynamodb.Query"] * 8


def test_an_undispatched_end_is_dispatched(
    sweep: Sweep, set_clock: SetClock, calls: list[Call], log_lines: Callable[[], list[Any]]
) -> None:
    """An end that a dead process left undispatched is dispatched two minutes later."""
    options = SubmissionOptions(flow_version=1, retention=timedelta(days=30), slot=SLOT)
    services().store.put("demo", ID, SUBMISSION, options)
    services().store.cancel("demo", ID)
    set_clock.moment += STALLED_AFTER - timedelta(milliseconds=1)
    assert sweep() == {}
    set_clock.advance(milliseconds=1)
    calls.clear()
    assert sweep() == {"dispatched": 1}
    assert REFERENCES["QuotasTable"] in [call.params.get("TableName") for call in calls]
    assert "dispatched again" in [line["message"] for line in log_lines()]
    set_clock.advance(hours=1)
    assert sweep() == {}


def test_an_end_that_was_not_made_known_is_repeated(sweep: Sweep, set_clock: SetClock) -> None:
    """Until an end is dispatched, its message is sent after 2, 4, 8, 16 and 32 minutes."""
    options = SubmissionOptions(flow_version=1, retention=timedelta(days=30), notify=True)
    services().store.put("demo", ID, SUBMISSION, options)
    services().store.cancel("demo", ID)
    sent = []
    for minute in range(1, 60):
        set_clock.advance(minutes=1)
        if sweep():
            sent.append(minute)
    assert sent == [2, 4, 8, 16, 32]
    end_messages = clients().sqs.get_queue_attributes(
        QueueUrl=REFERENCES["NotifyQueue"], AttributeNames=["ApproximateNumberOfMessages"]
    )
    assert end_messages["Attributes"]["ApproximateNumberOfMessages"] == "5"
    assert received() == []
    services().store.mark_dispatched("demo", ID)
    set_clock.advance(days=1)
    assert sweep() == {}


def test_an_end_that_cannot_be_dispatched_is_due_again(
    sweep: Sweep, set_clock: SetClock, cut_off: Callable[[str], None]
) -> None:
    """When the queue of end messages is out of reach, the run goes on, and the next look comes."""
    options = SubmissionOptions(flow_version=1, retention=timedelta(days=30), notify=True)
    for number in range(3):
        services().store.put("demo", numbered(number), SUBMISSION, options)
        services().store.cancel("demo", numbered(number))
    cut_off("sqs.SendMessage")
    set_clock.moment += STALLED_AFTER
    assert sweep() == {"undispatched": 3}
    set_clock.moment += STALLED_AFTER
    assert sweep() == {"undispatched": 3}
