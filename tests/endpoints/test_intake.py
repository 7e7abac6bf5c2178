"""The intake: the events, files and turns that are accepted, and the fate of the rest."""

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from afterword import generations
from afterword.batches import BatchLease, Counts, State, Window, line_id, runner, window
from afterword.batches.runner import TurnResult
from afterword.generations.requests import QueuedItem
from afterword.generations.store import PutResult
from afterword.limits import Limits
from afterword.runtime.clients import clients
from afterword.runtime.deadline import Deadline
from afterword.services import services
from tests.conftest import FLOW, FLOW_DOCUMENT, Call, Event, SetClock, Stored, Tenant
from tests.harness.api import invoke
from tests.harness.batches import (
    BUCKET,
    KEY,
    MAIL,
    Inbox,
    created,
    file,
    letters,
    turns,
    waiting,
)

EVENT_ID = "6a7e8feb-b491-4cf7-a9f1-bf3703467718"


@pytest.fixture
def inbox(tenant: Tenant, load_event: Callable[[str], Event]) -> Inbox:
    """Return the intake's queue."""
    assert tenant.id == "demo"
    return Inbox(load_event("intake"))


@pytest.fixture
def requested(load_event: Callable[[str], Event]) -> Event:
    """Return the sample event's own event."""
    event: Event = json.loads(load_event("intake")["Records"][0]["body"])
    return event


@pytest.mark.usefixtures("tenant")
def test_an_event_becomes_a_generation(
    load_event: Callable[[str], Event], stored: Callable[[], Stored]
) -> None:
    """An event GenerationRequested is a submission of its detail, once however often it comes."""
    for _ in range(2):
        assert invoke("intake", load_event("intake")) == {"batchItemFailures": []}
    assert stored().items == 1
    generation_id = generations.id_for_key("demo", f"event {EVENT_ID}")
    generation = services().store.get("demo", generation_id)
    assert (generation.dialect, generation.flow) == ("native", FLOW)
    assert generation.external == {"external_ref": '"case-457"'}
    assert services().store.get_detail("demo", generation_id).inputs == MAIL["inputs"]


def bad(event: Event, **changes: object) -> Event:
    """Return an event whose detail is changed."""
    return {**event, "detail": {**event["detail"], **changes}}


def test_a_bad_event_is_a_dead_letter_and_the_others_go_on(
    inbox: Inbox,
    requested: Event,
    stored: Callable[[], Stored],
    log_lines: Callable[[], list[dict[str, Any]]],
) -> None:
    """A bad event is kept as a dead letter, without its content in the log."""
    refused: list[object] = [
        bad(requested, tenant="Quokka"),
        bad(requested, tenant=7),
        bad(requested, flow="Quokka"),
        bad(requested, inputs={"Quokka": "Quokka"}),
        bad(requested, Quokka="Quokka"),
        {"Quokka": "Quokka"},
        "Quokka",
        "[" * 100_000,
    ]
    assert inbox.take(*refused, requested) == []
    assert stored().items == 1
    kept = letters()
    assert [json.loads(each) for each in kept[:6]] == refused[:6]
    assert kept[6:] == refused[6:]
    lines = log_lines()
    assert [line["message"] for line in lines].count("forwarded to the dead letters") == len(
        refused
    )
    assert "Quokka" not in json.dumps(lines)


def test_an_event_id_that_comes_with_something_else_is_a_dead_letter(
    inbox: Inbox, requested: Event, stored: Callable[[], Stored]
) -> None:
    """An event's id stands for one submission, and another one is not taken for it."""
    inbox.take(requested, bad(requested, external_ref="case-458"))
    assert stored().items == 1
    assert len(letters()) == 1


def limited(inbox: Inbox, requested: Event) -> Event:
    """Return an event whose tenant has no slot left."""
    services().registry.set_limits("demo", Limits(running_at_once=1))
    assert inbox.take(requested) == []
    return {**requested, "id": "another"}


def numbers(waits: int, until: float) -> dict[str, Any]:
    """Return the attributes of a message that has waited."""
    return {
        name: {"DataType": "Number", "StringValue": str(int(number))}
        for name, number in (("waits", waits), ("until", until))
    }


