"""The log of a webhook endpoint: the handler with its event, under moto."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.conftest import SetClock
from tests.harness.native_generations import LAST_PAGE
from tests.harness.webhooks import Queue, Receiver, Webhooks, problem

LIMIT = "limit: must be a whole number from 1 to 100."
AFTER = "after: must be a cursor of a Link header."


def test_the_log_has_each_try(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue, set_clock: SetClock
) -> None:
    """A delivery is shown with what was sent, what was answered and when it is tried next."""
    webhook = webhooks.created()["id"]
    delivery = webhooks.tested(webhook)
    receiver.answers = ["the host did not answer", 503, 200]
    webhook_queue.deliver(delivery)
    set_clock.advance(seconds=5)
    webhook_queue.deliver(delivery)
    (shown,) = webhooks.call("list_deliveries", webhook)["body"]["deliveries"]
    tries = shown.pop("tries")
    assert all(tried.pop("seconds") >= 0 for tried in tries)
    assert tries == [
        {"at": "2026-11-10T09:00:00.000Z", "status": None, "note": "the host did not answer"},
        {
            "at": "2026-11-10T09:00:05.000Z",
            "status": 503,
            "note": "the host answered with status 503",
        },
    ]
    assert shown == {
        "id": delivery.id,
        "event": "webhook.test",
        "generation": None,
        "url": None,
        "status": "pending",
        "created_at": "2026-11-10T09:00:00.000Z",
        "next_at": "2026-11-10T09:05:05.000Z",
        "body": delivery.body,
    }


def test_pages_follow_on_each_other(webhooks: Webhooks, set_clock: SetClock) -> None:
    """The links lead through all deliveries, newest first, each once."""
    webhook = webhooks.created()["id"]
    webhooks.tested(webhooks.created()["id"])
    ids = []
    for _ in range(7):
        set_clock.advance(seconds=1)
        ids.append(webhooks.tested(webhook).id)
    seen: list[str] = []
    query: dict[str, str] | None = {"limit": "3"}
    while query is not None:
        result = webhooks.call("list_deliveries", webhook, query=query)
        found = [each["id"] for each in result["body"]["deliveries"]]
        assert len(found) <= 3
        seen += found
        link = result["headers"].get("link")
        query = None
        if link is not None:
            address = link.removeprefix("<").removesuffix('>; rel="next"')
            assert urlsplit(address).path == f"/v1/webhooks/{webhook}/deliveries"
            query = dict(parse_qsl(urlsplit(address).query))
            assert result["body"]["next"] == address
            assert result["body"]["next_cursor"] == query["after"]
    assert seen == ids[::-1]


def test_deliveries_are_kept_for_thirty_days(webhooks: Webhooks, set_clock: SetClock) -> None:
    """An expired delivery is not shown, whether or not DynamoDB has deleted it."""
    webhook = webhooks.created()["id"]
    webhooks.tested(webhook)
    set_clock.advance(days=30)
    assert webhooks.call("list_deliveries", webhook)["body"] == {"deliveries": [], **LAST_PAGE}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"limit": "0"}, LIMIT),
        ({"limit": "101"}, LIMIT),
        ({"limit": "ten"}, LIMIT),
        ({"limit": "٣"}, LIMIT),
        ({"after": "x"}, AFTER),
        ({"after": "msg_"}, AFTER),
    ],
)
def test_what_cannot_be_read_is_named(
    webhooks: Webhooks, query: dict[str, str], message: str
) -> None:
    """A bad limit and a bad cursor are refused."""
    webhook = webhooks.created()["id"]
    assert webhooks.call("list_deliveries", webhook, query=query) == problem(400, message)
