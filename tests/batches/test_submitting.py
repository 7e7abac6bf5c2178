"""The submission of a batch's lines: its calls of AWS, and lines that are lost on the way."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from afterword.batches import Window, runner
from afterword.dialects.native import batches as dialect
from afterword.dialects.native.batches import Lines
from afterword.errors import UnprocessableError
from afterword.generations.ends import STALLED_AFTER
from afterword.generations.requests import QueuedItem
from afterword.generations.store import GenerationStore, PutResult
from afterword.runtime.clients import clients
from afterword.runtime.json_text import parse_object
from afterword.services import services
from tests.conftest import FLOW, FLOW_DOCUMENT, Call, Event, SetClock, Stored, Tenant
from tests.harness.api import invoke
from tests.harness.batches import KEY, MAIL, created, file, refuse_entries, turns
from tests.harness.deployment import REFERENCES

MAX_CALLS_PER_LINE = 1.3

type Receive = Callable[[Event], list[str]]
"""A function of a message to the intake that returns the ids of messages to redeliver."""


@pytest.fixture
def receive(tenant: Tenant, load_event: Callable[[str], Event]) -> Receive:
    """Return a function that gives the intake a message, and calls AWS in no other way."""
    assert tenant.id == "demo"
    (record,) = load_event("intake")["Records"]

    def take(body: Event) -> list[str]:
        answer = invoke("intake", {"Records": [{**record, "body": json.dumps(body)}]})
        return [each["itemIdentifier"] for each in answer["batchItemFailures"]]

    return take


def open_window(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Let so many lines of a batch be open from its first turn on."""
    monkeypatch.setattr(runner, "Window", partial(Window, size=size))


def sent_ids() -> set[str]:
    """Return the ids of the generations that messages in the worker's queue name."""
    ids = set()
    while (
        messages := clients()
        .sqs.receive_message(QueueUrl=REFERENCES["Queue"], MaxNumberOfMessages=10)
        .get("Messages")
    ):
        ids |= {json.loads(message["Body"])["id"] for message in messages}
    return ids


def accepted_ids() -> set[str]:
    """Return the ids of all generations."""
    items = clients().dynamodb.scan(TableName=REFERENCES["GenerationsTable"])["Items"]
    return {item["id"]["S"] for item in items if "id" in item}


def test_a_turn_of_a_hundred_lines_takes_few_calls(
    receive: Receive, calls: list[Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line is one write and a tenth of a send: with its share of the turn, 1.3 calls at most."""
    open_window(monkeypatch, 100)
    first = created(KEY, file(*[MAIL] * 200))
    calls.clear()
    assert receive(first) == []
    (following, _), *_ = turns(calls)
    made = Counter(call.operation for call in calls)
    assert made.total() <= 100 * MAX_CALLS_PER_LINE, made
    assert (made["dynamodb.PutItem"], made["sqs.SendMessageBatch"]) == (101, 10)
    for generation_id in accepted_ids():
        services().outbox.cancel("demo", generation_id)
    calls.clear()
    assert receive(following) == []
    made = Counter(call.operation for call in calls)
    assert made.total() <= 100 * MAX_CALLS_PER_LINE, made
    assert made["dynamodb.PutItem"] == 100


def test_long_requests_of_ten_lines_take_one_call(
    receive: Receive, calls: list[Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests that are items of their own cost a tenth of a call each, and so the line 1.3."""
    open_window(monkeypatch, 100)
    text = "".join(hashlib.sha256(bytes([at])).hexdigest() for at in range(64))
    message = created(KEY, file(*[{**MAIL, "inputs": {"text": text}}] * 100))
    calls.clear()
    assert receive(message) == []
    made = Counter(call.operation for call in calls)
    assert made.total() <= 100 * MAX_CALLS_PER_LINE, made
    assert made["dynamodb.BatchWriteItem"] == 10
    (generation_id, *_) = accepted_ids()
    assert services().store.get_detail("demo", generation_id).inputs == {"text": text}


def test_a_turn_reads_each_flow_once(
    receive: Receive, calls: list[Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines that are submitted side by side share one read of their flow, found or not."""
    services().registry.put_flow("demo", "other", FLOW_DOCUMENT)
    open_window(monkeypatch, 40)
    lines = [{**MAIL, "flow": flow} for flow in ("absent", FLOW, "other") for _ in range(20)]
    message = created(KEY, file(*lines))
    calls.clear()
    assert receive(message) == []
    read = Counter(json.dumps(call.params["Key"]) for call in calls if "Key" in call.params)
    flows = [number for key, number in read.items() if "FLOW" in key.upper()]
    assert flows == [1, 1, 1]


@pytest.mark.usefixtures("tenant")
def test_a_turn_keeps_a_bounded_number_of_flows(
    calls: list[Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file whose lines name ever more flows reads each, and keeps few of them."""
    monkeypatch.setattr(dialect, "FLOWS", 3)
    lines = Lines(services().registry, lambda: services().knowledge)
    for number in range(8):
        detail = parse_object(file({**MAIL, "flow": f"absent-{number}"}))
        with pytest.raises(UnprocessableError):
            lines.parse_event("demo", detail)
    assert len(calls) == 8
    assert len(lines._flows) <= 3  # noqa: SLF001 - the bound is the promise


def test_a_refused_message_is_sent_by_the_sweeper(
    receive: Receive,
    set_clock: SetClock,
    load_event: Callable[[str], Event],
    log_lines: Callable[[], list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A line whose message SQS refuses stands, is logged, and is sent two minutes later."""
    refuse_entries(monkeypatch, {"1": "InternalError"})
    assert receive(created(KEY, file(*[MAIL] * 3))) == []
    accepted, sent = accepted_ids(), sent_ids()
    (unsent,) = accepted - sent
    warned = [line for line in log_lines() if line["level"] == "WARNING"]
    assert [(line["generation_id"], line["why"]) for line in warned] == [(unsent, "InternalError")]
    set_clock.advance(seconds=STALLED_AFTER.total_seconds())
    invoke("sweep", load_event("sweep"))
    assert unsent in sent_ids()


def test_without_sqs_lines_stand_and_the_sweeper_sends_them(
    receive: Receive,
    set_clock: SetClock,
    load_event: Callable[[str], Event],
    cut_off: Callable[[str], None],
) -> None:
    """When no message can be sent the batch goes on, and none of its lines is lost."""
    cut_off("sqs.SendMessageBatch")
    assert receive(created(KEY, file(*[MAIL] * 3))) == []
    assert sent_ids() == set()
    set_clock.advance(seconds=STALLED_AFTER.total_seconds())
    invoke("sweep", load_event("sweep"))
    assert sent_ids() == accepted_ids()


def test_a_line_that_cannot_be_stored_holds_up_no_message(
    receive: Receive, stored: Callable[[], Stored], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines beside one that cannot be stored are sent, and the next receipt stores that one."""
    put, tries = GenerationStore.put_prepared, 0

    def fail_once(store: GenerationStore, prepared: QueuedItem) -> PutResult:
        nonlocal tries
        tries += 1
        if tries == 2:
            raise EndpointConnectionError(endpoint_url="https://aws.invalid")
        return put(store, prepared)

    monkeypatch.setattr(runner, "MAX_SUBMITTERS", 1)
    monkeypatch.setattr(GenerationStore, "put_prepared", fail_once)
    message = created(KEY, file(*[MAIL] * 4))
    assert len(receive(message)) == 1
    assert len(accepted_ids()) == 3
    assert sent_ids() == accepted_ids()
    assert receive(message) == []
    assert stored().items == 4
    assert sent_ids() == accepted_ids()
