"""The deliverer: the handler with its event, under moto's EventBridge."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from afterword import clock
from afterword.generations import Reason, Submission, SubmissionOptions
from afterword.runtime.clients import clients
from afterword.services import services
from afterword.webhooks import SUBMISSIONS
from tests.conftest import FLOW, START, Call, Event, LambdaContext, SetClock, Stored
from tests.harness.api import invoke
from tests.harness.fake_model import completion
from tests.harness.webhooks import URL, Queue, Receiver, Webhooks, messages

ID, OTHER_ID = "019a6f3e-7c00-7000-8000-000000000001", "019a6f3e-7c00-7000-8000-000000000002"
SUBMISSION = Submission(
    dialect="dialonce", flow=FLOW, inputs={"body": "Hello"}, template=None, external={}
)


def put(generation_id: str = ID) -> None:
    """Queue a generation whose end is to be made known."""
    options = SubmissionOptions(flow_version=1, retention=timedelta(days=30), notify=True)
    services().store.put("demo", generation_id, SUBMISSION, options)


def published(calls: list[Call]) -> list[Mapping[str, Any]]:
    """Return the entries that were given to EventBridge."""
    return [entry for call in calls for entry in call.params.get("Entries", [])]


def dispatched(generation_id: str = ID) -> bool:
    """Whether nothing is left to do for a generation that has ended."""
    ended = services().store.get_end("demo", generation_id)
    assert ended is not None
    return ended.dispatched


@pytest.fixture
def event(
    aws: None,  # noqa: ARG001 - asked for its effect
    set_clock: SetClock,  # noqa: ARG001 - asked for its effect
    load_event: Callable[[str], Event],
    monkeypatch: pytest.MonkeyPatch,
) -> Event:
    """Return the sample event, whose generation is queued, with a bus that is not the default."""
    monkeypatch.setenv("AFTERWORD_EVENT_BUS", "company")
    clients().events.create_event_bus(Name="company")
    put()
    return load_event("deliver")


def test_an_end_is_published_as_a_thin_event(
    event: Event, context: LambdaContext, set_clock: SetClock, calls: list[Call]
) -> None:
    """An end is published on the owner's bus with status and times, and without a text."""
    set_clock.advance(seconds=2)
    claim = services().store.claim("demo", ID, clock.now() + timedelta(seconds=70))
    assert claim is not None
    set_clock.advance(seconds=1.5)
    services().store.succeed(claim, completion("Dear Ada,"))
    assert invoke("deliver", event, context) == {"batchItemFailures": []}
    (entry,) = published(calls)
    detail = json.loads(entry["Detail"])
    assert (entry["EventBusName"], entry["Source"], entry["DetailType"], entry["Time"]) == (
        "company",
        "afterword",
        "GenerationFinished",
        START + timedelta(seconds=3.5),
    )
    assert detail == {
        "tenant": "demo",
        "id": ID,
        "dialect": "dialonce",
        "flow": FLOW,
        "flow_version": 1,
        "status": "succeeded",
        "reason": None,
        "attempts": 1,
        "created_at": "2026-11-10T09:00:00.000Z",
        "finished_at": "2026-11-10T09:00:03.500Z",
        "seconds": 3.5,
    }
    assert dispatched()


@pytest.mark.parametrize("end", ["canceled", "failed"])
def test_every_end_is_published(
    event: Event, context: LambdaContext, calls: list[Call], end: str
) -> None:
    """Failures come with their reason, and cancellations as what they are."""
    if end == "canceled":
        services().outbox.cancel("demo", ID)
    else:
        services().outbox.fail_unclaimed("demo", ID, Reason.DEADLINE, "Too late.")
    assert invoke("deliver", event, context) == {"batchItemFailures": []}
    (entry,) = published(calls)
    detail = json.loads(entry["Detail"])
    assert (detail["status"], detail["reason"]) == (end, "deadline" if end == "failed" else None)


def test_an_end_message_that_comes_twice_is_published_once(
    event: Event, context: LambdaContext, calls: list[Call]
) -> None:
    """A dispatched end is published once."""
    services().outbox.cancel("demo", ID)
    for _ in range(2):
        assert invoke("deliver", event, context) == {"batchItemFailures": []}
    assert len(published(calls)) == 1


