"""Submitting the same request again, with an Idempotency-Key."""

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from afterword import clock
from afterword.runtime.clients import clients
from afterword.runtime.payloads import INLINE_BYTES
from afterword.services import services
from tests.conftest import Call, Event, LambdaContext, SetClock, Stored
from tests.endpoints.conftest import HEADERS, refusal
from tests.harness.api import invoke
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import completion

LEASE = timedelta(seconds=70)
REUSED = refusal(422, "The Idempotency-Key was used before, for another request.")
MALFORMED = refusal(400, "Idempotency-Key: must be 1 to 255 visible ASCII characters.")

type Submit = Callable[..., dict[str, Any]]


@pytest.fixture
def submit(submission_event: Event, context: LambdaContext) -> Submit:
    """Return a function that submits the sample mail with a key and other fields."""

    def send(key: str, **fields: object) -> dict[str, Any]:
        submission_event["headers"]["idempotency-key"] = key
        mail = {**json.loads(submission_event["body"]), **fields}
        return invoke(
            "submit_mail_generation", {**submission_event, "body": json.dumps(mail)}, context
        )

    return send


def process(result: dict[str, Any]) -> str:
    """Return the process id of an accepted submission."""
    assert result["statusCode"] == 200
    process_cuid: str = json.loads(result["body"])["process_cuid"]
    return process_cuid


def test_the_same_key_and_request_are_one_generation(
    submit: Submit, stored: Callable[[], Stored]
) -> None:
    """A request that is sent again gets the first answer, and there is one item."""
    first = submit("order-17")
    assert submit("order-17") == first
    assert first == {
        "statusCode": 200,
        "headers": HEADERS,
        "body": json.dumps({"process_cuid": process(first)}),
    }
    assert uuid.UUID(process(first)).version == 5
    assert stored().items == 1


def test_another_key_is_another_generation(submit: Submit, stored: Callable[[], Stored]) -> None:
    """The same mail with another key, or with none, is a generation of its own."""
    assert len({process(submit(key)) for key in ("a", "b", "A", '"a"')}) == 4
    assert stored().items == 4


@pytest.mark.parametrize(
    "other",
    [
        {"subject": "Another"},
        {"body": "Another"},
        {"template": None},
        {"metadata": {"date": "2024-09-12"}},
        {"external_ref": "case-458"},
        {"external_metadata": {"user_id": "abc-790"}},
    ],
)
def test_the_same_key_for_another_request_is_refused(
    submit: Submit,
    stored: Callable[[], Stored],
    read_item: Callable[[str, str], dict[str, Any]],
    other: dict[str, object],
) -> None:
    """A key that stands for one request is not taken for another, whatever field differs."""
    generation_id = process(submit("order-17"))
    before = read_item("demo", generation_id)
    assert submit("order-17", **other) == REUSED
    assert read_item("demo", generation_id) == before
    assert stored().items == 1


def test_a_refused_request_does_not_touch_the_first_ones_big_text(submit: Submit) -> None:
    """A body too big for the item is still the first one's after another was refused."""
    body = "a" * INLINE_BYTES
    generation_id = process(submit("order-17", body=body))
    assert submit("order-17", body="b" * INLINE_BYTES) == REUSED
    claim = services().store.claim(
        "demo", generation_id, services().store.get("demo", generation_id).deadline_at
    )
    assert claim is not None
    assert claim.inputs["body"] == body


def test_tenants_do_not_share_keys(
    submission_event: Event, their_submission_event: Event, context: LambdaContext
) -> None:
    """The same key of two tenants is two generations."""
    ids = set()
    for event in (submission_event, their_submission_event):
        event["headers"]["idempotency-key"] = "order-17"
        ids.add(process(invoke("submit_mail_generation", event, context)))
    assert len(ids) == 2


def test_what_was_not_sent_is_sent_by_the_second_request(
    submit: Submit, stored: Callable[[], Stored]
) -> None:
    """While the generation is queued, the second request sends its message again."""
    submit("order-17")
    clients().sqs.purge_queue(QueueUrl=REFERENCES["Queue"])
    submit("order-17")
    assert stored().messages == 1


def test_a_finished_generation_is_neither_sent_nor_changed(
    submit: Submit, stored: Callable[[], Stored], read_item: Callable[[str, str], dict[str, Any]]
) -> None:
    """A request that comes again after the result is there gets its id, and nothing happens."""
    generation_id = process(submit("order-17"))
    store = services().store
    claim = store.claim("demo", generation_id, clock.now() + LEASE)
    assert claim is not None
    store.succeed(claim, completion("Dear Jean,"))
    clients().sqs.purge_queue(QueueUrl=REFERENCES["Queue"])
    before = read_item("demo", generation_id)
    assert process(submit("order-17")) == generation_id
    assert read_item("demo", generation_id) == before
    assert stored().messages == 0


def test_a_key_holds_as_long_as_the_generation(
    submit: Submit, set_clock: SetClock, read_item: Callable[[str, str], dict[str, Any]]
) -> None:
    """Once the retention is over, the key stands for a new generation, even before TTL deletes."""
    generation_id = process(submit("order-17"))
    set_clock.advance(days=30, seconds=-1)
    assert submit("order-17", body="Another") == REUSED
    set_clock.advance(seconds=1)
    assert process(submit("order-17", body="Another")) == generation_id
    assert int(read_item("demo", generation_id)["created_at"]["N"]) == round(
        set_clock().timestamp() * 1000
    )


def test_a_new_version_of_the_flow_does_not_make_it_another_request(submit: Submit) -> None:
    """A retry after the owner saved the flow again is still the same request."""
    generation_id = process(submit("order-17"))
    registry = services().registry
    registry.put_flow("demo", "mail-reply", registry.get_flow("demo", "mail-reply").document)
    assert process(submit("order-17")) == generation_id
    assert services().store.get("demo", generation_id).flow_version == 1


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "a" * 256, "a\n"])
def test_a_malformed_key_is_refused(submit: Submit, stored: Callable[[], Stored], key: str) -> None:
    """A key that is empty, too long or not visible ASCII is a 400, and nothing is stored."""
    assert submit(key) == MALFORMED
    assert stored() == Stored(items=0, messages=0, objects=0)


def test_a_key_costs_no_call_more(submit: Submit, calls: list[Call]) -> None:
    """With a key, a submission makes the same calls of AWS as without, also the second time."""
    submit("order-17")
    calls.clear()
    submit("order-17")
    assert [call.operation for call in calls] == [
        "dynamodb.PutItem",
        "sqs.SendMessage",
    ]
