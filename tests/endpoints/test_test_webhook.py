"""Testing a webhook endpoint: the handler with its event, under moto."""

import json

from afterword.services import services
from afterword.webhooks import SUBMISSIONS
from tests.harness.webhooks import Queue, Receiver, Webhooks, messages, problem

DISABLED = "The webhook is disabled: enable it first."


def test_a_test_goes_the_way_of_all_webhooks(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue
) -> None:
    """A test is answered with its delivery, which is sent from the queue."""
    webhook = webhooks.created()["id"]
    result = webhooks.call("test_webhook", webhook)
    (delivery,) = webhooks.log(webhook)
    moment = "2026-11-10T09:00:00.000Z"
    event = {"type": "webhook.test", "timestamp": moment, "data": {"webhook": webhook}}
    assert (result["statusCode"], result["body"]) == (
        202,
        {
            "id": delivery.id,
            "event": "webhook.test",
            "generation": None,
            "url": None,
            "status": "pending",
            "created_at": moment,
            "next_at": moment,
            "tries": [],
            "body": json.dumps(event),
        },
    )
    assert messages() == [{"tenant": "demo", "id": f"{webhook}/{delivery.id}"}]
    assert receiver.posts == []
    webhook_queue.deliver(delivery)
    assert [json.loads(body) for _, body, _ in receiver.posts] == [event]


def test_each_test_is_another(webhooks: Webhooks) -> None:
    """Two tests are two webhooks, even at the same moment."""
    webhook = webhooks.created()["id"]
    first, second = (webhooks.call("test_webhook", webhook)["body"]["id"] for _ in range(2))
    assert first != second


def test_who_cannot_be_tested_is_told_why(webhooks: Webhooks) -> None:
    """A disabled endpoint, and that of the submissions' own addresses, cannot be tested."""
    webhook = webhooks.created()["id"]
    webhooks.call("update_webhook", webhook, enabled=False)
    assert webhooks.call("test_webhook", webhook) == problem(409, DISABLED)
    services().webhook_endpoints.set_hosts("demo", ["hooks.example.com"])
    refused = "Each submission names the address of its webhook: submit one."
    assert webhooks.call("test_webhook", SUBMISSIONS) == problem(409, refused)
    assert messages() == []