@pytest.mark.parametrize("what", ["open", "gone"])
def test_what_has_not_ended_is_not_published(
    event: Event, context: LambdaContext, calls: list[Call], what: str
) -> None:
    """A message about an open or an absent generation is deleted."""
    if what == "gone":
        event["Records"][0]["body"] = json.dumps({"tenant": "other", "id": ID})
    assert invoke("deliver", event, context) == {"batchItemFailures": []}
    assert published(calls) == []


def test_an_event_that_is_refused_comes_again(
    event: Event,
    context: LambdaContext,
    monkeypatch: pytest.MonkeyPatch,
    log_lines: Callable[[], list[dict[str, Any]]],
) -> None:
    """EventBridge refuses single events inside a 200: just these come again."""
    put(OTHER_ID)
    for generation_id in (ID, OTHER_ID):
        services().outbox.cancel("demo", generation_id)
    (record,) = event["Records"]
    event["Records"].append(
        {**record, "messageId": "2", "body": record["body"].replace(ID, OTHER_ID)}
    )
    answer = {"Entries": [{"EventId": "1"}, {"ErrorCode": "ThrottlingException"}]}
    monkeypatch.setattr(clients().events, "put_events", lambda **_: answer)
    assert invoke("deliver", event, context) == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert (dispatched(ID), dispatched(OTHER_ID)) == (True, False)
    assert ("could not publish the end", "ThrottlingException") in [
        (line["message"], line.get("code")) for line in log_lines()
    ]


def test_what_is_published_and_not_noted_comes_again(
    event: Event, context: LambdaContext, cut_off: Callable[[str], None], calls: list[Call]
) -> None:
    """When the table is out of reach after the event, the message comes again."""
    services().outbox.cancel("demo", ID)
    cut_off("dynamodb.UpdateItem")
    assert invoke("deliver", event, context)["batchItemFailures"] != []
    assert len(published(calls)) == 1
    assert not dispatched()


def test_a_bus_out_of_reach_brings_all_end_messages_again(
    event: Event, context: LambdaContext, cut_off: Callable[[str], None]
) -> None:
    """When EventBridge is out of reach the invocation fails, and SQS delivers the batch again."""
    services().outbox.cancel("demo", ID)
    cut_off("eventbridge.PutEvents")
    with pytest.raises(EndpointConnectionError):
        invoke("deliver", event, context)
    assert not dispatched()


@pytest.mark.usefixtures("event")
def test_without_a_bus_no_end_message_is_sent(
    set_clock: SetClock, stored: Callable[[], Stored], calls: list[Call]
) -> None:
    """An end of a generation submitted without a bus sends no message, and is dispatched."""
    options = SubmissionOptions(flow_version=1, retention=timedelta(days=30))
    services().store.put("demo", OTHER_ID, SUBMISSION, options)
    calls.clear()
    services().outbox.cancel("demo", OTHER_ID)
    assert dispatched(OTHER_ID)
    assert [call.operation for call in calls if call.operation.startswith("sqs")] == []
    assert stored().items == 2
    assert set_clock() == START


def ended() -> None:
    """Let the generation of the sample event end."""
    services().outbox.cancel("demo", ID)


def told(webhooks: Webhooks, webhook: str) -> list[Mapping[str, Any]]:
    """Return the bodies that an endpoint is sent."""
    return [json.loads(delivery.body) for delivery in webhooks.log(webhook)]