@pytest.mark.parametrize(
    ("waits", "asked"), [(0, 60), (1, 120), (59, 3600), (99, 3600)], ids=["1", "2", "60", "100"]
)
def test_an_event_waits_for_its_tenants_limits(  # noqa: PLR0913, PLR0917 - the wait, and its ends
    inbox: Inbox,
    requested: Event,
    calls: list[Call],
    stored: Callable[[], Stored],
    set_clock: SetClock,
    waits: int,
    asked: int,
) -> None:
    """Over the limits an event is sent again, delayed: a minute longer each time, up to an hour."""
    event = limited(inbox, requested)
    now = set_clock().timestamp()
    assert inbox.take(event, attributes=numbers(waits, now) if waits else {}) == []
    (sent,) = waiting(calls)
    assert sent["DelaySeconds"] == min(asked, 900)
    assert sent["MessageAttributes"] == numbers(waits + 1, now + asked)
    assert json.loads(sent["MessageBody"]) == event
    assert (stored().items, letters()) == (1, [])
    assert "sqs.ChangeMessageVisibility" not in [call.operation for call in calls]


def test_an_event_that_waits_longer_than_a_message_may_asks_for_nothing_meanwhile(
    inbox: Inbox, requested: Event, calls: list[Call], set_clock: SetClock
) -> None:
    """Before the end of its wait an event is sent on without a look at limits."""
    event = limited(inbox, requested)
    calls.clear()
    now = set_clock().timestamp()
    attributes = numbers(60, now + 2000)
    for seconds in (900, 900, 200):
        inbox.take(event, attributes=attributes)
        sent = waiting(calls)[-1]
        assert (sent["DelaySeconds"], sent["MessageAttributes"]) == (seconds, attributes)
        set_clock.advance(seconds=seconds)
    assert {call.operation for call in calls} <= {"sqs.SendMessage", "sqs.ReceiveMessage"}
    services().outbox.cancel("demo", generations.id_for_key("demo", f"event {EVENT_ID}"))
    inbox.take(event, attributes=attributes)
    assert services().store.exists("demo", generations.id_for_key("demo", "event another"))


def test_an_event_that_has_waited_three_days_is_a_dead_letter(
    inbox: Inbox, requested: Event, calls: list[Call], set_clock: SetClock
) -> None:
    """After a hundred waits, which are three days, an event is given up."""
    event = limited(inbox, requested)
    inbox.take(event, attributes=numbers(100, set_clock().timestamp()))
    assert waiting(calls) == []
    assert [json.loads(letter) for letter in letters()] == [event]
    assert sum(min(60 * wait, 3600) for wait in range(1, 101)) > 2.9 * 24 * 3600


@pytest.mark.parametrize("value", ["x", "-5", "1e9", "9" * 5000])
def test_a_foreign_attribute_delays_no_event(
    inbox: Inbox, requested: Event, stored: Callable[[], Stored], value: str
) -> None:
    """A caller's own attributes of these names are no waits, or at most one of an hour."""
    attribute = {"DataType": "String", "StringValue": value}
    assert inbox.take(requested, attributes={"waits": attribute, "until": attribute}) == []
    assert stored().items == 1


def test_a_test_event_of_s3_is_nothing(inbox: Inbox) -> None:
    """The test event that S3 sends for a new queue is taken and forgotten."""
    assert inbox.take({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET}) == []
    assert letters() == []


def test_a_file_becomes_a_batch(inbox: Inbox, calls: list[Call]) -> None:
    """A file's good lines become generations; when they have ended, its results are there."""
    content = file(MAIL, "{", {**MAIL, "external_ref": "case-458"}, {**MAIL, "flow": "none"})
    event = created(KEY, content)
    assert inbox.take(event) == []
    ((following, delay),) = turns(calls)
    batch = services().batches.get("demo", following["batch"])
    assert (batch.state, batch.counts) == (State.RUNNING, Counts(accepted=2, bad=2))
    assert (following, delay) == ({"tenant": "demo", "batch": batch.id, "turn": 1}, 1)

    ids = [line_id("demo", batch.id, line) for line in (1, 3)]
    for generation_id in ids:
        services().outbox.cancel("demo", generation_id)
    assert inbox.take(following) == []
    assert services().batches.get("demo", batch.id).state is State.FINISHED
    written = clients().s3.get_object(Bucket=BUCKET, Key=f"results/demo/{batch.id}.jsonl")
    results = [json.loads(line) for line in written["Body"].read().decode().splitlines()]
    canceled = {"status": "canceled", "output": None, "error": None}
    bad_json = (
        "The body is not JSON: Expecting property name enclosed in double quotes"
        " at line 1, column 2."
    )
    assert results == [
        {"line": 1, "id": ids[0], **canceled, "external_ref": None},
        {"line": 2, "error": {"reason": "bad_line", "message": bad_json}},
        {"line": 3, "id": ids[1], **canceled, "external_ref": "case-458"},
        {"line": 4, "error": {"reason": "bad_line", "message": "flow: must be the id of a flow."}},
    ]
    assert letters() == []


