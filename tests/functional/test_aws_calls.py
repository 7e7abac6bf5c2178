"""How many calls of AWS a request costs: money and time, so each one is counted."""

import json
from collections.abc import Callable

import pytest

from functions.dead_letter.app import handler as bury
from functions.generate.app import handler as generate
from functions.get_mail_generation.app import handler as read
from functions.submit_mail_generation.app import handler as submit
from tests.conftest import Call, Event, LambdaContext
from tests.deployment import REFERENCES
from tests.fake_model import FakeModel, saying

GENERATIONS, REGISTRY = REFERENCES["GenerationsTable"], REFERENCES["RegistryTable"]


def made(calls: list[Call]) -> list[tuple[str, str]]:
    """Return the calls made since the last time, with the table, queue or bucket of each."""
    what = [
        (call.operation, call.params[name])
        for call in calls
        for name in ("TableName", "QueueUrl", "Bucket")
        if name in call.params
    ]
    calls.clear()
    return what


@pytest.fixture
def process_cuid(submission_event: Event, context: LambdaContext) -> str:
    """Submit the sample mail, which warms everything up, and return its process id."""
    cuid: str = json.loads(submit(submission_event, context)["body"])["process_cuid"]
    return cuid


@pytest.mark.usefixtures("process_cuid")
def test_a_submission_takes_three_calls(
    submission_event: Event, context: LambdaContext, calls: list[Call]
) -> None:
    """A warm submission reads its flow, puts its item and sends its message."""
    calls.clear()
    submit(submission_event, context)
    assert made(calls) == [
        ("dynamodb.GetItem", REGISTRY),
        ("dynamodb.PutItem", GENERATIONS),
        ("sqs.SendMessage", REFERENCES["Queue"]),
    ]


def test_a_first_submission_takes_one_more(
    submission_event: Event, context: LambdaContext, calls: list[Call]
) -> None:
    """Once a minute the key is looked up as well."""
    calls.clear()
    submit(submission_event, context)
    assert len(made(calls)) == 4


def test_a_big_submission_takes_one_more(
    submission_event: Event, context: LambdaContext, calls: list[Call], process_cuid: str
) -> None:
    """What is too big for the item takes a put of its own, before the item's."""
    assert process_cuid
    calls.clear()
    submission_event["body"] = json.dumps({"subject": "A", "body": "x" * 20_000})
    submit(submission_event, context)
    assert [operation for operation, _ in made(calls)] == [
        "dynamodb.GetItem",
        "s3.PutObject",
        "dynamodb.PutItem",
        "sqs.SendMessage",
    ]


def test_a_reading_takes_one_call(
    process_cuid: str,
    reading_event: Callable[[str], Event],
    context: LambdaContext,
    calls: list[Call],
) -> None:
    """A warm reading reads its item, and nothing else."""
    read(reading_event(process_cuid), context)
    calls.clear()
    assert read(reading_event(process_cuid), context)["statusCode"] == 200
    assert made(calls) == [("dynamodb.GetItem", GENERATIONS)]


def test_a_refusal_of_the_body_takes_no_call(
    process_cuid: str, submission_event: Event, context: LambdaContext, calls: list[Call]
) -> None:
    """A warm function refuses a bad body without asking anybody."""
    assert process_cuid
    calls.clear()
    submission_event["body"] = "{}"
    assert submit(submission_event, context)["statusCode"] == 400
    assert made(calls) == []


def test_a_generation_takes_two_writes(
    submission_event: Event,
    message_event: Callable[[str], Event],
    context: LambdaContext,
    use_model: Callable[[FakeModel], None],
    calls: list[Call],
) -> None:
    """A worker claims and finishes; only a version of a flow that is new to it is read."""
    use_model(saying('{"nom_du_client": "Jean Dupont"}'))
    events = [
        message_event(json.loads(submit(submission_event, context)["body"])["process_cuid"])
        for _ in range(2)
    ]
    calls.clear()
    generate(events[0], context)
    assert made(calls) == [
        ("dynamodb.UpdateItem", GENERATIONS),
        ("dynamodb.GetItem", REGISTRY),
        ("dynamodb.UpdateItem", GENERATIONS),
    ]
    generate(events[1], context)
    assert made(calls) == [("dynamodb.UpdateItem", GENERATIONS)] * 2


def test_a_dead_letter_takes_one_write(
    process_cuid: str,
    message_event: Callable[[str], Event],
    context: LambdaContext,
    calls: list[Call],
) -> None:
    """A dead letter is one conditional write."""
    calls.clear()
    bury(message_event(process_cuid), context)
    assert made(calls) == [("dynamodb.UpdateItem", GENERATIONS)]