def test_each_endpoint_is_told_of_an_end(
    webhooks: Webhooks, event: Event, context: LambdaContext
) -> None:
    """An end begins one delivery to each endpoint that is enabled, with ids and times alone."""
    first, second, disabled = (webhooks.created()["id"] for _ in range(3))
    webhooks.call("update_webhook", disabled, enabled=False)
    ended()
    assert invoke("deliver", event, context) == {"batchItemFailures": []}
    moment = "2026-11-10T09:00:00.000Z"
    expected = {
        "type": "generation.finished",
        "timestamp": moment,
        "data": {
            "id": ID,
            "status": "canceled",
            "reason": None,
            "flow": FLOW,
            "flow_version": 1,
            "dialect": "dialonce",
            "created_at": moment,
            "finished_at": moment,
        },
    }
    assert told(webhooks, first) == told(webhooks, second) == [expected]
    assert told(webhooks, disabled) == []
    sent = {message["id"] for message in messages()}
    deliveries = [*webhooks.log(first), *webhooks.log(second)]
    assert sent == {f"{each.endpoint}/{each.id}" for each in deliveries}
    assert dispatched()


def test_an_end_message_that_comes_twice_makes_one_delivery(
    webhooks: Webhooks,
    event: Event,
    context: LambdaContext,
    receiver: Receiver,
    webhook_queue: Queue,
) -> None:
    """An end dispatched again, after a death before its mark, makes the same one delivery."""
    webhook = webhooks.created()["id"]
    ended()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services().store, "mark_dispatched", lambda *_: None)
        invoke("deliver", event, context)
        invoke("deliver", event, context)
    (delivery,) = webhooks.log(webhook)
    assert len(messages()) == 2
    webhook_queue.deliver(delivery)
    invoke("deliver", event, context)
    assert messages() == []
    webhook_queue.deliver(delivery)
    assert len(receiver.posts) == 1


def test_webhooks_need_no_bus(
    webhooks: Webhooks,
    event: Event,
    context: LambdaContext,
    monkeypatch: pytest.MonkeyPatch,
    calls: list[Call],
) -> None:
    """Without a bus an end goes to the endpoints, and nowhere else."""
    monkeypatch.setenv("AFTERWORD_EVENT_BUS", "")
    webhook = webhooks.created()["id"]
    ended()
    calls.clear()
    assert invoke("deliver", event, context) == {"batchItemFailures": []}
    assert published(calls) == []
    assert len(told(webhooks, webhook)) == 1
    assert dispatched()


@pytest.mark.parametrize("operation", ["dynamodb.PutItem", "sqs.SendMessage", "dynamodb.Query"])
def test_webhooks_that_are_not_begun_come_again(
    webhooks: Webhooks,
    event: Event,
    context: LambdaContext,
    cut_off: Callable[[str], None],
    operation: str,
) -> None:
    """When a delivery cannot be begun the message comes again, and the end is not dispatched."""
    webhooks.created()
    services().outbox.cancel("demo", ID)
    cut_off(operation)
    assert invoke("deliver", event, context)["batchItemFailures"] != []
    assert not dispatched()


def test_a_submissions_own_address_is_told(
    webhooks: Webhooks, event: Event, context: LambdaContext, set_clock: SetClock
) -> None:
    """`webhook_url` is told of its own end, as long as the tenant allows its host."""
    services().webhook_endpoints.set_hosts("demo", ["hooks.example.com"])
    options = SubmissionOptions(flow_version=1, retention=timedelta(days=30), notify=True)
    submission = replace(SUBMISSION, webhook_url=URL)
    services().store.put("demo", OTHER_ID, submission, options)
    for generation_id in (ID, OTHER_ID):
        services().outbox.cancel("demo", generation_id)
    (record,) = event["Records"]
    other = {**record, "messageId": "2", "body": record["body"].replace(ID, OTHER_ID)}
    event["Records"] = [record, other]
    assert invoke("deliver", event, context) == {"batchItemFailures": []}
    (delivery,) = webhooks.log(SUBMISSIONS)
    assert (delivery.url, delivery.generation) == (URL, OTHER_ID)
    third = "019a6f3e-7c00-7000-8000-000000000003"
    services().store.put("demo", third, submission, options)
    services().outbox.cancel("demo", third)
    services().webhook_endpoints.set_hosts("demo", ["other.example.com"])
    event["Records"] = [{**record, "body": record["body"].replace(ID, third)}]
    assert invoke("deliver", event, context) == {"batchItemFailures": []}
    assert len(webhooks.log(SUBMISSIONS)) == 1
    assert set_clock() == START
