"""The dead letters' function: the handler with its event, under moto."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from botocore.exceptions import EndpointConnectionError

from afterword import clock
from afterword.generations import Reason, Status, Submission, SubmissionOptions
from afterword.services import services
from tests.conftest import FLOW, Event, LambdaContext, SetClock, Tenant
from tests.harness.api import invoke
from tests.harness.fake_model import completion

ID = "019a6f3e-7c00-7000-8000-000000000001"
MESSAGE_ID = "059f36b4-87a3-44ab-83d2-661975830a7d"
SUBMISSION = Submission(
    dialect="dialonce", flow=FLOW, inputs={"body": "Hello"}, template=None, external={}
)
LEASE = timedelta(seconds=70)


@pytest.fixture
def event(
    tenant: Tenant,
    set_clock: SetClock,  # noqa: ARG001 - asked for its effect
    load_event: Callable[[str], Event],
) -> Event:
    """Return the sample event, whose generation is queued."""
    services().store.put(
        tenant.id, ID, SUBMISSION, SubmissionOptions(flow_version=1, retention=timedelta(days=30))
    )
    return load_event("dead_letter")


def test_a_dead_letter_fails_its_generation(
    event: Event, context: LambdaContext, set_clock: SetClock
) -> None:
    """A generation that was delivered too often fails, with that reason."""
    set_clock.advance(hours=2)
    assert invoke("dead_letter", event, context) == {"batchItemFailures": []}
    generation = services().store.get("demo", ID)
    assert (generation.status, generation.reason, generation.message, generation.finished_at) == (
        Status.FAILED,
        Reason.DEAD_LETTER,
        "It was delivered to the worker too often.",
        set_clock(),
    )


def test_a_dead_letter_keeps_what_sqs_says_of_it(event: Event, context: LambdaContext) -> None:
    """How often the message was received, and when it was sent, stays with the generation."""
    invoke("dead_letter", event, context)
    (letter,) = services().listings.list_dead_letters("demo")
    assert (letter.id, letter.message_id) == (ID, MESSAGE_ID)
    assert letter.facts == event["Records"][0]["attributes"]


def test_a_dead_letter_of_a_lost_worker_fails_its_generation(
    event: Event, context: LambdaContext, set_clock: SetClock
) -> None:
    """A lost worker's generation fails once its lease has run out."""
    assert services().store.claim("demo", ID, clock.now() + LEASE)
    assert invoke("dead_letter", event, context) == {
        "batchItemFailures": [{"itemIdentifier": MESSAGE_ID}]
    }
    assert services().store.get("demo", ID).status is Status.RUNNING
    set_clock.moment += LEASE + timedelta(milliseconds=1)
    assert invoke("dead_letter", event, context) == {"batchItemFailures": []}
    assert services().store.get("demo", ID).reason is Reason.DEAD_LETTER


def test_a_dead_letter_of_a_finished_generation_is_done(
    event: Event, context: LambdaContext
) -> None:
    """A result that is there stays."""
    claim = services().store.claim("demo", ID, clock.now() + LEASE)
    assert claim is not None
    services().store.succeed(claim, completion("Hi"))
    before = services().store.get("demo", ID)
    assert invoke("dead_letter", event, context) == {"batchItemFailures": []}
    assert services().store.get("demo", ID) == before


def test_letters_are_judged_one_by_one(event: Event, context: LambdaContext) -> None:
    """In one batch, what is gone or not ours is done with, and only what is held comes again."""
    services().store.claim("demo", ID, clock.now() + LEASE)
    held = event["Records"][0]
    gone = json.dumps({"tenant": "demo", "id": "019a6f3e-7c00-7000-8000-000000000002"})
    event["Records"] = [
        {**held, "messageId": "gone", "body": gone},
        {**held, "messageId": "foreign", "body": "?"},
        held,
    ]
    assert invoke("dead_letter", event, context) == {
        "batchItemFailures": [{"itemIdentifier": MESSAGE_ID}]
    }


def test_storage_out_of_reach_brings_all_letters_again(
    event: Event, context: LambdaContext, cut_off: Callable[[str], None]
) -> None:
    """When the table is out of reach the invocation fails, so that SQS delivers the batch again."""
    cut_off("dynamodb.UpdateItem")
    with pytest.raises(EndpointConnectionError):
        invoke("dead_letter", event, context)
