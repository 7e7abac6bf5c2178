"""Changing a webhook endpoint: the handler with its event, under moto."""

import json

import pytest

from afterword.services import services
from afterword.webhooks import SUBMISSIONS, Disabled
from tests.conftest import SetClock
from tests.harness.webhooks import URL, Webhooks, problem


@pytest.mark.parametrize(
    "change",
    [
        {"url": "https://other.example.com/"},
        {"label": ""},
        {"events": ["generation.finished"]},
        {"label": "Both", "url": "https://both.example.com/"},
    ],
)
def test_what_is_sent_is_changed(webhooks: Webhooks, change: dict[str, object]) -> None:
    """A field that is sent is as it was sent, and all else is as it was."""
    created = webhooks.created(label="Help desk")
    del created["secret"]
    event = webhooks.event("update_webhook", {"webhookId": created["id"]}, json.dumps(change))
    result = webhooks.send("update_webhook", event)
    assert (result["statusCode"], result["body"]) == (200, {**created, **change})
    assert webhooks.call("get_webhook", created["id"])["body"] == {**created, **change}


def test_nothing_sent_changes_nothing(webhooks: Webhooks) -> None:
    """An empty object is answered with the endpoint as it is."""
    created = webhooks.created()
    del created["secret"]
    event = webhooks.event("update_webhook", {"webhookId": created["id"]}, "{}")
    assert webhooks.send("update_webhook", event)["body"] == created


def test_an_endpoint_is_disabled_and_enabled(webhooks: Webhooks, set_clock: SetClock) -> None:
    """Its owner disables it and enables it again, after which it is as new."""
    created = webhooks.created()
    del created["secret"]
    disabled = webhooks.call("update_webhook", created["id"], enabled=False)["body"]
    assert disabled == {
        **created,
        "enabled": False,
        "disabled_at": "2026-11-10T09:00:00.000Z",
        "disabled_reason": "owner",
    }
    set_clock.advance(days=1)
    services().webhook_store.mark_failing(webhooks.endpoint(created["id"]))
    assert webhooks.call("update_webhook", created["id"], enabled=True)["body"] == created


def test_a_change_leaves_it_disabled(webhooks: Webhooks) -> None:
    """An endpoint that was disabled meanwhile is not enabled by a change of its label."""
    created = webhooks.created()
    services().webhook_store.disable(webhooks.endpoint(created["id"]), Disabled.GONE)
    changed = webhooks.call("update_webhook", created["id"], label="New")["body"]
    assert (changed["label"], changed["enabled"], changed["disabled_reason"]) == (
        "New",
        False,
        "gone",
    )


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ('{"label": null}', "label", "must not be null; without this member the value stays."),
        ('{"enabled": 1}', "enabled", "must be true or false."),
        ('{"url": "http://a.example/"}', "url", "must be an https address on port 443."),
        (
            '{"id": "x"}',
            "id",
            "must be one of: enabled, events, label, url.",
        ),
    ],
)
def test_what_does_not_fit_is_named(
    webhooks: Webhooks, body: str, field: str, message: str
) -> None:
    """A bad field is refused by its name, and nothing is changed."""
    created = webhooks.created()
    del created["secret"]
    event = webhooks.event("update_webhook", {"webhookId": created["id"]}, body)
    assert webhooks.send("update_webhook", event) == problem(422, message, field)
    assert webhooks.call("get_webhook", created["id"])["body"] == created


def test_submissions_say_where_theirs_go(webhooks: Webhooks) -> None:
    """The endpoint of the submissions' own addresses has none that could be changed."""
    services().webhook_endpoints.set_hosts("demo", ["hooks.example.com"])
    result = webhooks.call("update_webhook", SUBMISSIONS, url=URL)
    assert result == problem(422, "must be left out: each submission has its own.", "url")
    assert webhooks.call("update_webhook", SUBMISSIONS, enabled=False)["body"]["enabled"] is False