def test_a_file_that_is_told_of_again_is_the_same_batch(
    inbox: Inbox, calls: list[Call], stored: Callable[[], Stored]
) -> None:
    """The same version of a file is one batch, and another version of it is another."""
    event = created(KEY, file(MAIL))
    inbox.take(event)
    inbox.take(event)
    assert (len(turns(calls)), stored().items) == (1, 1)
    inbox.take(created(KEY, file(MAIL)))
    assert (len(turns(calls)), stored().items) == (2, 2)


@pytest.mark.parametrize(
    "key", ["intake/nobody/mails.jsonl", "intake/mails.jsonl", "results/demo/mails.jsonl"]
)
def test_a_file_of_nobody_is_a_dead_letter(
    inbox: Inbox, stored: Callable[[], Stored], key: str
) -> None:
    """A file outside of the folder of a tenant becomes no batch."""
    assert inbox.take(created(key, file(MAIL))) == []
    assert stored().items == 0
    assert len(letters()) == 1


def test_a_files_name_may_have_any_characters(inbox: Inbox, calls: list[Call]) -> None:
    """S3 encodes a file's name in its message; the file is found all the same."""
    assert inbox.take(created("intake/demo/mails of may.jsonl", file(MAIL))) == []
    assert len(turns(calls)) == 1


def test_a_batch_leaves_some_of_its_tenants_limits_to_others(
    inbox: Inbox, calls: list[Call], stored: Callable[[], Stored]
) -> None:
    """Under a limit a batch has four in five of the slots open, and no line is lost or bad."""
    services().registry.set_limits("demo", Limits(running_at_once=3))
    inbox.take(created(KEY, file(MAIL, "{", MAIL, MAIL)))
    ((following, delay),) = turns(calls)
    batch = services().batches.get("demo", following["batch"])
    assert (batch.state, delay, stored().items) == (State.READING, 1, 2)
    assert batch.read == 3
    ids = [line_id("demo", batch.id, line) for line in (1, 3, 4)]
    for generation_id in services().store.get_many("demo", ids):
        services().outbox.cancel("demo", generation_id)
    inbox.take(following)
    batch = services().batches.get("demo", batch.id)
    assert batch.state is State.RUNNING
    assert (batch.counts.accepted, batch.counts.bad, stored().items) == (3, 1, 3)


def test_a_batch_waits_for_the_next_minute(
    inbox: Inbox, calls: list[Call], set_clock: SetClock
) -> None:
    """A batch leaves a submission of each minute to others, and goes on in the next minute."""
    services().registry.set_limits("demo", Limits(requests_per_minute=3))
    set_clock.advance(seconds=20)
    inbox.take(created(KEY, file(*[MAIL] * 4)))
    ((following, delay),) = turns(calls)
    assert services().batches.get("demo", following["batch"]).read == 2
    assert delay == 40


def limit_flow(limit: int) -> None:
    """Limit the submissions to the flow in a minute."""
    flow = json.dumps(json.loads(FLOW_DOCUMENT) | {"requests_per_minute": limit})
    services().registry.put_flow("demo", FLOW, flow)


@pytest.mark.parametrize(("limit", "lines"), [(1, 1), (2, 1), (4, 3)])
def test_a_batch_leaves_some_of_its_flows_limit_to_others(
    inbox: Inbox, requested: Event, stored: Callable[[], Stored], limit: int, lines: int
) -> None:
    """A batch leaves a part of its flow's minute, unless that is one submission, to others."""
    limit_flow(limit)
    inbox.take(created(KEY, file(*[MAIL] * 9)))
    assert stored().items == lines
    for number in range(limit):
        inbox.take({**requested, "id": f"event-{number}"})
    assert stored().items == limit


