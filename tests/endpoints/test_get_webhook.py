"""Reading a webhook endpoint: the handler with its event, under moto."""

from tests.conftest import SetClock
from tests.harness.webhooks import Queue, Receiver, Webhooks


def test_an_endpoint_is_shown_without_its_secret(webhooks: Webhooks) -> None:
    """An endpoint is shown as at its creation, but for the secret."""
    created = webhooks.created(label="Help desk")
    secret = created.pop("secret")
    result = webhooks.call("get_webhook", created["id"])
    assert (result["statusCode"], result["body"]) == (200, created)
    assert secret not in str(result)


def test_an_endpoint_shows_that_it_fails(
    webhooks: Webhooks, receiver: Receiver, webhook_queue: Queue, set_clock: SetClock
) -> None:
    """Since its first try that failed it is shown to fail, until one succeeds."""
    webhook = webhooks.created()["id"]
    delivery = webhooks.tested(webhook)
    receiver.answers = [500, 500, 200]
    seen = []
    for _ in range(3):
        webhook_queue.deliver(delivery)
        seen.append(webhooks.call("get_webhook", webhook)["body"]["failing_since"])
        set_clock.advance(minutes=10)
    assert seen == ["2026-11-10T09:00:00.000Z"] * 2 + [None]
