"""Responses with webhooks and their deliveries."""

from typing import Annotated, TypedDict

from afterword.dialects.native.responses import NextPage
from afterword.handlers.json_schema import Count, Open, Schema, Time, Uuid
from afterword.webhooks import CircuitState, DeliveryStatus, Disabled, Event

WebhookId = Annotated[str, Schema(pattern="^(wh_[a-z0-9]{20}|submissions)$")]
DeliveryId = Annotated[str, Schema(pattern="^msg_[0-9a-f-]{36}$")]


class Circuit(TypedDict):
    """The circuit breaker of a receiver that fails, or failed lately."""

    host: str | None
    """The host of a `webhook_url`, with its port; null for a webhook with its own address."""
    state: Open[CircuitState]
    """While it is open, one delivery at a time is tried, and the others wait."""
    failures: Count
    """Failed tries in a row; ten open the circuit."""
    opened_at: Time | None


class Webhook(TypedDict):
    """An address that receives events."""

    id: WebhookId
    url: str | None
    """Null for the webhook of all `webhook_url` of submissions."""
    label: str
    events: list[Open[Event]]
    enabled: bool
    created_at: Time
    failing_since: Time | None
    """The time since which all tries failed."""
    disabled_at: Time | None
    disabled_reason: Open[Disabled] | None
    circuits: list[Circuit]
    """Those with failures."""


class SecretWebhook(Webhook):
    """A webhook with its secret, shown once."""

    secret: str
    """The key of the deliveries' signatures, `whsec_…` (Standard Webhooks)."""


class WebhookList(NextPage):
    """All webhooks."""

    webhooks: list[Webhook]
    """Oldest first."""


class Try(TypedDict):
    """A try of a delivery."""

    at: Time
    status: int | None
    """The status of the answer; null without an answer."""
    note: str
    """The reason why there was no answer, or the fault of the answer."""
    seconds: float


class Delivery(TypedDict):
    """An event on its way to a webhook."""

    id: DeliveryId
    """The `webhook-id`, equal on every try."""
    event: Open[Event]
    generation: Uuid | None
    url: str | None
    status: Open[DeliveryStatus]
    created_at: Time
    next_at: Time | None
    """The time of the next try; the earliest one while a circuit is open."""
    tries: list[Try]
    """The last ones."""
    body: str
    """The body of every try, to the byte."""


class DeliveryList(NextPage):
    """A page of deliveries."""

    deliveries: list[Delivery]
    """Newest first."""


class Replay(TypedDict):
    """The failed deliveries of one page of the log that began anew."""

    replayed: Count
    after: DeliveryId | None
    """The value of `after` for the next page; null after the last one."""