def test_a_batch_waits_for_the_next_minute_of_its_flow(
    inbox: Inbox, calls: list[Call], set_clock: SetClock, stored: Callable[[], Stored]
) -> None:
    """Lines above a flow's limit wait until the minute is over, and none is lost or bad."""
    limit_flow(3)
    set_clock.advance(seconds=20)
    inbox.take(created(KEY, file(*[MAIL] * 4)))
    ((following, delay),) = turns(calls)
    assert (stored().items, delay) == (2, 40)
    for generation_id in services().store.get_many(
        "demo", [line_id("demo", following["batch"], line) for line in range(1, 5)]
    ):
        services().outbox.cancel("demo", generation_id)
    set_clock.advance(seconds=40)
    inbox.take(following)
    batch = services().batches.get("demo", following["batch"])
    assert (batch.read, batch.counts.accepted, batch.counts.bad, stored().items) == (4, 4, 0, 4)


def test_a_batch_that_no_limit_leaves_room_asks_all_the_same(
    inbox: Inbox, calls: list[Call], requested: Event, set_clock: SetClock
) -> None:
    """A batch without an open line tries one, so that lost slots are found, and then waits."""
    limited(inbox, requested)
    set_clock.advance(minutes=2)
    inbox.take(created(KEY, file(MAIL)))
    ((following, delay),) = turns(calls)
    assert (services().batches.get("demo", following["batch"]).read, delay) == (0, 5)


def test_a_lost_reader_is_followed_by_another(
    inbox: Inbox,
    calls: list[Call],
    set_clock: SetClock,
    monkeypatch: pytest.MonkeyPatch,
    stored: Callable[[], Stored],
) -> None:
    """A turn whose reader dies is done again after its lease, and not before."""
    event = created(KEY, file(*[MAIL] * 150))
    lines = 0
    accept = services().store.put_prepared

    def die(prepared: QueuedItem) -> PutResult:
        nonlocal lines
        lines += 1
        if lines == 120:
            raise MemoryError
        return accept(prepared)

    monkeypatch.setattr(runner, "Window", partial(Window, size=150))
    monkeypatch.setattr(window, "LEAST_WAIT", timedelta(hours=1))

    monkeypatch.setattr(services().store, "put_prepared", die)
    with pytest.raises(MemoryError):
        inbox.take(event)
    assert inbox.take(event) == ["0"]
    assert turns(calls) == []

    set_clock.advance(minutes=2)
    assert inbox.take(event) == []
    ((following, _),) = turns(calls)
    batch = services().batches.get("demo", following["batch"])
    assert (batch.state, batch.counts, stored().items) == (
        State.RUNNING,
        Counts(accepted=150),
        150,
    )


def test_out_of_reach_of_aws_a_message_comes_again(
    inbox: Inbox, requested: Event, cut_off: Callable[[str], None]
) -> None:
    """When AWS does not answer, events and turns come again, and nothing is a dead letter."""
    file_event = created(KEY, file(MAIL))
    cut_off("dynamodb.PutItem")
    assert inbox.take(requested, file_event) == ["0", "1"]
    assert letters() == []


def test_a_turn_that_aws_interrupts_is_done_again_at_once(
    inbox: Inbox, calls: list[Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A turn that fails half-way releases its lease, so that the next turn begins at once."""

    def fail(*_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://aws.invalid")

    event = created(KEY, file(MAIL))
    with monkeypatch.context() as cut:
        cut.setattr(services().batch_files, "read", fail)
        assert inbox.take(event) == ["0"]
    assert inbox.take(event) == []
    assert len(turns(calls)) == 1


def test_a_turn_ends_in_half_a_minute(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long an invocation may take, a turn leaves time for those of other batches."""
    given: list[float] = []
    run = runner.BatchRunner.run

    def noted(self: runner.BatchRunner, lease: BatchLease, deadline: Deadline) -> TurnResult:
        given.append(deadline.remaining())
        return run(self, lease, deadline)

    monkeypatch.setattr(runner.BatchRunner, "run", noted)
    inbox.take(created(KEY, file(MAIL)), milliseconds=300_000)
    assert 25 < given[0] <= 30


def test_a_turns_message_looks_again_soon_for_a_lease(
    inbox: Inbox, calls: list[Call], set_clock: SetClock
) -> None:
    """A lease that holds for minutes may be released any moment: its turn waits for seconds."""
    inbox.take(created(KEY, file(MAIL)))
    ((following, _),) = turns(calls)
    until = set_clock() + timedelta(minutes=5)
    services().batches.take_lease("demo", following["batch"], following["turn"], until)
    assert inbox.take(following) == ["0"]
    (hidden,) = [call for call in calls if call.operation == "sqs.ChangeMessageVisibility"]
    assert hidden.params["VisibilityTimeout"] == 15
