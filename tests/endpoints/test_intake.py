"""The intake: the events, files and turns that are accepted, and the fate of the rest."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from afterword import generations
from afterword.batches import Counts, State, line_id
from afterword.limits import Limits
from afterword.runtime.clients import clients
from afterword.services import services
from tests.conftest import FLOW, Call, Event, SetClock, Stored, Tenant
from tests.harness.api import invoke
from tests.harness.batches import BUCKET, KEY, MAIL, Inbox, created, file, letters, turns

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


def test_an_event_waits_for_its_tenants_limits(
    inbox: Inbox, requested: Event, calls: list[Call], stored: Callable[[], Stored]
) -> None:
    """Over the limits an event comes again, later each time, and is no dead letter."""
    services().registry.set_limits("demo", Limits(running_at_once=1))
    assert inbox.take(requested, {**requested, "id": "another"}) == ["1"]
    assert (stored().items, letters()) == (1, [])
    (hidden,) = [call for call in calls if call.operation == "sqs.ChangeMessageVisibility"]
    assert hidden.params["VisibilityTimeout"] == 60


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
    assert (following, delay) == ({"tenant": "demo", "batch": batch.id, "turn": 1}, 4)

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


def test_a_batch_waits_for_its_tenants_limits(
    inbox: Inbox, calls: list[Call], stored: Callable[[], Stored]
) -> None:
    """Over the limits reading goes on later where it stopped, and no line is lost or bad."""
    services().registry.set_limits("demo", Limits(running_at_once=2))
    inbox.take(created(KEY, file(MAIL, "{", MAIL, MAIL)))
    ((following, delay),) = turns(calls)
    batch = services().batches.get("demo", following["batch"])
    assert (batch.state, delay, stored().items) == (State.READING, 5, 2)
    assert batch.read < 4
    ids = [line_id("demo", batch.id, line) for line in (1, 3, 4)]
    for generation_id in services().store.get_many("demo", ids):
        services().outbox.cancel("demo", generation_id)
    inbox.take(following)
    batch = services().batches.get("demo", batch.id)
    assert batch.state is not State.READING
    assert (batch.counts.accepted, batch.counts.bad, stored().items) == (3, 1, 3)


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
    accept = services().submitter.submit

    def die(*args: Any) -> str:  # noqa: ANN401 - the submitter's own
        nonlocal lines
        lines += 1
        if lines == 120:
            raise MemoryError
        return accept(*args)

    monkeypatch.setattr(services().submitter, "submit", die)
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
