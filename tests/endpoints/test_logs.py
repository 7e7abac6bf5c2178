"""The log: one id finds all lines about a generation, in whichever function they were written."""

import io
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from afterword import clock
from afterword.models import ModelUnavailableError
from afterword.runtime.clients import clients
from afterword.runtime.queue import Queue
from afterword.services import services
from tests.conftest import FLOW, Event, LambdaContext, SetClock
from tests.harness.api import invoke
from tests.harness.batches import KEY, MAIL, Inbox, created, file
from tests.harness.fake_model import FakeModel, raising, saying
from tests.harness.native_generations import Native
from tests.harness.webhooks import Queue as WebhookQueue
from tests.harness.webhooks import Receiver, Webhooks

type Line = Mapping[str, Any]
type LinesOf = Callable[[str], tuple[list[Line], list[Line]]]
"""A function of a generation's id that gives the lines about it, and the metric lines."""


@pytest.fixture
def call(load_event: Callable[[str], Event]) -> Callable[..., Line]:
    """Return a function that calls a queue's consumer with a message about a generation."""

    def call(name: str, generation_id: str) -> Line:
        event = load_event(name)
        event["Records"][0]["body"] = json.dumps({"tenant": "demo", "id": generation_id})
        return invoke(name, event, LambdaContext(aws_request_id=f"of {name}"))

    return call


@pytest.fixture
def lines_of(log: io.StringIO, capsys: pytest.CaptureFixture[str]) -> LinesOf:
    """Return a function that gives the log lines about a generation.

    Fails on a line about no generation, but for those of a sweeper's run on itself.
    """
    metrics: list[Line] = []

    def lines_of(generation_id: str) -> tuple[list[Line], list[Line]]:
        lines = [json.loads(line) for line in log.getvalue().splitlines()]
        metrics.extend(map(json.loads, capsys.readouterr().out.splitlines()))
        for line in (*lines, *metrics):
            of_sweep = line.get("message") == "swept" or "SweepLag" in line
            assert of_sweep or (line["generation_id"] and line["tenant"])
        return (
            [line for line in lines if line.get("generation_id") == generation_id],
            [line for line in metrics if line.get("generation_id") == generation_id],
        )

    return lines_of


def told(lines: list[Line]) -> list[tuple[str, str | None]]:
    """Return the messages of lines with the request that they were written in."""
    return [(line["message"], line.get("request_id")) for line in lines]


