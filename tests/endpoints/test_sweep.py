"""The sweeper's function: the handler with its event, under moto."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from afterword import clock
from afterword.engine import sweeper
from afterword.generations import Reason, Status, Submission, SubmissionOptions
from afterword.generations.ends import STALLED_AFTER, Stalled
from afterword.runtime.clients import clients
from afterword.services import services
from tests.conftest import FLOW, Call, Event, LambdaContext, SetClock, Stored
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


def test_all_shards_are_walked_oldest_first(
    sweep: Sweep, set_clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run takes the oldest of all tenants and shards, up to its bound, and the next the rest."""
    monkeypatch.setattr(sweeper, "MAX_PER_RUN", 25)
    ids = [numbered(number * 7919 % 40) for number in range(40)]
    for generation_id in ids:
        put(generation_id, "demo" if generation_id < numbered(20) else "other")
        set_clock.advance(seconds=1)
    set_clock.moment += STALLED_AFTER
    assert sweep() == {"sent": 25}
    assert {generation_id for _, generation_id in received()} == set(ids[:25])
    assert sweep() == {"sent": 15}
    assert {generation_id for _, generation_id in received()} == set(ids[25:])


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
    seen = list(services().store.list_stalled(10))
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
    stalled = store.list_stalled

    def stalled_until_now(limit: int) -> list[Stalled]:
        found = list(stalled(limit))
        claim = store.claim("demo", ID, clock.now() + LEASE)
        assert claim is not None
        if status is Status.SUCCEEDED:
            assert store.succeed(claim, completion("Hi"))
        return found

    monkeypatch.setattr(store, "list_stalled", stalled_until_now)
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
