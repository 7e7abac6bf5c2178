"""Replaying the failed deliveries since a time: the handler with its event, under moto."""

import json

import pytest

from afterword.services import services
from afterword.webhooks import replays
from tests.conftest import SetClock
from tests.harness.webhooks import ABSENT, NO_WEBHOOK, Queue, Receiver, Result, Webhooks, problem

SINCE = "2026-11-10T10:30:00Z"
NO_TIME = "must be a time like 2026-11-10T09:00:00Z."


def give_up(webhooks: Webhooks, webhook: str) -> str:
    """Let a delivery fail, and return its id."""
    delivery = webhooks.tested(webhook)
    assert services().webhook_store.give_up(delivery)
    return delivery.id


def replay(webhooks: Webhooks, webhook: str, members: dict[str, object]) -> Result:
    """Send a request with these members."""
    event = webhooks.event("replay_deliveries", {"webhookId": webhook}, json.dumps(members))
    return webhooks.send("replay_deliveries", event)


def test_failed_deliveries_since_a_time_are_sent_again(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue, set_clock: SetClock
) -> None:
    """Those that failed since then are parked, and leave with the next runs; others stay."""
    webhook = webhooks.created()["id"]
    failed = []
    for _ in range(4):
        failed.append(give_up(webhooks, webhook))
        set_clock.advance(hours=1)
    pending = webhooks.tested(webhook)
    result = webhooks.call("replay_deliveries", webhook, since=SINCE)
    assert (result["statusCode"], result["body"]) == (202, {"replayed": 2, "after": None})
    assert webhook_queue.sweep() == {"released": 2}
    assert (webhook_queue.delayed, webhook_queue.delayed_for) == (failed[2:], [0, 30])
    set_clock.advance(seconds=30)
    for delivery in webhooks.log(webhook):
        if delivery.id in failed[2:]:
            assert webhook_queue.deliver(delivery) == []
    assert len(receiver.posts) == 2
    statuses = {each.id: each.status.value for each in webhooks.log(webhook)}
    assert statuses == {
        **dict.fromkeys(failed[:2], "failed"),
        **dict.fromkeys(failed[2:], "delivered"),
        pending.id: "pending",
    }
    again = webhooks.call("replay_deliveries", webhook, since=SINCE)
    assert again["body"] == {"replayed": 0, "after": None}


def test_a_log_of_any_length_is_replayed_page_by_page(
    webhooks: Webhooks, monkeypatch: pytest.MonkeyPatch, set_clock: SetClock
) -> None:
    """A call looks at a bounded part of the log, and says where the next one goes on."""
    monkeypatch.setattr(replays, "MAX_LOOKED_AT", 2)
    webhook = webhooks.created()["id"]
    for _ in range(5):
        give_up(webhooks, webhook)
        set_clock.advance(seconds=1)
    members: dict[str, object] = {"since": "2026-11-10T10:00:00+01:00"}
    replayed = []
    while True:
        body = replay(webhooks, webhook, members)["body"]
        replayed.append(body["replayed"])
        if body["after"] is None:
            break
        members["after"] = body["after"]
    assert replayed == [2, 2, 1]
    assert {each.status for each in webhooks.log(webhook)} == {"pending"}


def test_what_is_replayed_twice_is_sent_once(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue, set_clock: SetClock
) -> None:
    """A second call, and a second run of the sweeper, bring no second try."""
    webhook = webhooks.created()["id"]
    give_up(webhooks, webhook)
    for _ in range(2):
        webhooks.call("replay_deliveries", webhook, since="2026-11-10T00:00:00Z")
    for _ in range(2):
        webhook_queue.sweep()
    assert len(webhook_queue.delayed) == 1
    (delivery,) = webhooks.log(webhook)
    for _ in range(2):
        webhook_queue.deliver(delivery)
    assert len(receiver.posts) == 1
    set_clock.advance(minutes=10)
    for _ in range(3):
        webhook_queue.sweep()
        set_clock.advance(minutes=3)
    assert (webhook_queue.sweep(), len(webhook_queue.delayed)) == ({}, 1)


@pytest.mark.parametrize(
    ("members", "field", "message"),
    [
        ({"after": None}, "since", "must be present."),
        ({"since": "yesterday"}, "since", NO_TIME),
        ({"since": 1}, "since", NO_TIME),
        ({"since": "2026-11-10"}, "since", NO_TIME),
        ({"since": "2026-13-10T09:00:00Z"}, "since", NO_TIME),
        ({"since": "0001-01-01T00:00:00+14:00"}, "since", NO_TIME),
        ({"since": SINCE, "after": "x"}, "after", "must be the `after` of the answer before."),
    ],
)
def test_what_cannot_be_read_is_named(
    webhooks: Webhooks, members: dict[str, object], field: str, message: str
) -> None:
    """A request without a time, or with a foreign cursor, is refused."""
    webhook = webhooks.created()["id"]
    result = replay(webhooks, webhook, members)
    assert result == problem(422, message, field)


def test_what_cannot_be_replayed_is_told(webhooks: Webhooks) -> None:
    """A webhook that does not exist, and one that is disabled."""
    assert webhooks.call("replay_deliveries", ABSENT) == problem(404, NO_WEBHOOK)
    webhook = webhooks.created()["id"]
    webhooks.call("update_webhook", webhook, enabled=False)
    refused = problem(409, "The webhook is disabled: enable it first.")
    assert webhooks.call("replay_deliveries", webhook) == refused