def test_an_id_is_followed_from_the_api_to_the_end(  # noqa: PLR0913, PLR0917 - fixtures
    native: Native,
    call: Callable[..., Line],
    use_model: Callable[[FakeModel], None],
    lines_of: LinesOf,
    webhooks: Webhooks,
    webhook_queue: WebhookQueue,
    receiver: Receiver,
    set_clock: SetClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The admission, each attempt, the end message and the webhook are logged once each."""
    clients().events.create_event_bus(Name="company")
    monkeypatch.setenv("AFTERWORD_EVENT_BUS", "company")
    webhook = webhooks.created()["id"]
    generation_id, other_id = native.submitted(), native.submitted()
    use_model(raising(ModelUnavailableError("Busy.")))
    call("generate", generation_id)
    set_clock.advance(minutes=1)
    use_model(saying("Dear Ada,"))
    for each in (generation_id, other_id):
        call("generate", each)
        call("deliver", each)
    webhook_queue.deliver(*webhooks.log(webhook))
    assert len(receiver.posts) == 2
    lines, metrics = lines_of(generation_id)
    http = LambdaContext().aws_request_id
    assert told(lines) == [
        ("accepted", http),
        ("requeued", "of generate"),
        ("finished", "of generate"),
        ("notified", "of deliver"),
        ("delivered a webhook", http),
    ]
    assert {line["tenant"] for line in (*lines, *metrics)} == {"demo"}
    assert (lines[0]["flow"], lines[2]["status"], lines[3]["status"]) == (
        FLOW,
        "succeeded",
        "succeeded",
    )
    counted = ("TimeInQueue", "Requeued", "Succeeded")  # the first two are in one line
    assert [name for line in metrics for name in counted if name in line] == list(counted)


def test_an_id_is_followed_to_an_end_that_no_worker_made(
    native: Native,
    call: Callable[..., Line],
    set_clock: SetClock,
    load_event: Callable[[str], Event],
    lines_of: LinesOf,
) -> None:
    """Each end by the sweeper, and each dead letter, is logged with its generation's id."""
    lost, dead, canceled = native.submitted(), native.submitted(), native.submitted()
    native.ask("cancel_generation", canceled)
    call("dead_letter", dead)
    for minutes in (2, 58):
        set_clock.advance(minutes=minutes)
        invoke("sweep", load_event("sweep"), LambdaContext(aws_request_id="of sweep"))
    http = LambdaContext().aws_request_id
    expected: Mapping[str, tuple[list[tuple[str, str]], Line]] = {
        lost: (
            [
                ("accepted", http),
                ("sent again: its message was lost or is late", "of sweep"),
                ("failed unclaimed", "of sweep"),
            ],
            {"status": "failed", "reason": "deadline", "seconds": 3600.0},
        ),
        dead: (
            [("accepted", http), ("failed unclaimed", "of dead_letter")],
            {"status": "failed", "reason": "dead_letter", "seconds": 0.0},
        ),
        canceled: ([("accepted", http), ("canceled", http)], {"status": "canceled"}),
    }
    found = {each: lines_of(each)[0] for each in expected}
    for each, (messages, facts) in expected.items():
        assert told(found[each]) == messages
        assert {"tenant": "demo", "flow": FLOW, "attempt": 0, **facts}.items() <= found[each][
            -1
        ].items()


@pytest.mark.parametrize("broken", ["send", "mark_dispatched"])
def test_what_is_dispatched_late_is_told_with_its_id(  # noqa: PLR0913, PLR0917 - fixtures
    native: Native,
    set_clock: SetClock,
    load_event: Callable[[str], Event],
    call: Callable[..., Line],
    lines_of: LinesOf,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
) -> None:
    """An end that could not be dispatched, or marked so, at once is followed by its id, too."""

    def out_of_reach(*_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://aws.invalid")

    clients().events.create_event_bus(Name="company")
    monkeypatch.setenv("AFTERWORD_EVENT_BUS", "company")
    generation_id = native.submitted()
    owner = Queue if broken == "send" else type(services().store)
    with monkeypatch.context() as patch:
        patch.setattr(owner, broken, out_of_reach)
        native.ask("cancel_generation", generation_id)
        if broken == "mark_dispatched":
            call("deliver", generation_id)
    set_clock.advance(minutes=3)
    invoke("sweep", load_event("sweep"))
    call("deliver", generation_id)
    messages = [message for message, _ in told(lines_of(generation_id)[0])]
    late = {
        "send": "could not dispatch",
        "mark_dispatched": "published, but could not mark as dispatched",
    }[broken]
    assert messages == [
        "accepted",
        "canceled",
        late,
        "dispatched again",
        "notified",
    ]


def test_each_line_of_a_batch_is_accepted_with_its_own_id(
    native: Native,
    load_event: Callable[[str], Event],
    log_lines: Callable[[], list[dict[str, Any]]],
) -> None:
    """A batch's lines are submitted side by side, and each log line has its own id."""
    inbox = Inbox(load_event("intake"))
    inbox.take(created(KEY, file(*[MAIL] * 50)))
    accepted = [line for line in log_lines() if line["message"] == "accepted"]
    items = native.ask("list_generations", query={"limit": "100"})["body"]["items"]
    assert len(accepted) == 4  # the first window
    assert sorted(line["generation_id"] for line in accepted) == sorted(
        each["id"] for each in items
    )
    assert {(line["tenant"], line["flow"], line["message_id"]) for line in accepted} == {
        ("demo", FLOW, "0")
    }


def test_a_lease_that_ran_out_is_told_with_its_id(
    native: Native,
    set_clock: SetClock,
    load_event: Callable[[str], Event],
    lines_of: LinesOf,
) -> None:
    """A lost worker is in the log of the sweeper."""
    generation_id = native.submitted()
    assert services().store.claim("demo", generation_id, clock.now() + timedelta(minutes=1))
    set_clock.advance(minutes=3)
    invoke("sweep", load_event("sweep"))
    last = lines_of(generation_id)[0][-1]
    assert (last["message"], last["tenant"], last["attempt"]) == (
        "sent again: its worker was lost",
        "demo",
        1,
    )
