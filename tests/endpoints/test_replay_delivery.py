"""Replaying a delivery: the handler with its event, under moto."""

from datetime import timedelta

import pytest

from afterword import clock
from afterword.services import services
from tests.conftest import SetClock
from tests.harness.webhooks import Queue, Receiver, Webhooks, messages, problem

NO_DELIVERY = "There is no such delivery."


@pytest.mark.parametrize("status", [200, 410, 500])
def test_a_delivery_is_sent_once_more(
    webhooks: Webhooks,
    receiver: Receiver,
    webhook_queue: Queue,
    set_clock: SetClock,
    status: int,
) -> None:
    """A delivery in any state is sent again with the same id and the same bytes."""
    webhook = webhooks.created()["id"]
    delivery = webhooks.tested(webhook)
    receiver.answers = [status, 200]
    webhook_queue.deliver(delivery)
    webhooks.call("update_webhook", webhook, enabled=True)
    set_clock.advance(minutes=1)
    messages()
    result = webhooks.call("replay_delivery", webhook, delivery.id)
    assert result["statusCode"] == 202
    assert (result["body"]["status"], result["body"]["next_at"]) == (
        "pending",
        "2026-11-10T09:01:00.000Z",
    )
    assert messages() == [{"tenant": "demo", "id": f"{webhook}/{delivery.id}"}]
    webhook_queue.deliver(delivery)
    (_, first, first_headers), (_, second, second_headers) = receiver.posts
    assert (first, first_headers["webhook-id"]) == (second, second_headers["webhook-id"])
    assert first_headers["webhook-signature"] != second_headers["webhook-signature"]
    (found,) = webhooks.log(webhook)
    assert (found.status, found.try_count, [each.status for each in found.tries]) == (
        "delivered",
        1,
        [status, 200],
    )


def test_a_replay_has_the_whole_schedule(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue, set_clock: SetClock
) -> None:
    """A failed delivery is tried eight times again."""
    webhook = webhooks.created()["id"]
    delivery = webhooks.tested(webhook)
    receiver.answers = [500]
    for _ in range(2):
        while webhooks.log(webhook)[0].status == "pending":
            webhook_queue.deliver(delivery)
            set_clock.advance(hours=10)
        webhooks.call("update_webhook", webhook, enabled=True)
        webhooks.call("replay_delivery", webhook, delivery.id)
    assert len(receiver.posts) == 16


def test_what_is_being_sent_is_left_alone(webhooks: Webhooks) -> None:
    """While a sender has a delivery it is not begun anew."""
    delivery = webhooks.tested(webhooks.created()["id"])
    claimed = services().webhook_store.claim(delivery, clock.now() + timedelta(seconds=45))
    assert claimed is not None
    refused = problem(409, "The delivery is being sent: try again later.")
    assert webhooks.call("replay_delivery", delivery.endpoint, delivery.id) == refused


def test_what_cannot_be_replayed_is_told(webhooks: Webhooks) -> None:
    """A delivery of another endpoint, one that is not there, and one to a disabled endpoint."""
    delivery = webhooks.tested(webhooks.created()["id"])
    other = webhooks.created()["id"]
    for webhook, sent in (
        (other, delivery.id),
        (delivery.endpoint, "msg_019a6f3e-7c00-8000-8000-00000000dead"),
        (delivery.endpoint, "x"),
    ):
        assert webhooks.call("replay_delivery", webhook, sent) == problem(404, NO_DELIVERY)
    webhooks.call("update_webhook", delivery.endpoint, enabled=False)
    refused = problem(409, "The webhook is disabled: enable it first.")
    assert webhooks.call("replay_delivery", delivery.endpoint, delivery.id) == refused
