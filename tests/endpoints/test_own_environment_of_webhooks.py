"""The functions of webhooks with their own environment and their own permissions."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from afterword import clock
from afterword.generations import Submission, SubmissionOptions
from afterword.runtime.clients import clients
from afterword.services import services
from afterword.webhooks import OPEN_AFTER
from tests.conftest import FLOW, Event, SetClock
from tests.endpoints.test_own_environment import ID, messages_in, ours, run_alone, unused
from tests.harness.api import invoke
from tests.harness.deployment import REFERENCES, Deployment
from tests.harness.webhooks import ENDPOINTS, Queue, Receiver, Webhooks

pytestmark = pytest.mark.usefixtures("greedy_tenant")

__all__ = ["run_alone"]


@pytest.mark.parametrize("name", ENDPOINTS)
def test_a_function_of_webhooks_has_what_it_needs(
    deployment: Deployment,
    webhooks: Webhooks,
    run_alone: Callable[[str], set[str]],
    name: str,
) -> None:
    """Each function uses all its variables and permissions, and no other."""
    delivery = webhooks.tested(webhooks.created()["id"])
    if name == "replay_deliveries":
        services().webhook_store.give_up(delivery)
    asked = run_alone(name)
    result = webhooks.call(name, delivery.endpoint, delivery.id)
    assert result["statusCode"] in {200, 201, 202, 204}
    if name == "update_webhook":
        url = json.dumps({"url": "https://other.example.com/"})
        for body in (url, "{}"):
            event = webhooks.event(name, {"webhookId": delivery.endpoint}, body)
            assert webhooks.send(name, event)["statusCode"] == 200
    assert asked == ours(deployment, name)
    assert unused(name) == set()


def test_sending_has_what_it_needs(
    deployment: Deployment,
    webhooks: Webhooks,
    receiver: Receiver,
    load_event: Callable[[str], Event],
    run_alone: Callable[[str], set[str]],
) -> None:
    """The sending function uses all its variables and permissions, and no other.

    The message of a delivery that another sender has claimed is hidden until that claim is over.
    """
    webhook = webhooks.created()["id"]
    delivery, claimed = webhooks.tested(webhook), webhooks.tested(webhook)
    services().webhook_store.claim(claimed, clock.now() + timedelta(seconds=45))
    url = REFERENCES["WebhookQueue"]
    (message,) = clients().sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"]
    assert messages_in("WebhookQueue") == 2

    def load(name: str) -> Event:
        event = load_event(name)
        event["Records"][0]["receiptHandle"] = message["ReceiptHandle"]
        return event

    asked = run_alone("send_webhook")
    receiver.answers = [500]
    assert Queue(load).deliver(delivery, claimed) == [claimed.id]
    assert messages_in("WebhookQueue") == 1
    assert asked == ours(deployment, "send_webhook")
    assert unused("send_webhook") == set()


def test_sweeping_has_what_it_needs(  # noqa: PLR0913, PLR0917 - fixtures
    deployment: Deployment,
    webhooks: Webhooks,
    receiver: Receiver,
    load_event: Callable[[str], Event],
    run_alone: Callable[[str], set[str]],
    set_clock: SetClock,
) -> None:
    """The sweeper of deliveries uses all its variables and permissions, and no other."""
    queue, webhook = Queue(load_event), webhooks.created()["id"]
    receiver.answers = [500]
    for _ in range(OPEN_AFTER):
        queue.deliver(webhooks.tested(webhook))
    set_clock.advance(minutes=15)
    asked = run_alone("sweep_deliveries")
    assert queue.sweep() == {"probed": 1, "sent": OPEN_AFTER - 1}
    assert asked == ours(deployment, "sweep_deliveries")
    assert unused("sweep_deliveries") == set()


def test_announcing_has_what_it_needs(
    deployment: Deployment,
    webhooks: Webhooks,
    load_event: Callable[[str], Event],
    run_alone: Callable[[str], set[str]],
    set_clock: SetClock,
) -> None:
    """The deliverer uses all its variables and permissions, and no other."""
    webhooks.created()
    services().webhook_endpoints.set_hosts("demo", ["hooks.example.com"])
    submission = Submission(
        dialect="native",
        flow=FLOW,
        inputs={"body": "B"},
        template=None,
        external={},
        webhook_url="https://hooks.example.com/",
    )
    options = SubmissionOptions(flow_version=1, retention=timedelta(days=30), notify=True)
    services().store.put("demo", ID, submission, options)
    services().store.cancel("demo", ID)
    asked = run_alone("deliver")
    assert invoke("deliver", load_event("deliver")) == {"batchItemFailures": []}
    assert asked == ours(deployment, "deliver")
    assert unused("deliver") == set()
    assert set_clock() == clock.now()
