"""The queue: the contents of a message, and the answer to a batch of them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from afterword import generations
from afterword.batches import message_group
from afterword.handlers import sqs
from afterword.runtime import queue
from afterword.runtime.deadline import Deadline
from afterword.runtime.queue import MAX_SENT, Message
from afterword.services import services
from tests.conftest import Call, Event, LambdaContext
from tests.harness.batches import refuse_entries
from tests.harness.deployment import REFERENCES


def make_event(*bodies: str) -> Event:
    """Return an event of SQS whose messages are numbered from 0."""
    return {
        "Records": [
            {"messageId": f"message-{at}", "receiptHandle": f"handle-{at}", "body": body}
            for at, body in enumerate(bodies)
        ]
    }


def message(at: int) -> Message:
    """Return the message of one of those messages."""
    return Message("demo", f"id-{at}", f"message-{at}", f"handle-{at}")


def test_a_message_names_a_generation_and_nothing_else(calls: list[Call]) -> None:
    """A message is the tenant and the id, in its tenant's group; all else is in the item."""
    services().queue.send("demo", "019a6f3e-7c00-7000-8000-000000000001")
    assert calls == [
        Call(
            "sqs.SendMessage",
            {
                "QueueUrl": REFERENCES["Queue"],
                "MessageBody": '{"tenant": "demo", "id": "019a6f3e-7c00-7000-8000-000000000001"}',
                "MessageGroupId": "demo",
            },
        )
    ]


def test_ten_messages_take_one_call(calls: list[Call]) -> None:
    """Messages that are sent together are those that are sent alone."""
    refused = services().queue.send_many("demo", [f"id-{at}" for at in range(MAX_SENT)], "group")
    assert refused == {}
    (call,) = calls
    assert call.operation == "sqs.SendMessageBatch"
    assert call.params["QueueUrl"] == REFERENCES["Queue"]
    assert call.params["Entries"] == [
        {
            "Id": str(at),
            "MessageBody": json.dumps({"tenant": "demo", "id": f"id-{at}"}),
            "MessageGroupId": "group",
        }
        for at in range(10)
    ]


@pytest.mark.usefixtures("aws")
def test_the_messages_that_sqs_refuses_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A success of SQS may have failures in it, which are not taken for sent messages."""
    refuse_entries(monkeypatch, {"1": "InternalError"})
    assert services().queue.send_many("demo", ["id-0", "id-1", "id-2"], "group") == {
        "id-1": "InternalError"
    }


@pytest.mark.usefixtures("aws")
def test_the_longest_messages_fit_one_call(calls: list[Call]) -> None:
    """Ten messages of the longest tenant stay far below 256 KiB, the older limit of a call."""
    tenant = "t" * 64
    services().queue.send_many(tenant, [generations.new_id()] * MAX_SENT, message_group(tenant))
    (call,) = calls
    assert len(json.dumps(call.params["Entries"])) < 256 * 1024 / 20


@pytest.mark.usefixtures("aws")
def test_a_batch_is_consumed_and_its_failures_reported() -> None:
    """A consumer gets all messages and the deadline; the ids to redeliver are reported."""
    seen: list[tuple[Sequence[Message], float]] = []

    def consume(messages: Sequence[Message], deadline: Deadline) -> Sequence[str]:
        seen.append((messages, deadline.remaining()))
        return ["message-1"]

    event = make_event(*(json.dumps({"tenant": "demo", "id": f"id-{at}"}) for at in range(3)))
    result = sqs.consumer(queue.read_message)(consume)(event, LambdaContext(milliseconds=12_500))
    assert result == {"batchItemFailures": [{"itemIdentifier": "message-1"}]}
    ((messages, seconds),) = seen
    assert messages == [message(0), message(1), message(2)]
    assert 12.0 < seconds <= 12.5


@pytest.mark.parametrize(("again", "expected"), [(True, True), (False, False), ("yes", False)])
def test_a_message_may_ask_for_work_again(again: object, expected: bool) -> None:  # noqa: FBT001 - a case
    """A message asks for work that is done already, or not."""
    (record,) = make_event(json.dumps({"tenant": "demo", "id": "id-0", "again": again}))["Records"]
    assert queue.read_message(record) == replace(message(0), again=expected)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello",
        "[]",
        "null",
        "{}",
        '{"tenant": "demo"}',
        '{"id": "id-1"}',
        '{"tenant": 1, "id": "id-1"}',
        '{"tenant": "demo", "id": null}',
        '{"tenant": "demo", "id": ["id-1"]}',
    ],
)
def test_a_foreign_message_is_dropped(
    log_lines: Callable[[], list[dict[str, Any]]], body: str
) -> None:
    """A message of another sender is logged and deleted, and the others are consumed."""
    seen: list[Message] = []

    def consume(messages: Sequence[Message], _deadline: Deadline) -> Sequence[str]:
        seen.extend(messages)
        return ()

    event = make_event('{"tenant": "demo", "id": "id-0"}', body, '{"tenant": "demo", "id": "id-2"}')
    assert sqs.consumer(queue.read_message)(consume)(event, LambdaContext()) == {
        "batchItemFailures": []
    }
    assert seen == [message(0), message(2)]
    (line,) = log_lines()
    assert (line["level"], line["message_id"]) == ("ERROR", "message-1")


@pytest.mark.usefixtures("log")
def test_a_batch_of_nothing_needs_no_consumer() -> None:
    """When nothing in a batch is ours, it is done with as a whole."""

    def consume(_messages: Sequence[Message], _deadline: Deadline) -> Sequence[str]:
        raise AssertionError

    assert sqs.consumer(queue.read_message)(consume)(make_event("x", "y"), LambdaContext()) == {
        "batchItemFailures": []
    }
